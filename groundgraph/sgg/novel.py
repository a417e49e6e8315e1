"""Names withheld from supervision: what a model with open heads then makes of them is zero-shot."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from groundgraph.data.types import SoftLabels
from groundgraph.sgg.examples import Draw, Labels


def withhold(draw: Draw, categories: np.ndarray, predicates: np.ndarray, renumber: bool = True) -> Draw:
    """Labels without the names that are withheld.

    A region of a withheld category is one that nobody mentions. A relation with a withheld category is dropped; one
    with a withheld predicate between two other things is known to be none of the other predicates, and has number -1:
    its pair is not drawn as background.

    Args:
        draw: Labels in numbers of the whole vocabulary.
        categories: [C] bool, which are withheld.
        predicates: [P] bool, which are withheld.
        renumber: Number the other names alone; else all keep their numbers.
    """
    category, predicate = (
        np.concatenate([[0], np.where(out, -1, (~out if renumber else np.ones_like(out)).cumsum())])
        for out in (categories, predicates)
    )
    kept = [numbers >= 0 for numbers in (category, predicate)]

    def drawn(image: int, rng: np.random.Generator) -> Labels:
        labels = draw(image, rng)
        if isinstance(labels, SoftLabels):
            objects, relations = (
                _without(rows, columns, renumber)
                for rows, columns in zip((labels.objects, labels.predicates), kept, strict=True)
            )
            return replace(labels, objects=objects, predicates=relations)
        regions, (subject, object_, number) = category[labels[0]].clip(0), labels[1].reshape(-1, 3).T
        named = (regions[subject] > 0) & (regions[object_] > 0)
        return regions, np.stack([subject, object_, predicate[number]], 1)[named]

    return drawn


def _without(rows: np.ndarray, kept: np.ndarray, renumber: bool) -> np.ndarray:
    """Distributions over the columns that are kept, what the others held being background."""
    rows = rows * kept
    rows[:, 0] += 1 - rows.sum(1)
    return rows[:, kept] if renumber else rows
