"""Reading a run's artifacts back: one function a kind, opened once a run, each image read when it is asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import numpy as np

from groundgraph.data.records import Lines, example_of, parsed_of
from groundgraph.data.store import Ragged, StoredRegions
from groundgraph.data.types import Entity, Example, Graph, ParsedCaption
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.engine.run import Run
from groundgraph.grounding.data import GroundingImage
from groundgraph.teachers.interaction import interaction_targets

T = TypeVar("T")


def _kept(stage: str) -> Callable:
    """Keep what a reader gives until its stage runs again."""

    def decorate(read: Callable) -> Callable:
        @wraps(read)
        def reader(run: Run, *key: Any) -> Any:
            place = (stage.format(*key), read.__name__, *key)
            if place not in run.cache:
                run.cache[place] = read(run, *key)
            return run.cache[place]

        return reader

    return decorate


class Lazy(Sequence[T]):
    """A list whose items are read when they are asked for; `lengths`: what is known of them without reading."""

    def __init__(self, count: int, read: Callable[[int], T], lengths: Any = None) -> None:
        self._count, self._read, self.lengths = count, read, lengths

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int | slice) -> Any:
        place = range(self._count)[index]
        return [self._read(i) for i in place] if isinstance(index, slice) else self._read(place)


@_kept("examples")
def examples(run: Run, split: str) -> Sequence[Example]:
    """A split's examples, in order; read from the disk one by one, as all that follows here."""
    return Lines(run.folder / "examples" / f"{split}.jsonl", lambda record: example_of(record, run.folder))


@_kept("examples")
def names(run: Run, split: str) -> tuple[str, ...]:
    """The ids of a split's images, in order; kept in memory."""
    return tuple(example.image_id for example in examples(run, split))


@_kept("parsed")
def parsed(run: Run, split: str) -> Sequence[list[ParsedCaption]]:
    """A split's parsed captions, an image at a time, in the order of its examples."""
    return Lines(run.folder / "parsed" / f"{split}.jsonl", parsed_of)


def entities(captions: list[ParsedCaption]) -> list[Entity]:
    """All entities of an image, caption after caption: the rows of its targets and scores."""
    return [entity for caption in captions for entity in caption.entities]


@_kept("regions")
def regions(run: Run, split: str) -> StoredRegions:
    """A split's regions, in the order of its examples; an image that could not be read has none."""
    return StoredRegions(run.folder / "regions" / split, names(run, split))


@_kept("vocabulary")
def vocabulary(run: Run) -> tuple[Vocabulary, Vocabulary]:
    """The evaluation vocabulary: (categories, predicates)."""
    raw = json.loads((run.folder / "vocabulary" / "vocabulary.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(raw["categories"])), Vocabulary(tuple(raw["predicates"]))


@_kept("regions")
def detector_categories(run: Run) -> tuple[str, ...]:
    """What the detector's labels mean."""
    return tuple(json.loads((run.folder / "regions" / "categories.json").read_text(encoding="utf-8")))


@_kept("crops")
def crops(run: Run, split: str) -> Ragged:
    """What the image-text model makes of a split's regions."""
    return Ragged(run.folder / "crops" / split)


@_kept("teachers")
def targets(run: Run, split: str) -> Sequence[tuple[np.ndarray, np.ndarray]]:
    """The object-aware and the interaction-aware targets [E, V] of a split's images; a teacher left out is silent.

    The stored scores (Eq. 7) become targets here (Eq. 8), so that another temperature costs nothing.
    """
    store, listed, wanted = Ragged(run.folder / "teachers" / split), names(run, split), run.recipe.teachers

    def read(i: int) -> tuple[np.ndarray, np.ndarray]:
        stored = store[listed[i]]
        one, two = stored["object"] if wanted.object else np.zeros_like(stored["object"]), stored["scores"]
        return one, interaction_targets(two, wanted.interaction.temperature) if wanted.interaction else two

    return Lazy(len(listed), read)


@_kept("text")
def grounding_images(run: Run, split: str, method: str) -> Sequence[GroundingImage]:
    """What a grounder that learns is given of a split: ours alone is taught, and of the measured split nobody."""
    listed, captions, found = names(run, split), parsed(run, split), regions(run, split)
    text, asked = Ragged(run.folder / "text" / split), method == "ours" and split in run.recipe.taught_splits
    taught = targets(run, split) if asked and run.recipe.needs_teachers else None
    weights = Ragged(run.folder / "reliability" / split) if asked and run.recipe.needs_expert else None

    def read(i: int) -> GroundingImage:
        words, features = text[listed[i]], found[i].features
        return GroundingImage(
            words["embeddings"],
            features,
            *(taught[i] if taught else (np.zeros((len(words["embeddings"]), len(features)), np.float32), None)),
            weights[listed[i]]["weights"] if weights else None,
            triplet_rows(captions[i]),
            words["predicates"],
        )

    counts = dict(zip(text.ids, text.lengths("embeddings").tolist(), strict=True))
    return Lazy(len(listed), read, ([counts[name] for name in listed], found.counts()))


def triplet_rows(captions: list[ParsedCaption]) -> np.ndarray:
    """Subject and object of an image's triplets as rows of its entities: [T, 2] int64."""
    firsts = np.cumsum([0, *(len(c.entities) for c in captions)])
    rows = [
        (first + t.subject, first + t.object) for first, c in zip(firsts, captions, strict=False) for t in c.triplets
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


@_kept("grounding-{1}")
def scores(run: Run, split: str, method: str) -> Sequence[np.ndarray]:
    """A method's grounding scores [E, V], an image at a time."""
    store, listed = Ragged(run.folder / f"grounding-{method}" / f"{split}.safetensors"), names(run, split)
    counts = regions(run, split).counts().tolist()

    def read(i: int) -> np.ndarray:
        if not counts[i]:
            return np.zeros((0, 0), np.float32)
        return store.column(listed[i], "scores").reshape(-1, counts[i])

    return Lazy(len(listed), read)


@_kept("sgg-{0}")
def graphs(run: Run, method: str, file: str = "graphs") -> Sequence[Graph]:
    """The scene graphs that a method's SGG model found on the measured split; file "predcls": on its given boxes."""
    store, listed = Ragged(run.folder / f"sgg-{method}" / f"{file}.safetensors"), names(run, run.recipe.measured)
    width = 1 + len(vocabulary(run)[1])

    def read(i: int) -> Graph:
        a = store[listed[i]]
        boxes, pairs, predicates = (
            a[name].reshape(-1, size) for name, size in (("boxes", 4), ("pairs", 2), ("predicate_scores", width))
        )
        return Graph(boxes, a["labels"], a["scores"], pairs, predicates)

    return Lazy(len(listed), read)
