"""Regions from any query-based detector of transformers (DETR, Conditional or Deformable DETR, RT-DETR, ...)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.ops import box_convert, nms
from transformers import AutoImageProcessor, AutoModelForObjectDetection

from groundgraph.data.types import Regions
from groundgraph.experts import resolve
from groundgraph.vision.detectors import ImageDetector


class TransformersDetector(ImageDetector):
    """One region a query: its box, its best class, and the decoder's state of that query as the feature.

    The best `count` regions an image by class probability, after one suppression over all classes at IoU
    `suppression` (these models are trained to need none, but their weak queries repeat each other). Labels are -1
    where the best probability is below `commit`. Images of different sizes never share a batch, so nothing is padded.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        processor,
        *,
        count: int = 36,
        suppression: float = 0.65,
        commit: float = 0.3,
        device: str = "cpu",
    ) -> None:
        names = model.config.id2label
        super().__init__([names[i] for i in sorted(names)])
        self.model, self.processor = model.eval().to(device), processor
        self.count, self.suppression, self.commit, self.device = count, suppression, commit, device

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> TransformersDetector:
        """From a hub id or a local folder. Raises ValueError where transformers cannot load a detector from it."""
        place = resolve(source)
        try:
            processor = AutoImageProcessor.from_pretrained(place)
            model = AutoModelForObjectDetection.from_pretrained(place)
        except (OSError, ValueError, ImportError) as error:
            raise ValueError(f"{source}: transformers cannot load an object detector from it ({error})") from error
        return cls(model, processor, count=count or 36, device=device)

    def regions(self, images: Sequence[Image.Image]) -> list[Regions]:
        """See `ImageDetector.regions`. Raises ValueError for a model whose queries have no states to give."""
        groups: dict[tuple[int, int], list[int]] = {}
        for number, image in enumerate(images):
            groups.setdefault(image.size, []).append(number)
        found: dict[int, Regions] = {}
        for numbers in groups.values():
            for start in range(0, len(numbers), self.batch):
                part = numbers[start : start + self.batch]
                found.update(zip(part, self._find([images[i] for i in part]), strict=True))
        return [found[number] for number in range(len(images))]

    @torch.inference_mode()
    def _find(self, images: list[Image.Image]) -> list[Regions]:
        inputs = self.processor(images=images, return_tensors="pt").to(self.device)
        output = self.model(**inputs)
        states = getattr(output, "last_hidden_state", None)
        if states is None or states.shape[1] != output.logits.shape[1]:
            length = "none" if states is None else states.shape[1]
            raise ValueError(
                f"{type(self.model).__name__}: its last hidden states ({length}) are not one for each of its "
                f"{output.logits.shape[1]} queries, so its regions have no features; use a DETR-like model"
            )
        scores, labels = self._classes(output.logits.float()).max(-1)
        size = images[0].size
        boxes = box_convert(output.pred_boxes.float(), "cxcywh", "xyxy").clamp(0, 1)
        boxes = boxes * torch.tensor(size * 2, device=boxes.device)
        labels = torch.where(scores >= self.commit, labels, -1)
        return [self._keep(*parts, size) for parts in zip(boxes, labels, scores, states.float(), strict=True)]

    def _classes(self, logits: Tensor) -> Tensor:
        """Class probabilities [B, Q, C]: a softmax where the model has a last class "no object", else sigmoids."""
        if logits.shape[-1] == len(self.categories) + 1:
            return logits.softmax(-1)[..., :-1]
        return logits.sigmoid()

    def _keep(self, boxes: Tensor, labels: Tensor, scores: Tensor, states: Tensor, size: tuple[int, int]) -> Regions:
        wide = ((boxes[:, 2:] - boxes[:, :2]).amin(1) >= 1).nonzero()[:, 0]
        keep = wide[nms(boxes[wide], scores[wide], self.suppression)][: self.count]
        arrays: list[np.ndarray] = [part[keep].cpu().numpy() for part in (boxes, labels, scores, states)]
        return Regions(*arrays, size=size)
