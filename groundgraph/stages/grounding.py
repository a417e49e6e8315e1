"""Grounding: which region each entity means, by every method of the recipe.

A grounder that learns reads the examples, parsed captions, regions and text, and if it is taught the teachers and their
reliability; a rule reads no text. Writes grounding-METHOD/SPLIT.safetensors, the scores [E, V] of each image of the
training and the measured split, and of a grounder of pairs the best of each triplet, pairs [T, K, 2] with pair_scores
[T, K]; of one that learns also the model and curves.json.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ragged import Ragged, write_ragged
from groundgraph.data.types import CandidatePairs
from groundgraph.engine.extraction import CHUNK
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Cost, Stage
from groundgraph.grounding import build_grounder
from groundgraph.grounding.data import GroundingImage
from groundgraph.grounding.learned import Grounded
from groundgraph.grounding.sgnls import labelled_image
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import label_settings
from groundgraph.stages.examples import image_ids
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import parsed, triplet_rows
from groundgraph.stages.phrases import phrase_needs, phrase_settings
from groundgraph.stages.progress import done_of
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions
from groundgraph.stages.reliability import reliability
from groundgraph.stages.teachers import targets
from groundgraph.stages.text import text

PAIRS = 32  # of regions that are kept of a triplet, the best


def stage_of(method: str) -> str:
    """The name of a method's stage."""
    return f"grounding-{method}"


def build(recipe: Recipe) -> list[Stage]:
    """A stage a method of a recipe that grounds."""
    stages, needed = [], ("examples", "parsed", "regions")
    for name, method in recipe.methods.items():
        if not method.grounds:
            continue
        if not method.learns:
            cost = per_image(recipe.scored, "match regions: {images:,} images")
            settings, work = label_settings(recipe), partial(match, method=name)
            stages.append(Stage(stage_of(name), needed, settings=settings, work=work, cost=cost))
            continue
        settings, needs = [recipe.grounding.model_dump(), recipe.seed], [*needed, "text"]
        if method.taught:  # by whom; on what labels, and how sharp Eq. 8 is
            settings.append(recipe.teachers.object and label_settings(recipe))
            if recipe.interaction:
                settings.append(recipe.interaction.sharpness)
                needs.append("teachers")
            settings += phrase_settings(recipe)
            needs += phrase_needs(recipe)
            if recipe.needs_expert and recipe.fusings[name] == "expert":
                needs.append("reliability")
        work, cost = partial(train, method=name), _cost(recipe, name, method.seconds)
        stages.append(Stage(stage_of(name), tuple(needs), settings, work, shared=True, cost=cost))
    return stages


def _cost(recipe: Recipe, method: str, seconds: float) -> Cost:
    epochs = recipe.grounding.epochs

    def images(counts: Mapping[str, int]) -> int:
        return epochs * counts["train"] + sum(counts[split] for split in recipe.scored)

    return Cost(images, lambda counts: f"train {method}: {epochs} epochs of {counts['train']:,} images", seconds)


