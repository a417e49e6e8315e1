"""Teachers: the object-aware targets (Eq. 6), and the scores that make the interaction-aware ones (Eq. 7).

Reads the examples, parsed captions and regions; writes teachers/SPLIT, a store each, columns object [E, V], scores
[E, V], which are Eq. 7 by cells, and cell_side [1], times which they are Eq. 7 by pixels. Of the measured split of a
data set that has others nothing is asked: nothing is trained on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.images import open_image
from groundgraph.data.ragged import Ragged
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Regions
from groundgraph.engine.extraction import Columns, Extraction, beyond, extract
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS
from groundgraph.stages.config import InteractionConfig
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import label_settings
from groundgraph.stages.examples import examples, ids_by_split, image_ids
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import parsed
from groundgraph.stages.places import WEIGHT_FILES
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.teachers.interaction import InteractionTeacher, cell_side, interaction_targets, region_scores


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe of which a grounder is taught."""
    if not recipe.needs_teachers:
        return []
    config = recipe.interaction
    models = [model for model in (config.model, config.tokenizer) if model] if config else []
    # The scale of Eq. 7 and the temperature of Eq. 8 count where the scores are read.
    settings = [config.model_dump(exclude={"area", "temperature"}), recipe.precision] if config else []
    return [
        Stage(
            "teachers",
            needs=("examples", "parsed", "regions"),
            settings=[*settings, label_settings(recipe)],
            files=lambda: [model_identity(model) for model in models],
            work=teach,
            cost=per_image(recipe.taught_splits, "ask teachers: {images:,} images", seconds=6),
            requirements=lambda: _requirements(config) if config else [],
            spread=True,
        )
    ]


def teach(run: Run, folder: Path) -> dict[str, Any]:
    """Ask both teachers, or one, about every image that is trained on."""
    splits, counts = run.recipe.taught_splits, Counter[str]()
    unread = extract(run, folder, EXTRACTION, ids_by_split(run, splits))
    for split in splits:
        store = Ragged(folder / split)
        counts["entities"] += int(store.lengths("object").sum())
        counts["entities whose category the detector found"] += sum(
            int((store.column(name, "object").sum(1) > 0).sum()) for name in store
        )
    return dict(counts) | beyond("entities beyond the vision-language model's length", unread)


class Teachers:
    """Both teachers, or the object-aware one alone."""

    def __init__(self, run: Run, folder: Path) -> None:
        config = run.recipe.interaction
        self.run = run
        self.interaction = InteractionTeacher(**config.model_dump(), **run.placement) if config else None

    @property
    def beyond(self) -> int:
        """How many entities stood beyond the vision-language model's length so far."""
        return self.interaction.truncated if self.interaction else 0

    def __call__(self, split: str, part: slice) -> Iterator[dict[str, np.ndarray]]:
        """The targets of a slice's entities of a split."""
        proposals, targets = regions(self.run, split)[part], object_aware(self.run, split, part)
        for own, found, maps in zip(targets, proposals, self._maps(split, part, proposals), strict=True):
            scores, side = np.zeros_like(own), 1.0
            if maps:
                scores = np.concatenate([region_scores(m, found.boxes, found.size) for m in maps])
                side = cell_side(maps[0].shape[1:], found.size)
            yield {"object": own, "scores": scores, "cell_side": np.array([side], np.float32)}

    def _maps(self, split: str, part: slice, proposals: Sequence[Regions]) -> list[list[np.ndarray]]:
        """Activation maps [E, h, w] of each image's captions; none of an image without regions to look for."""
        maps: list[list[np.ndarray]] = [[] for _ in proposals]
        full = [i for i, found in enumerate(proposals) if len(found)]
        if self.interaction and full:
            images, captions = examples(self.run, split)[part], parsed(self.run, split)[part]
            pictures = [open_image(images[i].path) for i in full]
            rows = self.interaction.model.activation_maps(pictures, [captions[i] for i in full])
            for i, own in zip(full, rows, strict=True):
                maps[i] = own
        return maps


EXTRACTION = Extraction(Teachers, "asking the teachers about {} images", Columns("object", "scores", "cell_side"))


@kept("teachers")
def targets(run: Run, split: str) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """The object-aware and the interaction-aware targets [E, V] of a split's images; a teacher left out is silent.

    The stored scores (Eq. 7) become targets here (Eq. 8), so that another scale or temperature costs nothing.
    """
    store, ids, config = Ragged(run.folder / "teachers" / split), image_ids(run, split), run.recipe.teachers

    def read(i: int) -> tuple[np.ndarray, np.ndarray]:
        stored = store[ids[i]]
        object_, scores = stored["object"] if config.object else np.zeros_like(stored["object"]), stored["scores"]
        if not config.interaction:
            return object_, scores
        side = stored["cell_side"] if config.interaction.area == "pixels" else 1
        return object_, interaction_targets(scores * side, config.interaction.temperature)

    return Lazy(len(ids), read)


def _requirements(config: InteractionConfig) -> list[Need]:
    key = "teachers.interaction"
    needs = [need_model("vision-language model", config.model, f"{key}.model", WEIGHTS, TOKENIZER, PREPARATION)]
    if config.tokenizer or config.model.endswith(WEIGHT_FILES):
        tokenizer = config.tokenizer or "bert-base-uncased"
        needs.append(need_model("its tokenizer", tokenizer, f"{key}.tokenizer", TOKENIZER))
    return needs
