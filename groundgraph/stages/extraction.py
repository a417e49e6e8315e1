"""The stages that look at every image by itself: its regions, its words' embeddings, and what the teachers say.

What a stage computes of a slice of a split is a class that holds the models, made once in each process that works: in
this one, or in many (`groundgraph run --engine ray`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.files import write_json
from groundgraph.data.images import open_image
from groundgraph.data.store import NoRegions, Ragged, RegionsWriter, StoredRegions, write_regions
from groundgraph.data.types import Entity, Example, ParsedCaption, Regions
from groundgraph.engine.extraction import CHUNK, Columns, Extraction, beyond, extract
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.language.concepts import match_matrix
from groundgraph.language.encoder import TextEncoder
from groundgraph.stages import artifacts
from groundgraph.stages.proposals import OPEN, open_detector
from groundgraph.teachers.expert import ImageTextModel
from groundgraph.teachers.fusion import expert_weights
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.teachers.object import ObjectTeacher

Entries = Iterator[dict[str, np.ndarray]]


def find_regions(run: Run, folder: Path) -> dict[str, Any]:
    """Regions of every image, with labels, scores and features."""
    try:
        half = run.recipe.detector.store == "float16"
        extract(run, folder, replace(REGIONS, store=RegionStore(half)), images_of(run, run.recipe.splits))
    except NoRegions as error:
        why = run.skipped.items[-1] if run.skipped.items else run.recipe.detector.model
        raise InputError(f"no {error.path.name} image gave a region: {why}") from error
    found = [StoredRegions(folder / split).counts() for split in run.recipe.splits]
    return {"images": sum(map(len, found)), "regions": sum(int(counts.sum()) for counts in found)}


@dataclass(frozen=True)
class RegionStore:
    """Entries that are regions; half: their features are stored as float16."""

    half: bool = False

    def writer(self, path: Path) -> RegionsWriter:
        return RegionsWriter(path, self.half)

    def write(self, path: Path, ids: Sequence[str], entries: Sequence[Regions]) -> None:
        write_regions(path, ids, entries, self.half)


def images_of(run: Run, splits: Iterable[str]) -> dict[str, Sequence[str]]:
    """The ids of the splits' images, by split."""
    return {split: artifacts.names(run, split) for split in splits}


class RegionFinder:
    """The detector; what its labels mean becomes categories.json beside the stores."""

    def __init__(self, run: Run, folder: Path) -> None:
        wanted = run.recipe.detector
        named = looked_for(run) if wanted.kind == OPEN else ()
        self.run, self.detector = run, open_detector(wanted, *named, **run.placement)
        for split in run.recipe.splits:
            self.detector.expect(artifacts.examples(run, split))
        write_json(folder / "categories.json", list(self.detector.categories))

    def __call__(self, split: str, part: slice) -> Iterable[Regions | None]:
        return self.detector.detect(artifacts.examples(self.run, split)[part], self.run.skipped)


def looked_for(run: Run) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """What an open-vocabulary detector looks for: the evaluation vocabulary, and training images' own nouns."""
    vocabulary, nouns = artifacts.vocabulary(run)[0].names, {}
    if run.recipe.detector.asked == "nouns":
        for name, captions in zip(artifacts.names(run, "train"), artifacts.parsed(run, "train"), strict=True):
            nouns[name] = sorted({entity.name for caption in captions for entity in caption.entities}) or vocabulary
    return vocabulary, nouns


def embed_text(run: Run, folder: Path) -> dict[str, Any]:
    """E: every entity's embedding from its whole caption; and every triplet's predicate, by itself."""
    cut = extract(run, folder, TEXT, images_of(run, run.recipe.splits))
    count = sum(int(Ragged(folder / split).lengths("embeddings").sum()) for split in run.recipe.splits)
    return {"entities": count} | beyond("entities beyond the text encoder's length", cut)


class TextReader:
    """The text encoder."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, wanted = run, run.recipe.text
        self.encoder = TextEncoder(wanted.model, pool=wanted.pool, **run.placement)

    @property
    def beyond(self) -> int:
        return self.encoder.truncated

    def __call__(self, split: str, part: slice) -> Entries:
        images = artifacts.parsed(self.run, split)[part]
        said = dict.fromkeys(t.predicate for captions in images for caption in captions for t in caption.triplets)
        # Read again with every slice: what a word's embedding is must not depend on who read which slice before.
        rows = {word: row for row, word in enumerate(said)}
        alone = [ParsedCaption(w, (Entity(w, w, w, (0, len(w)), (0, len(w))),)) for w in rows]
        none = np.zeros((0, self.encoder.size), np.float32)
        table = np.concatenate([none, *self.encoder.embed(alone)])
        flat = iter(self.encoder.embed([caption for captions in images for caption in captions]))
        for captions in images:
            yield {
                "embeddings": np.concatenate([none, *islice(flat, len(captions))]),
                "predicates": table[[rows[t.predicate] for c in captions for t in c.triplets]],
            }


def teach(run: Run, folder: Path) -> dict[str, Any]:
    """The object-aware teacher's targets (Eq. 6), and the scores that make the interaction-aware one's (Eq. 7).

    Of the measured split of a data set that has others nothing is asked: nothing is trained on it.
    """
    cut, counts = extract(run, folder, TEACHERS, images_of(run, run.recipe.taught_splits)), Counter()
    for split in run.recipe.taught_splits:
        store = Ragged(folder / split)
        counts["entities"] += int(store.lengths("object").sum())
        counts["entities whose category the detector found"] += sum(
            int((store.column(name, "object").sum(1) > 0).sum()) for name in store
        )
    return dict(counts) | beyond("entities beyond the vision-language model's length", cut)


class Teachers:
    """Both teachers, or the object-aware one alone."""

    def __init__(self, run: Run, folder: Path) -> None:
        wanted = run.recipe.interaction
        self.run, self.looker = run, InteractionTeacher(**wanted.model_dump(), **run.placement) if wanted else None

    @property
    def beyond(self) -> int:
        return self.looker.truncated if self.looker else 0

    def __call__(self, split: str, part: slice) -> Entries:
        found, captions = artifacts.regions(self.run, split)[part], artifacts.parsed(self.run, split)[part]
        targets = object_aware(self.run, split, part)
        scores: list[list[np.ndarray] | None] = [None] * len(targets)
        if self.looker:
            scores = look(self.looker, artifacts.examples(self.run, split)[part], found, captions)
        for one, two in zip(targets, scores, strict=True):
            two = np.zeros_like(one) if two is None else np.concatenate([one[:0], *two], dtype=np.float32)
            yield {"object": one, "scores": two}


def object_aware(run: Run, split: str, part: slice) -> list[np.ndarray]:
    """The object-aware targets of some of a split's images, [E, V] float32 each (Eq. 6)."""
    found, captions = artifacts.regions(run, split)[part], artifacts.parsed(run, split)[part]
    targets = ObjectTeacher(artifacts.detector_categories(run), match_matrix).targets((), found, captions)
    none = [np.zeros((0, len(regions)), np.float32) for regions in found]
    return [np.concatenate([empty, *rows], dtype=np.float32) for empty, rows in zip(none, targets, strict=True)]


