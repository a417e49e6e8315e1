"""Regions from any object detector of transformers (DETR, Deformable DETR, RT-DETR, D-FINE, YOLOS, ...)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.hub import PREPARATION, WEIGHTS, located
from groundgraph.vision.query_detector import QueryDetector


class TransformersDetector(QueryDetector):
    """A detector of a fixed list of classes, see `QueryDetector`."""

    @classmethod
    def load(
        cls, source: str | Path, *, count: int | None = None, device: str | torch.device = "auto", pooled: bool = False
    ) -> TransformersDetector:
        """Return the detector of a hub id or a local folder.

        Args:
            source: The hub id or folder.
            count: Regions an image at most; None: 36.
            device: See `groundgraph.models.device`.
            pooled: See `QueryDetector`.

        Raises:
            InputError: Transformers cannot load an object detector from it.
        """
        from transformers import AutoImageProcessor, AutoModelForObjectDetection

        place = located(source, WEIGHTS, PREPARATION)
        try:
            with quietly():
                processor = AutoImageProcessor.from_pretrained(place)
                model = AutoModelForObjectDetection.from_pretrained(place)
        except Exception as error:  # a damaged file makes the readers fail in any way: SafetensorError, KeyError, ...
            raise InputError(f"{source}: transformers cannot load an object detector from it ({error})") from error
        names = model.config.id2label
        categories = [names[i] for i in sorted(names)]
        return cls(model, processor, categories, count=count or 36, device=device, pooled=pooled)

    def prepare(self, images: list[Image.Image]) -> Any:
        """See `QueryDetector.prepare`."""
        return self.processor(images=images, return_tensors="pt").to(self.device)

    @torch.inference_mode()
    def detect_same_size(self, images: list[Image.Image]) -> list[Regions]:
        """See `QueryDetector.detect_same_size`."""
        return self.forward(images, self.prepare(images), self.probabilities_of)

    def probabilities_of(self, output: Any) -> Tensor:
        """Class probabilities [B, Q, C] of the model's output.

        A softmax where it has a last class "no object", else sigmoids.
        """
        logits = output.logits.float()
        if logits.shape[-1] == len(self.categories) + 1:
            return logits.softmax(-1)[..., :-1]
        return logits.sigmoid()
