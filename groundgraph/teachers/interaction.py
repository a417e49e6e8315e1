"""The interaction-aware teacher: where a vision-language model looks for each entity of a caption (Eq. 7, 8)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.errors import InputError
from groundgraph.models.device import Precision
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS, located
from groundgraph.teachers import albef, albef_checkpoint, blip
from groundgraph.teachers.vision_language import Looker

TEMPERATURE = 1.0  # of Eq. 8, chosen on validation images

# What kind of model a name stands for -> who opens it: a file by its ending, a folder or hub id by its model_type.
# Each takes (place, layer, tokenizer, image_size, batch, device, precision); a new kind is a new file and a line here.
KINDS: dict[str, Callable[..., Looker]] = {
    "albef": albef.open_looker,
    ".pth": albef_checkpoint.open_looker,
    "blip": blip.open_looker,
}


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
    """Targets from where a vision-language model looks.

    model        "bundled:vl"; a hub id or local folder of an `AlbefModel` or of transformers' BLIP for image-text
                 retrieval; or a file of ALBEF's authors, such as ALBEF.pth or refcoco.pth
    layer        the cross-attending layer, counted from 0 among all text layers; None = the model's own choice
    temperature  of Eq. 8
    tokenizer    a folder, hub id or package:NAME; None = the model's own (for a .pth file bert-base-uncased)
    image_size   side in pixels that pictures are resized to; None = the model's own. Positions are interpolated
    batch        pictures a forward pass
    device, precision  see `groundgraph.models.device`
    Raises InputError where the model is missing or is of another kind.
    """

    def __init__(
        self,
        model: str = "bundled:vl",
        layer: int | None = None,
        temperature: float = TEMPERATURE,
        tokenizer: str | None = None,
        image_size: int | None = None,
        batch: int = 16,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ):
        kind, place = kind_of(model)
        self.looker = KINDS[kind](
            place,
            layer=layer,
            tokenizer=tokenizer,
            image_size=image_size,
            batch=batch,
            device=device,
            precision=precision,
        )
        self.temperature = temperature

    @property
    def beyond(self) -> int:
        """How many entities stood beyond the model's length so far: their rows are uniform."""
        return self.looker.beyond

    def scores(
        self, images: Sequence[Image.Image], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """For each image and caption, [E, V] float32 (Eq. 7), which no temperature touches."""
        looked = zip(regions, self.looker.maps(images, captions), strict=True)
        return [[region_scores(m, found.boxes, found.size) for m in maps] for found, maps in looked]

    def targets(
        self, images: Sequence[Image.Image], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """For each image and caption, [E, V] float32 (Eq. 8); a row is uniform where the map is all zero."""
        scored = self.scores(images, regions, captions)
        return [[interaction_targets(own, self.temperature) for own in scores] for scores in scored]


def kind_of(model: str) -> tuple[str, str]:
    """A model's name -> its key in `KINDS` and the file, folder or hub id it stands for. ValueError if unknown."""
    from transformers import AutoConfig

    ending = Path(model).suffix
    if ending in KINDS:
        return ending, str(Path(model).expanduser())
    place = located(model, WEIGHTS, PREPARATION, TOKENIZER)
    try:
        kind = AutoConfig.from_pretrained(place).model_type
    except (OSError, KeyError) as error:
        raise InputError(f"no vision-language model could be loaded from '{model}' ({error})") from error
    if kind not in KINDS:
        raise InputError(f"'{model}' is a {kind} model; the interaction-aware teacher takes {', '.join(KINDS)}")
    return kind, place
