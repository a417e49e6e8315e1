"""Reading a run's artifacts back: one function a kind, kept in memory while the run lasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from groundgraph.data.records import example_of, parsed_of, read_lines
from groundgraph.data.store import Ragged, read_regions
from groundgraph.data.types import Entity, Example, Graph, ParsedCaption, Regions
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.grounding.data import GroundingImage
from groundgraph.pipeline.run import Run


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


@_kept("examples")
def examples(run: Run, split: str) -> list[Example]:
    """A split's examples, in order."""
    return [example_of(r, run.folder) for r in read_lines(run.folder / "examples" / f"{split}.jsonl")]


@_kept("parsed")
def parsed(run: Run, split: str) -> list[list[ParsedCaption]]:
    """A split's parsed captions, an image at a time, in the order of its examples."""
    return [parsed_of(r) for r in read_lines(run.folder / "parsed" / f"{split}.jsonl")]


def entities(captions: list[ParsedCaption]) -> list[Entity]:
    """All entities of an image, caption after caption: the rows of its targets and scores."""
    return [entity for caption in captions for entity in caption.entities]


@_kept("regions")
def regions(run: Run, split: str) -> list[Regions]:
    """A split's regions, in the order of its examples; an image that could not be read has none."""
    return read_regions(run.folder / "regions" / f"{split}.safetensors")


@_kept("vocabulary")
def vocabulary(run: Run) -> tuple[Vocabulary, Vocabulary]:
    """The evaluation vocabulary: (categories, predicates)."""
    raw = json.loads((run.folder / "vocabulary" / "vocabulary.json").read_text(encoding="utf-8"))
    return Vocabulary(tuple(raw["categories"])), Vocabulary(tuple(raw["predicates"]))


@_kept("regions")
def detector_categories(run: Run) -> tuple[str, ...]:
    """What the detector's labels mean."""
    return tuple(json.loads((run.folder / "regions" / "categories.json").read_text(encoding="utf-8")))


@_kept("teachers")
def grounding_images(run: Run, split: str) -> list[GroundingImage]:
    """What the grounders are given of a split."""
    text, targets = (Ragged(run.folder / stage / f"{split}.safetensors") for stage in ("text", "teachers"))
    trusted = run.folder / "reliability" / f"{split}.safetensors"
    weights = Ragged(trusted) if run.recipe.asks_expert and trusted.exists() else None
    images = []
    for example, captions, found in zip(examples(run, split), parsed(run, split), regions(run, split), strict=True):
        words, taught = text[example.image_id], targets[example.image_id]
        shape = (len(words["embeddings"]), len(found))
        images.append(
            GroundingImage(
                words["embeddings"],
                found.features,
                taught["object"].reshape(shape),
                taught["interaction"].reshape(shape),
                weights[example.image_id]["weights"] if weights else None,
                triplet_rows(captions),
                words["predicates"],
            )
        )
    return images


def triplet_rows(captions: list[ParsedCaption]) -> np.ndarray:
    """Subject and object of an image's triplets as rows of its entities: [T, 2] int64."""
    firsts = np.cumsum([0, *(len(c.entities) for c in captions)])
    rows = [
        (first + t.subject, first + t.object) for first, c in zip(firsts, captions, strict=False) for t in c.triplets
    ]
    return np.array(rows, np.int64).reshape(-1, 2)


@_kept("grounding-{1}")
def scores(run: Run, split: str, method: str) -> list[np.ndarray]:
    """A method's grounding scores [E, V], an image at a time."""
    store = Ragged(run.folder / f"grounding-{method}" / f"{split}.safetensors")
    counts = [len(r) for r in regions(run, split)]
    return [
        store[e.image_id]["scores"].reshape(-1, v) if v else np.zeros((0, 0), np.float32)
        for e, v in zip(examples(run, split), counts, strict=True)
    ]


@_kept("sgg-{0}")
def graphs(run: Run, method: str, file: str = "graphs") -> list[Graph]:
    """The scene graphs that a method's SGG model found on the measured split; file "predcls": on its given boxes."""
    store = Ragged(run.folder / f"sgg-{method}" / f"{file}.safetensors")
    width = 1 + len(vocabulary(run)[1])
    found = []
    for example in examples(run, run.recipe.measured):
        a = store[example.image_id]
        found.append(
            Graph(
                a["boxes"].reshape(-1, 4),
                a["labels"],
                a["scores"],
                a["pairs"].reshape(-1, 2),
                a["predicate_scores"].reshape(-1, width),
            )
        )
    return found
