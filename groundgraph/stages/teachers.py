"""Teachers: the scores that make the interaction-aware targets (Eq. 7); and what all teachers say.

Reads the examples, parsed captions and regions; writes teachers/SPLIT, a store each, columns scores [E, V], which are
Eq. 7 by cells, and cell_side [1], times which they are Eq. 7 by pixels. Of the measured split of a data set that has
others nothing is asked: nothing is trained on it. The object-aware teacher (Eq. 6) is asked where its targets are read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ragged import Ragged
from groundgraph.data.read_ahead import ReadAhead
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Regions
from groundgraph.engine.extraction import Columns, Extraction, beyond, extract
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import examples, expect_pictures, ids_by_split, image_ids
from groundgraph.stages.needs import model_identity, need_model
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.phrases import phrase_targets
from groundgraph.stages.places import WEIGHT_FILES
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.stages.teacher_config import InteractionConfig
from groundgraph.teachers.interaction import InteractionTeacher, cell_side, interaction_targets, region_scores


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe of which a grounder is taught by the interaction-aware teacher."""
    config = recipe.interaction
    if config is None:
        return []
    models = [model for model in (config.model, config.tokenizer) if model]
    return [
        Stage(
            "teachers",
            needs=("examples", "parsed", "regions"),
            # The scale of Eq. 7 and the temperature of Eq. 8 count where the scores are read.
            settings=[config.model_dump(exclude={"area", "temperature"}), recipe.precision],
            files=lambda: [model_identity(model) for model in models],
            work=teach,
            cost=per_image(recipe.taught_splits, "ask teachers: {images:,} images", seconds=6),
            requirements=lambda: _requirements(config),
            spread=True,
        )
    ]


def teach(run: Run, folder: Path) -> dict[str, Any]:
    """Ask the vision-language model about every image that is trained on."""
    splits = run.recipe.taught_splits
    unread = extract(run, folder, EXTRACTION, ids_by_split(run, splits))
    count = sum(int(Ragged(folder / split).lengths("scores").sum()) for split in splits)
    return {"entities": count} | beyond("entities beyond the vision-language model's length", unread)


class ActivationScorer:
    """The vision-language model, whose activation maps become scores of regions."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.pictures = run, ReadAhead(run.device.type)
        self.interaction = InteractionTeacher(**run.recipe.interaction.model_dump(), **run.placement)

    @property
    def beyond(self) -> int:
        """How many entities stood beyond the vision-language model's length so far."""
        return self.interaction.truncated

    def __call__(self, split: str, part: slice) -> Iterator[dict[str, np.ndarray]]:
        """The scores of a slice's entities of a split."""
        proposals, captions = regions(self.run, split)[part], parsed(self.run, split)[part]
        for own, candidates, maps in zip(captions, proposals, self._maps(split, part, proposals), strict=True):
            scores, side = np.zeros((len(entities(own)), len(candidates)), np.float32), 1.0
            if maps:
                scores = np.concatenate([region_scores(m, candidates.boxes, candidates.size) for m in maps])
                side = cell_side(maps[0].shape[1:], candidates.size)
            yield {"scores": scores, "cell_side": np.array([side], np.float32)}

    def _maps(self, split: str, part: slice, proposals: Sequence[Regions]) -> list[list[np.ndarray]]:
        """Activation maps [E, h, w] of each image's captions; none of an image without regions to look for."""
        maps: list[list[np.ndarray]] = [[] for _ in proposals]
        full = [i for i, candidates in enumerate(proposals) if len(candidates)]
        if full:
            images, captions = examples(self.run, split)[part], parsed(self.run, split)[part]
            expect_pictures(self.run, self.pictures, split, part)
            pictures = [self.pictures.open(images[i].path) for i in full]
            rows = self.interaction.model.activation_maps(pictures, [captions[i] for i in full])
            for i, own in zip(full, rows, strict=True):
                maps[i] = own
        return maps


EXTRACTION = Extraction(ActivationScorer, "asking the teachers about {} images", Columns("scores", "cell_side"))


@kept("teachers")
def targets(run: Run, split: str) -> Sequence[tuple[np.ndarray, ...]]:
    """The targets [E, V] of the teachers of a split's images, in the order of `teachers.fusion`.

    The object-aware and the interaction-aware ones are there in any case, silent where the recipe leaves them out.

    The stored scores (Eq. 7) become targets here (Eq. 8), so that another scale or temperature costs nothing; so do the
    detector's labels (Eq. 6).
    """
    recipe, by_object, ids = run.recipe, object_aware(run, split), image_ids(run, split)
    config = recipe.interaction
    store = Ragged(run.folder / "teachers" / split) if config else None
    phrases = phrase_targets(run, split) if recipe.phrase else None

    def read(i: int) -> tuple[np.ndarray, ...]:
        silent = np.zeros_like(by_object[i])
        object_, interaction = by_object[i] if recipe.teachers.object else silent, silent
        if config and store:
            stored = store[ids[i]]
            side = stored["cell_side"] if config.area == "pixels" else 1
            interaction = interaction_targets(stored["scores"] * side, config.temperature)
        return object_, interaction, *(() if phrases is None else (phrases[i],))

    return Lazy(len(ids), read)


def _requirements(config: InteractionConfig) -> list[Need]:
    key = "teachers.interaction"
    needs = [need_model("vision-language model", config.model, f"{key}.model", WEIGHTS, TOKENIZER, PREPARATION)]
    if config.tokenizer or config.model.endswith(WEIGHT_FILES):
        tokenizer = config.tokenizer or "bert-base-uncased"
        needs.append(need_model("its tokenizer", tokenizer, f"{key}.tokenizer", TOKENIZER))
    return needs
