"""Regions from torchvision's detectors without a second stage: RetinaNet, FCOS, SSD, SSDlite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

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
from groundgraph.vision.pooling import pool_regions, sides_of, unnamed


class OneStageDetector(ImageDetector):
    """The best boxes of a network after one non-maximum suppression over all classes.

    These networks have no features of a region: they are pooled by RoIAlign from the finest map of their backbone (the
    first level of a feature pyramid, stride 8; SSD's first, stride 8 or 16), so given boxes can be pooled too.

    Args:
        model: Torchvision's RetinaNet, FCOS or SSD; its class 0 is background.
        categories: Names of its classes 1 to C.
        count: Regions an image at most.
        nms_threshold: IoU above which the weaker of two boxes is left out.
        label_threshold: Class probability below which a region has label -1.
        device: See `groundgraph.models.device`.
    """

    def __init__(
        self,
        model: nn.Module,
        categories: Sequence[str],
        *,
        count: int = 36,
        nms_threshold: float = 0.65,
        label_threshold: float = 0.3,
        device: str | torch.device = "auto",
    ) -> None:
        super().__init__(categories)
        self.model = model.eval().to(device_of(device))
        self.model.score_thresh = 0.0  # weak boxes keep a place where an image has few strong ones
        self.model.detections_per_img = max(4 * count, 100)  # of which some fall to the suppression over all classes
        self.count, self.nms_threshold, self.label_threshold = count, nms_threshold, label_threshold

    def narrow(self, dtype: torch.dtype) -> None:
        """See `ImageDetector.narrow`; anchors, which are made in the maps' precision, stay exact."""
        for part in (self.model.backbone, self.model.head):
            narrow(part, dtype)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`; `count` of them at most, fewer where there are no more."""
        return self.in_batches(images, self._detect)

    @torch.inference_mode()
    def _detect(self, images: Sequence[Image.Image]) -> list[Regions]:
        return _packed(images, self.find(self._pixels(images)))

    def find(self, pixels: list[Tensor]) -> list[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """The best boxes of pictures [3, h, w] in 0..1: of each boxes [V, 4], labels [V], scores [V], features [V, D].

        Boxes are in the pictures' pixels; label -1: no class is likely enough.
        """
        outputs: dict[str, Any] = {}
        hooks = [
            getattr(self.model, part).register_forward_hook(
                lambda _module, _inputs, output, part=part: outputs.update({part: output})
            )
            for part in ("transform", "backbone")
        ]
        try:
            detections = self.model(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        kept = []
        for picture, detection in zip(pixels, detections, strict=True):
            boxes, scores, labels = detection["boxes"], detection["scores"], detection["labels"] - 1
            boxes = boxes.clamp(min=0).minimum(sides_of(picture).repeat(2))
            wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
            keep = wide[nms(boxes[wide], scores[wide], self.nms_threshold)][: self.count]
            labels = torch.where(scores >= self.label_threshold, labels, -1)
            kept.append((boxes[keep], labels[keep], scores[keep]))
        features = self.features_of(
            pixels, [boxes for boxes, _, _ in kept], outputs["transform"][0], outputs["backbone"]
        )
        return [(*parts, own) for parts, own in zip(kept, features, strict=True)]

    @torch.inference_mode()
    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; no labels, scores 1: these networks classify no box but their own."""
        regions: list[Regions] = []
        for start in range(0, len(images), self.batch_size):
            part = images[start : start + self.batch_size]
            pixels = self._pixels(part)
            batch, _ = self.model.transform(pixels)
            arrays = [np.array(b, np.float32).reshape(-1, 4) for b in boxes[start : start + self.batch_size]]
            tensors = [torch.from_numpy(array).to(pixels[0].device) for array in arrays]
            features = self.features_of(pixels, tensors, batch, self.model.backbone(batch.tensors))
            for array, image, own in zip(arrays, part, features, strict=True):
                regions.append(replace(unnamed(array, image.size), features=own.cpu().numpy()))
        return regions

    def _pixels(self, images: Sequence[Image.Image]) -> list[Tensor]:
        device = device_of_model(self.model)
        return [pil_to_tensor(image).to(device).float() / 255 for image in images]

    def features_of(
        self, pixels: Sequence[Tensor], boxes: Sequence[Tensor], batch: ImageList, maps: dict[str, Tensor] | Tensor
    ) -> list[Tensor]:
        """Features of boxes; a picture is the upper left part of the batch's padded tensor."""
        finest = maps if isinstance(maps, Tensor) else next(iter(maps.values()))
        padded = sides_of(batch.tensors)
        shares = []
        for picture, own, (height, width) in zip(pixels, boxes, batch.image_sizes, strict=True):
            entered = torch.stack([torch.as_tensor(side, device=own.device) for side in (width, height)])
            shares.append(own / sides_of(picture).repeat(2) * (entered / padded).repeat(2))
        return pool_regions(finest, shares)


def _packed(images: Sequence[Image.Image], parts: Sequence[Sequence[Tensor]]) -> list[Regions]:
    return [
        Regions(*(tensor.cpu().numpy() for tensor in own), size=image.size)
        for image, own in zip(images, parts, strict=True)
    ]
