"""The object-aware teacher: regions whose predicted category is what the entity says (Eq. 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.errors import InputError


def object_targets(match: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Equal shares for the regions of a matching category (Eq. 6).

    match   [E, C] bool, does the entity mean the category
    labels  [V] the regions' categories, -1 for none
    returns [E, V] float32; a row sums to 1, or is all zero where no region matches
    """
    labels = np.asarray(labels, np.int64)
    # A last column of no matches is what label -1 reads.
    table = np.concatenate([np.asarray(match, bool), np.zeros((len(match), 1), bool)], 1)
    hits = table[:, labels].astype(np.float32)
    return hits / np.maximum(hits.sum(1, keepdims=True), 1)


class ObjectTeacher:
    """Targets from the detector's labels.

    categories     the detector's names, in the order of `Regions.labels`
    same_concept   (names, categories) -> [names, categories] bool, such as `language.concepts.match_matrix`
    """

    def __init__(
        self, categories: Sequence[str], same_concept: Callable[[Sequence[str], Sequence[str]], np.ndarray]
    ) -> None:
        self.categories, self.same_concept = tuple(categories), same_concept

    def targets(
        self, images: object, regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """For each image and caption, [E, V] (Eq. 6). `images` is there for the interface only; nobody looks at them.

        Raises InputError for a label that is no category of the detector.
        """
        out = []
        for found, texts in zip(regions, captions, strict=True):
            if len(found) and found.labels.max() >= len(self.categories):
                raise InputError(
                    f"a region has label {found.labels.max()}, but the detector names {len(self.categories)} categories"
                )
            names = [entity.name for caption in texts for entity in caption.entities]
            rows = object_targets(self.same_concept(names, self.categories), found.labels)
            ends = np.cumsum([len(caption.entities) for caption in texts])[:-1]
            out.append(np.split(rows, ends) if len(texts) else [])
        return out
