"""The interaction-aware teacher: where a vision-language model looks for each entity of a caption (Eq. 7, 8)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image

from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.errors import InputError
from groundgraph.models.device import Precision
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS, located
from groundgraph.registry import lookup
from groundgraph.teachers import VISION_LANGUAGE_MODELS

TEMPERATURE = 1.0  # of Eq. 8, chosen on validation images
Area = Literal["cells", "pixels"]  # what |b_j| of Eq. 7 is counted in, and the places that it sums over


class VisionLanguageModel(Protocol):
    """Any model that can say where in a picture an entity of its caption is.

    Attributes:
        truncated: How many entities it could not read so far, beyond its greatest length: their maps are zero.
    """

    truncated: int

    def activation_maps(
        self, images: Sequence[Image.Image], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Return for each image and caption [E, h, w] float32, not negative; the grid covers the whole picture."""
        ...


def region_scores(maps: np.ndarray, boxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return how much of an entity's activation map lies in a region, over the root of its area (Eq. 7).

    Areas are in cells of the map's grid, and a cell half inside counts half: a box covers a cell by the product of
    its shares of the cell's column and row, so all regions and entities are one product of three matrices. Times
    `cell_side` it is Eq. 7 by pixels.

    Args:
        maps: [E, h, w], not negative; each is divided by its maximum first (an all-zero map scores 0 everywhere).
        boxes: [V, 4] xyxy in pixels.
        size: Width and height of the picture in pixels.

    Returns:
        [E, V] float32.
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


def cell_side(grid: tuple[int, int], size: tuple[int, int]) -> float:
    """Return the root of a cell's area in pixels, by which Eq. 7 is greater when it counts pixels, as released.

    The sum over a region grows by the pixels of a cell, the root of its area by their root.

    Args:
        grid: Rows and columns of the activation maps.
        size: Width and height of the picture in pixels.
    """
    return (size[0] * size[1] / max(grid[0] * grid[1], 1)) ** 0.5  # a caption without entities may have no grid


def interaction_targets(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Return the softmax over the regions of scores divided by a temperature (Eq. 8).

    Args:
        scores: [E, V].
        temperature: The greater, the more even; the paper has none, which is 1.

    Returns:
        [E, V] float32.
    """
    if not scores.shape[1]:
        return scores.astype(np.float32)
    weights = np.exp((scores - scores.max(1, keepdims=True)) / temperature)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)


class InteractionTeacher:
    """Targets from where a vision-language model looks.

    Args:
        model: "bundled:vl"; a hub id or local folder of an `AlbefModel` or of transformers' BLIP for image-text
            retrieval; a file of ALBEF's authors, such as ALBEF.pth or refcoco.pth; or another kind registered in
            `VISION_LANGUAGE_MODELS`.
        layer: The cross-attending layer, counted from 0 among all text layers; None: the model's own choice.
        area: Of Eq. 7: "cells" of the map, or "pixels" of the picture, which makes scores greater by `cell_side`.
        temperature: Of Eq. 8.
        tokenizer: A folder, hub id or package:NAME; None: the model's own (for a .pth file bert-base-uncased).
        image_size: Side in pixels that pictures are resized to, positions being interpolated; None: the model's own.
        batch_size: Pictures a forward pass.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Raises:
        InputError: The model is missing or of another kind.
    """

    def __init__(
        self,
        model: str = "bundled:vl",
        layer: int | None = None,
        area: Area = "cells",
        temperature: float = TEMPERATURE,
        tokenizer: str | None = None,
        image_size: int | None = None,
        batch_size: int = 16,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        kind, place = kind_of(model)
        self.model: VisionLanguageModel = lookup(VISION_LANGUAGE_MODELS, kind, "vision-language model")(
            place,
            layer=layer,
            tokenizer=tokenizer,
            image_size=image_size,
            batch_size=batch_size,
            device=device,
            precision=precision,
        )
        self.area, self.temperature = area, temperature

    @property
    def truncated(self) -> int:
        """How many entities stood beyond the model's greatest length so far: their rows are uniform."""
        return self.model.truncated

    def targets(
        self, images: Sequence[Image.Image], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Return for each image and caption [E, V] float32 (Eq. 8); a row is uniform where the map is all zero.

        Args:
            images: B pictures.
            regions: The regions of each.
            captions: The captions of each.
        """
        maps = self.model.activation_maps(images, captions)
        return [[self.targets_of(m, r) for m in own] for r, own in zip(regions, maps, strict=True)]

    def targets_of(self, maps: np.ndarray, regions: Regions) -> np.ndarray:
        """Return the targets [E, V] float32 that one caption's activation maps make (Eq. 7, 8).

        Args:
            maps: [E, h, w], of `model`.
            regions: Of the picture.
        """
        side = cell_side(maps.shape[1:], regions.size) if self.area == "pixels" else 1.0
        return interaction_targets(region_scores(maps, regions.boxes, regions.size) * side, self.temperature)


def kind_of(model: str) -> tuple[str, str]:
    """Return a model's key in `VISION_LANGUAGE_MODELS` and the file, folder or hub id that its name stands for.

    Args:
        model: What a recipe's `teachers.interaction.model` says.

    Raises:
        InputError: There is no such model, or it is of no kind in the registry.
    """
    from transformers import PreTrainedConfig

    ending = Path(model).suffix
    if ending in VISION_LANGUAGE_MODELS:
        return ending, str(Path(model).expanduser())
    place = located(model, WEIGHTS, PREPARATION, TOKENIZER)
    try:
        kind = PreTrainedConfig.get_config_dict(place)[0]["model_type"]  # AutoConfig would have to know the kind
    except (OSError, KeyError, TypeError) as error:
        raise InputError(f"no vision-language model could be loaded from '{model}' ({error})") from error
    if kind not in VISION_LANGUAGE_MODELS:
        kinds = ", ".join(VISION_LANGUAGE_MODELS)
        raise InputError(f"'{model}' is a {kind} model; the interaction-aware teacher takes {kinds}")
    return kind, place
