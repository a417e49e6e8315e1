"""An image-text model's features of regions and of entities: the expert that says which teacher to trust (Eq. 11)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from groundgraph.data.read_ahead import THREADS
from groundgraph.data.types import Entity, Regions
from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS, located
from groundgraph.models.inference import quicken
from groundgraph.system import cores
from groundgraph.teachers.feature_map import MAP_SCALE, feature_map
from groundgraph.teachers.pixels import load_image_processor, pixel_values

PROMPTS = ("a photo of a {name}",)
RegionSource = Literal["crops", "map"]  # what a region's features are made of


class ImageTextModel:
    """CLIP, or any transformers model with `get_image_features` and `get_text_features`.

    Args:
        model: "bundled:clip", a hub id or a local folder, with its tokenizer and image settings.
        prompts: Sentences an entity is put into: {name} is its noun, {text} its phrase as it stands; the features of
            several are averaged.
        batch_size: Crops or sentences a forward pass.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.
        features: What a region's are: of its "crop", a forward pass each; or pooled from the "map" of one pass over the
            picture (`feature_map`), so many times cheaper.

    Raises:
        InputError: The model is missing or of another kind, gives no map, or a prompt has another placeholder.
    """

    def __init__(
        self,
        model: str = "bundled:clip",
        prompts: Sequence[str] = PROMPTS,
        batch_size: int = 64,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
        features: RegionSource = "crops",
    ) -> None:
        from transformers import AutoModel, AutoTokenizer

        import groundgraph.teachers.flat_resnet  # noqa: F401  (makes its model type known)

        self.prompts = tuple(prompts)
        for prompt in self.prompts:
            try:
                prompt.format(name="horse", text="a brown horse")
            except (KeyError, IndexError, ValueError) as error:
                raise InputError(f"the prompt {prompt!r} may hold {{name}} and {{text}}, nothing else") from error
        place = located(model, WEIGHTS, PREPARATION, TOKENIZER)
        try:
            with quietly():
                self.model = AutoModel.from_pretrained(place, dtype=torch.float32)
                self.tokenizer = AutoTokenizer.from_pretrained(place)
        except (OSError, KeyError) as error:
            raise InputError(f"no image-text model could be loaded from '{model}' ({error})") from error
        if not hasattr(self.model, "get_image_features") or not hasattr(self.model, "get_text_features"):
            raise InputError(
                f"'{model}' is a {self.model.config.model_type} model without image and text features: take a CLIP"
            )
        vision = getattr(self.model.config, "vision_config", None)
        self.image_processor = load_image_processor(place, getattr(vision, "image_size", None))
        self.limit = min(self.tokenizer.model_max_length, 512)
        self.device = device_of(device)
        self.dtype = dtype_of(precision, self.device)
        self.model.to(self.device, self.dtype).eval()
        if self.device.type == "cpu":
            quicken(self.model)
            self.pool = None
        else:  # the next batch's crops are resized while the GPU is at this one's
            self.pool = ThreadPoolExecutor(min(THREADS, cores()), "resizing")
        self.features = features
        self.batch_size = batch_size

    @torch.inference_mode()
    def region_features(self, images: Sequence[Image.Image], regions: Sequence[Regions]) -> list[np.ndarray]:
        """Return the features of every region: of its crop, or of its part of the picture's feature map.

        Args:
            images: B pictures.
            regions: The regions of each.

        Returns:
            B times [V, d] float32, of unit length.
        """
        if self.features == "map":
            return self._of_maps(images, regions)
        size = (self.image_processor.size["width"], self.image_processor.size["height"])

        def resized(place: tuple[Image.Image, list[float]]) -> Image.Image:
            image, box = place
            return image.resize(size, self.image_processor.resample, box=_inside(box, image.size))

        places = [(image, box) for image, own in zip(images, regions, strict=True) for box in own.boxes.tolist()]
        crops = self.pool.map(resized, places) if self.pool else map(resized, places)
        rows = [np.zeros((0, self.width), np.float32)]
        while batch := list(islice(crops, self.batch_size)):
            pixels = pixel_values(self.image_processor, batch, self.device).to(self.dtype)
            rows.append(_unit(self.model.get_image_features(pixel_values=pixels)))
        return np.split(np.concatenate(rows), np.cumsum([len(own) for own in regions])[:-1]) if regions else []

    def _of_maps(self, images: Sequence[Image.Image], regions: Sequence[Regions]) -> list[np.ndarray]:
        """The features of regions, pooled from one map a picture."""
        from groundgraph.vision.pooling import pool_regions  # with torchvision

        rows: list[np.ndarray] = []
        for start in range(0, len(images), self.batch_size):
            part, own = images[start : start + self.batch_size], regions[start : start + self.batch_size]
            pixels = pixel_values(self.image_processor, part, self.device, MAP_SCALE).to(self.dtype)
            shares = [torch.from_numpy(r.shares) for r in own]
            rows += [_unit(pooled) for pooled in pool_regions(feature_map(self.model, pixels).float(), shares)]
        return rows

    @torch.inference_mode()
    def entity_features(self, entities: Sequence[Entity]) -> np.ndarray:
        """Return the features of every entity's prompt sentences, averaged, of unit length: [E, d] float32."""
        if not entities:
            return np.zeros((0, self.width), np.float32)
        mean = sum(self._sentences([p.format(name=e.name, text=e.text) for e in entities]) for p in self.prompts)
        return (mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-12)).astype(np.float32)

    @property
    def width(self) -> int:
        """d, the width of the common space."""
        return int(self.model.config.projection_dim)

    def _sentences(self, texts: list[str]) -> np.ndarray:
        """Each different sentence is read once."""
        unique = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        sentences, rows = list(unique), []
        for start in range(0, len(sentences), self.batch_size):
            encoded = self.tokenizer(
                sentences[start : start + self.batch_size],
                padding=True,
                truncation=True,
                max_length=self.limit,
                return_tensors="pt",
            )
            rows.append(_unit(self.model.get_text_features(**encoded.to(self.device))))
        return np.concatenate(rows)[[unique[text] for text in texts]]


def _unit(output: Tensor | object) -> np.ndarray:
    """Features of unit length from what the model gives: a tensor, or an output whose pooled part they are."""
    features = output if isinstance(output, Tensor) else output.pooler_output
    return torch.nn.functional.normalize(features.float(), dim=-1).cpu().numpy()


def _inside(box: list[float], size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The box cut at the picture's edges, at least a pixel wide and high."""
    x0, y0 = (min(max(low, 0.0), side - 1.0) for low, side in zip(box[:2], size, strict=True))
    x1, y1 = (min(max(high, low + 1.0), float(side)) for high, low, side in zip(box[2:], (x0, y0), size, strict=True))
    return x0, y0, x1, y1
