"""Crops: what the image-text model makes of every region, once an image.

Reads the examples and regions; writes crops/SPLIT, a store each, column features [V, D].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ragged import Ragged
from groundgraph.data.read_ahead import ReadAhead
from groundgraph.engine.extraction import Columns, Extraction, extract
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import examples, expect_pictures, ids_by_split
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.teachers.expert import ImageTextModel


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe whose teachers an image-text model weighs, or whose scene-graph model starts from it."""
    splits = described_splits(recipe)
    if not splits:
        return []
    model, parts = recipe.teachers.expert.model, (WEIGHTS, TOKENIZER, PREPARATION)
    source = [recipe.teachers.expert.features] if recipe.teachers.expert.features != "crops" else []
    return [
        Stage(
            "crops",
            needs=("examples", "regions"),
            settings=[model, recipe.precision, *splits[len(recipe.taught_splits) :], *source],
            files=lambda: model_identity(model),
            work=describe,
            cost=per_image(splits, "look at regions: {images:,} images", seconds=9),
            requirements=lambda: [need_model("image-text model", model, "teachers.expert.model", *parts)],
            spread=True,
        )
    ]


def described_splits(recipe: Recipe) -> tuple[str, ...]:
    """The splits whose regions are looked at: all that a scene-graph model reads, or where teachers are weighed."""
    if recipe.sgg.start == "image-text":
        return tuple(dict.fromkeys((*recipe.taught_splits, *recipe.splits)))
    return recipe.taught_splits if recipe.needs_expert else ()


def describe(run: Run, folder: Path) -> dict[str, Any]:
    """Have the image-text model look at every region."""
    splits = described_splits(run.recipe)
    extract(run, folder, EXTRACTION, ids_by_split(run, splits))
    return {"crops": sum(int(Ragged(folder / split).lengths("features").sum()) for split in splits)}


class CropDescriber:
    """The image-text model, looking at crops."""

    def __init__(self, run: Run, folder: Path) -> None:
        config = run.recipe.teachers.expert
        self.run, self.pictures = run, ReadAhead(run.device.type)
        self.expert = ImageTextModel(config.model, features=config.features, **run.placement)

    def __call__(self, split: str, part: slice) -> list[dict[str, np.ndarray]]:
        """The features of a slice's regions of a split."""
        proposals, images = regions(self.run, split)[part], examples(self.run, split)[part]
        full = [i for i, one in enumerate(proposals) if len(one)]
        expect_pictures(self.run, self.pictures, split, part)
        pictures = [self.pictures.open(images[i].path) for i in full]
        features = dict(zip(full, self.expert.region_features(pictures, [proposals[i] for i in full]), strict=True))
        none = np.zeros((0, self.expert.width), np.float32)
        return [{"features": features.get(i, none)} for i in range(len(proposals))]


EXTRACTION = Extraction(CropDescriber, "looking at regions of {} images", Columns("features"))


@kept("crops")
def crops(run: Run, split: str) -> Ragged:
    """What the image-text model makes of a split's regions, by image id."""
    return Ragged(run.folder / "crops" / split)
