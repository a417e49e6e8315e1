"""Reliability: how far each teacher is trusted on each entity, by the image-text model (Eq. 10-11).

Reads the examples, parsed captions, regions, crops and teachers; writes reliability/SPLIT, a store each, column
weights [E, T].
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.ragged import Ragged
from groundgraph.engine.extraction import CHUNK, Columns, Extraction, extract
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.stages.cost import per_image
from groundgraph.stages.crops import crops
from groundgraph.stages.detector_labels import label_settings
from groundgraph.stages.examples import ids_by_split, image_ids
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.phrases import phrase_needs, phrase_settings
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.teachers import targets
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.teachers.fusion import expert_weights


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe whose teachers an image-text model weighs; it brings its model with the crops."""
    if not recipe.needs_expert:
        return []
    teachers = (*(("teachers",) if recipe.interaction else ()), *phrase_needs(recipe))
    return [
        Stage(
            "reliability",
            needs=("examples", "parsed", "regions", "crops", *teachers),
            settings=[
                recipe.teachers.expert.model_dump(),
                recipe.precision,
                recipe.interaction and recipe.interaction.sharpness,
                label_settings(recipe),
                *phrase_settings(recipe),
            ],
            work=weigh,
            cost=per_image(recipe.taught_splits, "weigh teachers: {images:,} images", seconds=0.5),
            spread=True,
        )
    ]


def weigh(run: Run, folder: Path) -> dict[str, Any]:
    """Weigh the teachers of every entity."""
    splits, entities_of_both, trust = run.recipe.taught_splits, 0, 0.0
    extract(run, folder, EXTRACTION, ids_by_split(run, splits))
    for split in splits:
        weights = Ragged(folder / split)
        for name, pair in zip(image_ids(run, split), targets(run, split), strict=True):
            both = np.logical_and(*(own.sum(1) > 0 for own in pair[:2]))
            entities_of_both += int(both.sum())
            trust += float(weights.column(name, "weights")[both, 0].sum(dtype=np.float64))
    mean = trust / entities_of_both if entities_of_both else None
    return {"entities with two teachers": entities_of_both, "mean weight of the object-aware teacher": mean}


class Weigher:
    """The image-text model, reading sentences; crops and targets are compared as they were stored."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, config = run, run.recipe.teachers.expert
        self.expert = ImageTextModel(config.model, config.prompts, **run.placement)
        self.temperature = config.temperature

    def __call__(self, split: str, part: slice) -> Iterator[dict[str, np.ndarray]]:
        """The weights of a slice's entities of a split."""
        ids, features = image_ids(self.run, split)[part], crops(self.run, split)
        words = [entities(captions) for captions in parsed(self.run, split)[part]]
        sentences = self.expert.entity_features([entity for own in words for entity in own])
        parts = np.split(sentences, np.cumsum([len(own) for own in words])[:-1])
        for image_id, own, stacked in zip(ids, parts, targets(self.run, split)[part], strict=True):
            tensors = map(torch.from_numpy, (np.stack(stacked, 1), features.column(image_id, "features"), own))
            yield {"weights": expert_weights(*tensors, self.temperature).numpy()}


# The more images at once, the fewer sentences are read again.
EXTRACTION = Extraction(Weigher, "weighing the teachers of {} images", Columns("weights"), CHUNK * 16)


@kept("reliability")
def reliability(run: Run, split: str) -> Ragged:
    """A split's weights of the teachers, by image id."""
    return Ragged(run.folder / "reliability" / split)