def train(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Train a grounder and score every region for every entity.

    A training that is broken off goes on from its checkpoint with the same losses.
    """
    epochs, fusing = run.recipe.grounding.epochs, run.recipe.fusings.get(method)
    images = {split: grounding_images(run, split, fusing) for split in run.recipe.splits}
    grounder = build_grounder(method, run.recipe.grounding)
    with run.progress(f"training the grounder ({method})", epochs) as advance:
        done = done_of(advance)
        curves = grounder.train(
            images["train"],
            images.get("validation", []),
            run.recipe.seed,
            lambda batches, total, _: done(batches * epochs // total),
            checkpoint=run.scratch() / "training.pt",
            ranks=run.processes,
            device=run.device,
        )
    if not run.processes.first:
        return {}
    grounder.save(folder)
    (folder / "curves.json").write_text(json.dumps(curves), encoding="utf-8")
    for split in run.recipe.scored:
        _write(folder, run, split, grounder.ground(images[split], PAIRS if run.recipe.methods[method].pairs else 0))
    parameters = sum(p.numel() for p in grounder.model.parameters())
    return {"parameters": parameters, "precision": run.recipe.grounding.precision}


def match(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Score every region for every entity by a rule, which reads the detector's categories and scores alone."""
    for split in run.recipe.scored:
        count, scores, proposals = len(image_ids(run, split)), [], regions(run, split)
        with run.progress(f"matching regions of {split} images", count) as advance:
            for start in range(0, count, CHUNK):
                rows = object_aware(run, split)[start : start + CHUNK]
                images = [labelled_image(row, proposals.scores_of(start + i)) for i, row in enumerate(rows)]
                scores += build_grounder(method).scores(images)
                advance(len(rows))
        _write(folder, run, split, [Grounded(own) for own in scores])
    return {"parameters": 0}


def _write(folder: Path, run: Run, split: str, images: list[Grounded]) -> None:
    columns = {"scores": [image.scores for image in images]}
    if images and images[0].pairs is not None:
        pairs = [image.pairs for image in images if image.pairs is not None]
        columns |= {"pairs": [p.regions.astype(np.int16) for p in pairs], "pair_scores": [p.scores for p in pairs]}
    write_ragged(folder / f"{split}.safetensors", image_ids(run, split), columns)


@kept("text")
def grounding_images(run: Run, split: str, fusing: str | None) -> Sequence[GroundingImage]:
    """What a grounder that learns is given of a split's images.

    Args:
        run: A run whose text is embedded.
        split: Whose images; nobody is taught of the measured split of a data set that has others.
        fusing: How the teachers are fused: with their targets, and their reliability where an expert weighs them, as
            far as the recipe has them. None: for one who is not taught.
    """
    recipe, ids, captions, proposals = run.recipe, image_ids(run, split), parsed(run, split), regions(run, split)
    taught = fusing is not None and split in recipe.taught_splits
    words = text(run, split)
    teachers = targets(run, split) if taught and recipe.needs_teachers else None
    weights = reliability(run, split) if taught and recipe.several_teachers and fusing == "expert" else None

    def read(i: int) -> GroundingImage:
        embedded, own = words[ids[i]], proposals[i]
        silent = np.zeros((len(embedded["embeddings"]), len(own)), np.float32)
        object_, interaction, *phrase = teachers[i] if teachers else (silent, None)
        return GroundingImage(
            embedded["embeddings"],
            own.features,
            object_,
            interaction,
            weights[ids[i]]["weights"] if weights else None,
            triplet_rows(captions[i]),
            embedded["predicates"],
            own.shares,
            own.scores,
            *phrase,
        )

    counts = dict(zip(words.ids, words.lengths("embeddings").tolist(), strict=True))
    return Lazy(len(ids), read, ([counts[image_id] for image_id in ids], proposals.counts()))


@kept("grounding-{1}")
def scores(run: Run, split: str, method: str) -> Sequence[np.ndarray]:
    """A method's grounding scores [E, V], an image at a time."""
    store, ids = Ragged(run.folder / stage_of(method) / f"{split}.safetensors"), image_ids(run, split)
    counts = regions(run, split).counts().tolist()

    def read(i: int) -> np.ndarray:
        if not counts[i]:
            return np.zeros((0, 0), np.float32)
        return store.column(ids[i], "scores").reshape(-1, counts[i])

    return Lazy(len(ids), read)


@kept("grounding-{1}")
def pairs(run: Run, split: str, method: str) -> Sequence[CandidatePairs]:
    """A method's best pairs of regions of each triplet, an image at a time."""
    store, ids = Ragged(run.folder / stage_of(method) / f"{split}.safetensors"), image_ids(run, split)

    def read(i: int) -> CandidatePairs:
        own = store[ids[i]]
        return CandidatePairs(own["pairs"].astype(np.int64), own["pair_scores"])

    return Lazy(len(ids), read)
