"""The object-aware teacher: regions whose predicted category is what the entity says (Eq. 6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.errors import InputError


def object_targets(match: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return equal shares for the regions of a matching category (Eq. 6).

    Args:
        match: [E, C] bool: does the entity mean the category.
        labels: [V], the regions' categories, -1 for none.

    Returns:
        [E, V] float32; a row sums to 1, or is all zero where no region matches.
    """
    labels = np.asarray(labels, np.int64)
    # A last column of no matches is what label -1 reads.
    table = np.concatenate([np.asarray(match, bool), np.zeros((len(match), 1), bool)], 1)
    hits = table[:, labels].astype(np.float32)
    return hits / np.maximum(hits.sum(1, keepdims=True), 1)


class ObjectTeacher:
    """Targets from the detector's labels.

    Args:
        categories: The detector's names, in the order of `Regions.labels`.
        same_concept: (names, categories) -> [names, categories] bool, such as `language.concepts.match_matrix`.
    """

    def __init__(
        self, categories: Sequence[str], same_concept: Callable[[Sequence[str], Sequence[str]], np.ndarray]
    ) -> None:
        self.categories, self.same_concept = tuple(categories), same_concept
        self._means: dict[str, np.ndarray] = {}  # noun -> [C], looked up once

    def of(self, nouns: Sequence[str], labels: np.ndarray) -> np.ndarray:
        """Return the targets [E, V] float32 of E nouns on regions of labels [V] (Eq. 6).

        Raises:
            InputError: A label is no category of the detector.
        """
        if len(labels) and labels.max() >= len(self.categories):
            raise InputError(
                f"a region has label {labels.max()}, but the detector names {len(self.categories)} categories"
            )
        if new := [noun for noun in dict.fromkeys(nouns) if noun not in self._means]:
            self._means.update(zip(new, self.same_concept(new, self.categories), strict=True))
        match = np.array([self._means[noun] for noun in nouns], bool).reshape(len(nouns), len(self.categories))
        return object_targets(match, labels)

    def targets(
        self, images: object, regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Return for each image and caption [E, V] float32 (Eq. 6).

        Args:
            images: Not looked at: there because `InteractionTeacher.targets` has it.
            regions: The regions of each image.
            captions: The captions of each image.

        Raises:
            InputError: As of `of`.
        """
        targets = []
        for own, texts in zip(regions, captions, strict=True):
            rows = self.of([entity.name for caption in texts for entity in caption.entities], own.labels)
            ends = np.cumsum([len(caption.entities) for caption in texts])[:-1]
            targets.append(np.split(rows, ends) if len(texts) else [])
        return targets
