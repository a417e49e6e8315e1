"""Regions with what the image-text model makes of their crops behind their features (`sgg.start: image-text`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from groundgraph.data.images import open_image
from groundgraph.data.types import Example, Regions
from groundgraph.engine.run import Run
from groundgraph.stages.crops import crops
from groundgraph.stages.examples import image_ids
from groundgraph.stages.reading import Lazy
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.teachers.expert import ImageTextModel

Viewer = Callable[[Sequence[Example], Sequence[Regions]], list[Regions]]
"""(images, the regions of each) -> the regions as a scene-graph model reads them."""


def viewed_regions(run: Run, split: str, ids: Sequence[str] | None = None) -> Sequence[Regions]:
    """A split's regions as its scene-graph model reads them, in the order of its examples or `ids`."""
    proposals = regions(run, split, ids)
    if run.recipe.system or run.recipe.sgg.start != "image-text":
        return proposals
    names, views = image_ids(run, split) if ids is None else ids, crops(run, split)
    return Lazy(len(names), lambda i: _viewed(proposals[i], views[names[i]]["features"]))


def viewer(recipe: Recipe) -> Viewer:
    """What regions of new images pass before a scene-graph model reads them."""
    if recipe.system or recipe.sgg.start != "image-text":
        return lambda images, proposals: list(proposals)
    config = recipe.teachers.expert
    expert = ImageTextModel(config.model, device=recipe.device, precision=recipe.precision, features=config.features)

    def view(images: Sequence[Example], proposals: Sequence[Regions]) -> list[Regions]:
        pictures = [open_image(example.path) for example in images]
        return [
            _viewed(own, rows) for own, rows in zip(proposals, expert.region_features(pictures, proposals), strict=True)
        ]

    return view


def _viewed(own: Regions, views: np.ndarray) -> Regions:
    return replace(own, features=np.concatenate([own.features, views.reshape(len(own), -1)], 1, dtype=np.float32))
