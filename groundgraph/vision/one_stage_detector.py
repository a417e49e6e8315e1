"""Regions from torchvision's detectors without a second stage: RetinaNet, FCOS, SSD, SSDlite."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import nms
from torchvision.transforms.functional import pil_to_tensor

from groundgraph.data.types import Regions
from groundgraph.models.device import device_of, device_of_model, narrow
from groundgraph.vision.detector import ImageDetector
from groundgraph.vision.pooling import pool_regions, unnamed


class OneStageDetector(ImageDetector):
    """The best `count` boxes after one suppression over all classes at IoU `suppression`.

    These networks have no features of a region: they are pooled by RoIAlign from the finest map of their backbone (the
    first level of a feature pyramid, stride 8; SSD's first, stride 8 or 16), so given boxes can be pooled too. Labels
    are -1 where the best class's probability is below `commit`.

    model       torchvision RetinaNet, FCOS or SSD (its class 0 is background)
    categories  names of its classes 1..C
    """

    def __init__(
        self,
        model: nn.Module,
        categories: Sequence[str],
        *,
        count: int = 36,
        suppression: float = 0.65,
        commit: float = 0.3,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(categories)
        self.model = model.eval().to(device_of(device))
        self.model.score_thresh = 0.0  # weak boxes keep a place where an image has few strong ones
        self.model.detections_per_img = max(4 * count, 100)  # of which some fall to the suppression over all classes
        self.count, self.suppression, self.commit = count, suppression, commit

    def narrow(self, dtype: torch.dtype) -> None:
        """See `ImageDetector.narrow`; anchors, which are made in the maps' precision, stay exact."""
        for part in (self.model.backbone, self.model.head):
            narrow(part, dtype)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`; `count` of them at most, fewer where there are no more."""
        return self.in_batches(images, self._find)

    @torch.inference_mode()
    def _find(self, images: Sequence[Image.Image]) -> list[Regions]:
        notes: dict[str, object] = {}
        hooks = [
            getattr(self.model, part).register_forward_hook(
                lambda _module, _inputs, output, part=part: notes.update({part: output})
            )
            for part in ("transform", "backbone")
        ]
        try:
            answers = self.model(self._pixels(images))
        finally:
            for hook in hooks:
                hook.remove()
        found = []
        for image, answer in zip(images, answers, strict=True):
            boxes, scores, labels = answer["boxes"], answer["scores"], answer["labels"] - 1
            edge = torch.tensor(image.size * 2, device=boxes.device)
            boxes = boxes.clamp(min=0).minimum(edge)
            wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
            keep = wide[nms(boxes[wide], scores[wide], self.suppression)][: self.count]
            labels = torch.where(scores >= self.commit, labels, -1)
            arrays = (x[keep].cpu().numpy() for x in (boxes, labels, scores))
            found.append(Regions(*arrays, np.zeros((len(keep), 0), np.float32), size=image.size))
        return self._describe(images, found, notes["transform"][0], notes["backbone"])

    @torch.inference_mode()
    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; no labels, scores 1: these networks classify no box but their own."""
        found: list[Regions] = []
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            batch, _ = self.model.transform(self._pixels(part))
            given = (np.asarray(b, np.float32).reshape(-1, 4) for b in boxes[start : start + self.batch_size])
            known = [unnamed(b, image.size) for b, image in zip(given, part, strict=True)]
            found += self._describe(part, known, batch, self.model.backbone(batch.tensors))
        return found

    def _pixels(self, images: Sequence[Image.Image]) -> list[Tensor]:
        device = device_of_model(self.model)
        return [pil_to_tensor(image).to(device).float() / 255 for image in images]

    def _describe(
        self,
        images: Sequence[Image.Image],
        regions: Sequence[Regions],
        batch: ImageList,
        maps: dict[str, Tensor] | Tensor,
    ) -> list[Regions]:
        """The same regions with features; a picture is the upper left part of the batch's padded tensor."""
        finest = maps if isinstance(maps, Tensor) else next(iter(maps.values()))
        height, width = batch.tensors.shape[2:]
        shares = [
            torch.from_numpy(
                r.boxes / np.array(image.size * 2, np.float32) * np.array([w / width, h / height] * 2, np.float32)
            )
            for r, image, (h, w) in zip(regions, images, batch.image_sizes, strict=True)
        ]
        pooled = pool_regions(finest, shares)
        return [
            Regions(r.boxes, r.labels, r.scores, f.cpu().numpy(), r.size) for r, f in zip(regions, pooled, strict=True)
        ]
