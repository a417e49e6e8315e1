"""Phrases: which regions a detector that reads phrases finds for what entities do, the third teacher's targets.

Reads the examples, parsed captions and regions; writes phrases/SPLIT, a store each, column targets [E, V]. Of the
measured split of a data set that has others nothing is asked. Without a detector of its own this teacher reads the
regions' labels, and is asked where its targets are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from groundgraph.stages.detector_labels import label_settings
from groundgraph.stages.examples import examples, expect_pictures, ids_by_split, image_ids
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.reading import Lazy
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.teachers.phrase import PhraseTeacher, nearby_targets


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe of which a grounder is taught by a detector that reads phrases."""
    model = recipe.phrase and recipe.phrase.model
    if not model:
        return []
    parts = (WEIGHTS, TOKENIZER, PREPARATION)
    return [
        Stage(
            "phrases",
            needs=("examples", "parsed", "regions"),
            settings=[model, recipe.precision],
            files=lambda: model_identity(model),
            work=look_for_phrases,
            cost=per_image(recipe.taught_splits, "look for phrases: {images:,} images", seconds=2000),
            requirements=lambda: [need_model("detector that reads phrases", model, "teachers.phrase.model", *parts)],
            spread=True,
        )
    ]


def phrase_needs(recipe: Recipe) -> tuple[str, ...]:
    """What a stage that reads the third teacher's targets needs besides the regions and captions."""
    return ("phrases",) if recipe.phrase and recipe.phrase.model else ()


def phrase_settings(recipe: Recipe) -> list[Any]:
    """What the third teacher's targets depend on, of a stage that reads them; none without that teacher."""
    return [recipe.phrase.model_dump(), label_settings(recipe)] if recipe.phrase else []


def look_for_phrases(run: Run, folder: Path) -> dict[str, Any]:
    """Ask the detector about every image that is trained on."""
    splits = run.recipe.taught_splits
    extract(run, folder, EXTRACTION, ids_by_split(run, splits))
    return {"entities": sum(int(Ragged(folder / split).lengths("targets").sum()) for split in splits)}


class PhraseFinder:
    """The detector that reads phrases."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.pictures = run, ReadAhead(run.device.type)
        self.teacher = PhraseTeacher(run.recipe.phrase.model, **run.placement)

    def __call__(self, split: str, part: slice) -> Iterator[dict[str, np.ndarray]]:
        """The targets of a slice's entities of a split."""
        proposals, captions = regions(self.run, split)[part], parsed(self.run, split)[part]
        images = examples(self.run, split)[part]
        full = [i for i, own in enumerate(proposals) if len(own)]
        expect_pictures(self.run, self.pictures, split, part)
        pictures = [self.pictures.open(images[i].path) for i in full]
        rows = self.teacher.targets(pictures, [proposals[i] for i in full], [captions[i] for i in full])
        by_image = dict(zip(full, rows, strict=True))
        for i, (own, candidates) in enumerate(zip(captions, proposals, strict=True)):
            targets = np.zeros((len(entities(own)), len(candidates)), np.float32)
            yield {"targets": np.concatenate([targets[:0], *by_image[i]]) if i in by_image else targets}


EXTRACTION = Extraction(PhraseFinder, "looking for phrases in {} images", Columns("targets"))


def phrase_targets(run: Run, split: str) -> Sequence[np.ndarray]:
    """The third teacher's targets [E, V] of a split's images."""
    ids = image_ids(run, split)
    if run.recipe.phrase.model:
        store = Ragged(run.folder / "phrases" / split)
        return Lazy(len(ids), lambda i: store.column(ids[i], "targets"))
    captions, proposals, match = parsed(run, split), regions(run, split), object_aware(run, split)
    return Lazy(len(ids), lambda i: nearby_targets(captions[i], match[i] > 0, proposals[i]))
