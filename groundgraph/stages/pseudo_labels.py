"""Pseudo labels: the train split's entities as regions with categories, their triplets as relations (METHOD.md 5).

Reads the examples, parsed captions, regions, vocabulary and a method's grounding; writes pseudo-METHOD/train.jsonl, an
image a line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.types import CandidatePairs, PseudoLabels
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.grounding import Method
from groundgraph.grounding.pseudo_labels import (
    NEGLIGIBLE,
    pseudo_of,
    pseudo_record,
    softmax_shares,
    top_regions,
)
from groundgraph.stages import grounding
from groundgraph.stages.alignment import alignment_settings, concept_map
from groundgraph.stages.config import PseudoLabelConfig
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import examples
from groundgraph.stages.parsed import entities, parsed, triplet_rows
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.regions import regions


def stage_of(method: str) -> str:
    """The name of a method's stage."""
    return f"pseudo-{method}"


def build(recipe: Recipe) -> list[Stage]:
    """A stage a method of a recipe that grounds."""
    labels, aligned = recipe.pseudo_labels, alignment_settings(recipe) is not None
    read = ("examples", "regions", "vocabulary", "parsed", *(("concepts",) if aligned else ()))
    return [
        Stage(
            stage_of(name),
            needs=(*read, grounding.stage_of(name)),
            settings=[labels.kind, labels.stored or labels.top, recipe.seed],
            work=partial(label, method=name),
            cost=per_image(("train",), "label {images:,} images", seconds=0.3),
        )
        for name, method in recipe.methods.items()
        if method.grounds
    ]


def label(run: Run, folder: Path, method: str) -> dict[str, Any]:
    """Label the train split's images in the evaluation vocabulary."""
    concepts, rng = concept_map(run), np.random.default_rng(run.recipe.seed)
    counts: Counter[str] = Counter()
    records = []
    config, grounds_pairs = run.recipe.pseudo_labels, run.recipe.methods[method].pairs
    train = examples(run, "train")
    best = grounding.pairs(run, "train", method) if grounds_pairs else [None] * len(train)
    rows = zip(train, parsed(run, "train"), grounding.scores(run, "train", method), best, strict=True)
    for example, captions, scores, pairs in rows:
        words = entities(captions)
        categories = [concepts.category(entity) for entity in words]
        candidates, values = _candidates(config, run.recipe.methods[method], scores, len(words), rng)
        predicates = [concepts.predicate(t.predicate) for caption in captions for t in caption.triplets]
        triplets, kept = [], []
        for t, ((subject, object_), predicate) in enumerate(
            zip(triplet_rows(captions).tolist(), predicates, strict=True)
        ):
            mapped = predicate >= 0 and categories[subject] >= 0 and categories[object_] >= 0
            counts["triplets" if mapped else "triplets dropped"] += 1
            if mapped:
                triplets.append([subject, object_, predicate])
                kept.append(t)
        counts["entities"] += sum(c >= 0 for c in categories)
        counts["entities dropped"] += sum(c < 0 for c in categories)
        pseudo = PseudoLabels(
            np.array(categories, np.int64),
            candidates,
            values,
            softmax_shares(scores, candidates),
            np.array(triplets, np.int64).reshape(-1, 3),
            scores.shape[1],
            pairs and _pairs(config, pairs, kept),
        )
        records.append(pseudo_record(example.image_id, pseudo, [entity.name for entity in words]))
    write_lines(folder / "train.jsonl", records)
    return dict(counts)


def _candidates(
    config: PseudoLabelConfig, method: Method, scores: np.ndarray, entities: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The regions an entity keeps, best first, and their scores: [E, K] each, -1 pads.

    All that match, or the best K, or (soft labels of all regions) those with a share of the softmax to speak of.
    """
    most = config.stored or config.top or scores.shape[1]
    if not scores.size:
        return np.full((entities, most), -1), np.zeros((entities, most), np.float32)
    if method.every_match:
        return top_regions(scores, scores.shape[1], 0.0, rng)
    # A rule grounds nothing in a region that does not match.
    candidates, values = top_regions(scores, most, None if method.learns else 0.0, rng)
    if config.top is None:
        candidates = np.where(softmax_shares(scores, candidates) < NEGLIGIBLE, -1, candidates)
    return candidates, values


def _pairs(config: PseudoLabelConfig, pairs: CandidatePairs, triplets: list[int]) -> CandidatePairs:
    """What some triplets keep of their pairs: the best K, or (soft labels of all) those with a share to speak of."""
    pairs = CandidatePairs(pairs.regions[triplets], pairs.scores[triplets])
    if most := config.stored or config.top:
        return pairs.best(most)
    slight = np.exp(pairs.scores) < NEGLIGIBLE
    return CandidatePairs(np.where(slight[..., None], -1, pairs.regions), np.where(slight, 0, pairs.scores))


def pseudo_labels(run: Run, method: str) -> Sequence[PseudoLabels]:
    """A method's pseudo labels of the train split, in the order of its examples."""
    records = read_lines(run.folder / stage_of(method) / "train.jsonl")
    counts = regions(run, "train").counts().tolist()
    return [pseudo_of(record, count) for record, count in zip(records, counts, strict=True)]
