"""The interaction-aware teacher: where a vision-language model looks for each entity of a caption (Eq. 7, 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from groundgraph.data.images import open_image
from groundgraph.data.types import Example, ParsedCaption, Regions
from groundgraph.experts import resolve
from groundgraph.language.pieces import length_limit, piece_mask, spans_of
from groundgraph.teachers.albef import AlbefConfig, AlbefModel
from groundgraph.teachers.gradcam import cam
from groundgraph.teachers.preparation import Preparation

TEMPERATURE = 1.0  # of Eq. 8, chosen on validation images


def region_scores(maps: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """How much of an entity's map lies in a region, over the root of its area (Eq. 7).

    maps   [E, h, w], not negative; each is divided by its maximum first (an all-zero map scores 0 everywhere)
    boxes  [V, 4] xyxy in pixels of a picture of `size` (width, height)
    returns [E, V] float32

    Areas are in cells of the map's grid, and a cell half inside counts half: a box covers a cell by the product of
    its shares of the cell's column and row, so all regions and entities are one product of three matrices.
    """
    entities, h, w = maps.shape
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    if not entities or not len(boxes):
        return np.zeros((entities, len(boxes)), np.float32)
    peak = maps.reshape(entities, -1).max(1)
    maps = maps / np.where(peak > 0, peak, 1)[:, None, None]
    columns = _coverage(boxes[:, 0] * (w / size[0]), boxes[:, 2] * (w / size[0]), w)
    rows = _coverage(boxes[:, 1] * (h / size[1]), boxes[:, 3] * (h / size[1]), h)
    # A box beyond the picture's edge counts for what is inside; one without area scores 0, not infinity.
    area = columns.sum(1) * rows.sum(1)
    inside = np.einsum("vh,ehw,vw->ev", rows, maps, columns, optimize=True)
    return (inside / np.sqrt(np.maximum(area, 1e-6))).astype(np.float32)


def _coverage(start: np.ndarray, end: np.ndarray, cells: int) -> np.ndarray:
    """Shares of each of `cells` unit cells that [start, end) covers: [V] and [V] -> [V, cells]."""
    edges = np.arange(cells, dtype=np.float32)
    return np.clip(np.minimum(edges + 1, end[:, None]) - np.maximum(edges, start[:, None]), 0, 1)


def interaction_targets(scores: np.ndarray, temperature: float) -> np.ndarray:
    """[E, V] scores -> softmax over the regions of temperature times the scores (Eq. 8); no region, no column."""
    if not scores.shape[1]:
        return scores.astype(np.float32)
    shifted = temperature * (scores - scores.max(1, keepdims=True))
    weights = np.exp(shifted)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


class InteractionTeacher:
    """Targets from a vision-language model's Grad-CAM.

    model        "bundled:vl", a hub id or a local folder of an `AlbefModel` with its tokenizer and image settings
    layer        the cross-attending layer, counted from 0 among all text layers; None = the model's own choice
    temperature  of Eq. 8
    batch        pictures a forward pass
    beyond       counts the entities that stood beyond the model's length so far: their rows are uniform
    Raises ValueError where the model is missing or is of another kind.
    """

    def __init__(
        self,
        model: str = "bundled:vl",
        layer: int | None = None,
        temperature: float = TEMPERATURE,
        batch: int = 16,
        device: str | None = None,
    ):
        from transformers import AutoConfig, AutoTokenizer

        place = resolve(model)
        try:
            config = AutoConfig.from_pretrained(place)
            if not isinstance(config, AlbefConfig):
                raise ValueError(
                    f"'{model}' is a {config.model_type} model; the interaction-aware teacher takes ALBEF's"
                )
            self.model = AlbefModel.from_pretrained(place, dtype=torch.float32)
            self.tokenizer = AutoTokenizer.from_pretrained(place)
        except (OSError, KeyError) as error:
            raise ValueError(f"no vision-language model could be loaded from '{model}' ({error})") from error
        self.preparation = Preparation.from_pretrained(place, getattr(config.vision_config, "image_size", None))
        self.limit = length_limit(self.tokenizer, config.text_config.max_position_embeddings)
        self.device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        self.model.to(self.device).eval()
        self.layer, self.temperature, self.batch, self.beyond = layer, temperature, batch, 0

    def targets(
        self, images: Sequence[Image.Image], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """For each image and caption, [E, V] float32 (Eq. 8); a row is uniform where the map is all zero."""
        out = []
        for found, maps in zip(regions, self.maps(images, captions), strict=True):
            own = [interaction_targets(region_scores(m, found.boxes, found.size), self.temperature) for m in maps]
            out.append(own)
        return out

    def targets_of(
        self, examples: Sequence[Example], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """The same for stored images, opened here; one without a region or an entity is not even opened."""
        needed = [
            i for i, texts in enumerate(captions) if len(regions[i]) and any(caption.entities for caption in texts)
        ]
        pictures = [open_image(examples[i].path) for i in needed]
        found = self.targets(pictures, [regions[i] for i in needed], [captions[i] for i in needed])
        out = [[np.zeros((len(c.entities), len(regions[i])), np.float32) for c in t] for i, t in enumerate(captions)]
        for i, rows in zip(needed, found, strict=True):
            out[i] = rows
        return out

    def maps(
        self, images: Sequence[Image.Image], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Grad-CAM maps of every entity: for each image and caption, [E, h, w] float32, not normalised."""
        if len(images) != len(captions):
            raise ValueError(f"{len(images)} images but captions of {len(captions)}")
        out: list[list[np.ndarray]] = [[] for _ in images]
        # Images of like caption counts go together, so that few rows are padding.
        order = sorted(range(len(images)), key=lambda i: len(captions[i]))
        for start in range(0, len(order), self.batch):
            part = order[start : start + self.batch]
            for i, own in zip(part, self._maps([images[i] for i in part], [captions[i] for i in part]), strict=True):
                out[i] = own
        return out

    def _maps(self, images: list[Image.Image], captions: list[Sequence[ParsedCaption]]) -> list[list[np.ndarray]]:
        most = max((len(texts) for texts in captions), default=0)
        if not most:
            return [[] for _ in images]
        rows = [[*texts, *[ParsedCaption("")] * (most - len(texts))] for texts in captions]
        flat = [caption for row in rows for caption in row]
        encoded = self.tokenizer(
            [caption.text for caption in flat],
            padding=True,
            truncation=True,
            max_length=self.limit,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        ids, mask = (encoded[k].view(len(images), most, -1).to(self.device) for k in ("input_ids", "attention_mask"))
        with torch.no_grad():
            states = self.model.image_states(self.preparation(images).to(self.device))
        found = cam(self.model, states, ids, mask, self.layer).flatten(0, 1)  # [B * K, T, h, w]
        which, spans = spans_of(flat)
        pieces = piece_mask(encoded["offset_mapping"].numpy(), which, spans)
        self.beyond += int((~pieces.any(1)).sum())
        weights = torch.from_numpy(pieces / np.maximum(pieces.sum(1, keepdims=True), 1)).to(found)
        merged = torch.einsum("et,ethw->ehw", weights, found[torch.from_numpy(which).to(found.device)]).cpu().numpy()
        parts = np.split(merged, np.cumsum([len(caption.entities) for caption in flat])[:-1])
        return [parts[b * most : b * most + len(texts)] for b, texts in enumerate(captions)]