def look(
    teacher: InteractionTeacher, listed: list[Example], found: list[Regions], captions: list[list[ParsedCaption]]
) -> list[list[np.ndarray] | None]:
    """The interaction-aware teacher's scores of the images that have regions; the others have nothing to ask about."""
    full = [i for i, regions in enumerate(found) if len(regions)]
    answers: list[list[np.ndarray] | None] = [None] * len(listed)
    if full:
        images = [open_image(listed[i].path) for i in full]
        told = teacher.scores(images, [found[i] for i in full], [captions[i] for i in full])
        for i, rows in zip(full, told, strict=True):
            answers[i] = rows
    return answers


def describe_regions(run: Run, folder: Path) -> dict[str, Any]:
    """What the image-text model makes of every region's crop, once an image."""
    extract(run, folder, CROPS, images_of(run, run.recipe.taught_splits))
    return {"crops": sum(int(Ragged(folder / split).lengths("features").sum()) for split in run.recipe.taught_splits)}


class CropDescriber:
    """The image-text model, looking at crops."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.expert = run, ImageTextModel(run.recipe.teachers.expert.model, **run.placement)

    def __call__(self, split: str, part: slice) -> list[dict[str, np.ndarray]]:
        found, listed = artifacts.regions(self.run, split)[part], artifacts.examples(self.run, split)[part]
        full = [i for i, regions in enumerate(found) if len(regions)]
        seen = self.expert.region_features([open_image(listed[i].path) for i in full], [found[i] for i in full])
        told = dict(zip(full, seen, strict=True))
        return [{"features": told.get(i, np.zeros((0, self.expert.width), np.float32))} for i in range(len(found))]


def weigh_teachers(run: Run, folder: Path) -> dict[str, Any]:
    """How far each teacher is trusted on each entity (Eq. 10-11, expert-guided)."""
    entities, trust = 0, 0.0
    extract(run, folder, WEIGHTS, images_of(run, run.recipe.taught_splits))
    for split in run.recipe.taught_splits:
        taught, weights = artifacts.targets(run, split), Ragged(folder / split)
        for name, pair in zip(artifacts.names(run, split), taught, strict=True):
            both = np.logical_and(*(target.sum(1) > 0 for target in pair))
            entities += int(both.sum())
            trust += float(weights.column(name, "weights")[both, 0].sum(dtype=np.float64))
    mean = trust / entities if entities else None
    return {"entities with two teachers": entities, "mean weight of the object-aware teacher": mean}


class Weigher:
    """The image-text model, reading sentences; crops and targets are compared as they were stored."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, wanted = run, run.recipe.teachers.expert
        self.expert = ImageTextModel(wanted.model, wanted.prompts, **run.placement)
        self.temperature = wanted.temperature

    def __call__(self, split: str, part: slice) -> Entries:
        names, seen = artifacts.names(self.run, split)[part], artifacts.crops(self.run, split)
        words = [artifacts.entities(captions) for captions in artifacts.parsed(self.run, split)[part]]
        said = self.expert.entity_features([entity for own in words for entity in own])
        parts = np.split(said, np.cumsum([len(own) for own in words])[:-1])
        for name, sentences, pair in zip(names, parts, artifacts.targets(self.run, split)[part], strict=True):
            given = (*pair, seen.column(name, "features"), sentences)
            yield {"weights": expert_weights(*map(torch.from_numpy, given), self.temperature).numpy()}


REGIONS = Extraction(RegionFinder, "finding regions in {} images", RegionStore())
TEXT = Extraction(TextReader, "reading {} captions", Columns("embeddings", "predicates"), CHUNK * 4)
TEACHERS = Extraction(Teachers, "asking the teachers about {} images", Columns("object", "scores"))
CROPS = Extraction(CropDescriber, "looking at regions of {} images", Columns("features"))
# The more images at once, the fewer sentences are read again.
WEIGHTS = Extraction(Weigher, "weighing the teachers of {} images", Columns("weights"), CHUNK * 16)
EXTRACTED = {"regions": REGIONS, "text": TEXT, "teachers": TEACHERS, "crops": CROPS, "reliability": WEIGHTS}  # by stage
