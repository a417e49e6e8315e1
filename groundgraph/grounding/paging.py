"""A data set to draw batches from: padded in memory, or read batch by batch where it does not fit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from groundgraph.grounding.data import GroundingImage, GroundingSet, PaddedSet, pad
from groundgraph.training.processes import ALONE, Ranks

LIMIT = 4 * 2**30  # bytes that a padded set may take


class PagedSet(GroundingSet):
    """The same from images that are read when a batch asks for them: what does not fit into memory.

    Args:
        images: Any sequence; an item is read anew each time.
        entities: [N] int64, how many each has; images without any are left out.
        regions: [N] int64, likewise.
    """

    def __init__(self, images: Sequence[GroundingImage], entities: np.ndarray, regions: np.ndarray) -> None:
        self._images, self._rows = images, np.flatnonzero((entities > 0) & (regions > 0))
        counts = torch.from_numpy(entities[self._rows])
        self.entities = torch.arange(int(counts.max())) < counts[:, None]
        first = images[int(self._rows[0])]
        self._widths = (first.embeddings.shape[1], first.features.shape[1])

    @property
    def widths(self) -> tuple[int, int]:
        """See `GroundingSet`."""
        return self._widths

    def take(self, images: Tensor, chosen: Tensor, real: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """See `GroundingSet.take`."""
        page = pad([self._images[int(row)] for row in self._rows[images.numpy()]])
        return page.take(torch.arange(len(images)), torch.where(real, chosen, 0), real, ranks)


def gather(images: Sequence[GroundingImage], limit: float = LIMIT) -> GroundingSet:
    """A data set to draw batches from: padded in memory, or read batch by batch where that would exceed `limit` bytes.

    Raises:
        InputError: No image has both an entity and a region.
    """
    entities, regions = lengths_of(images)
    usable = np.flatnonzero((entities > 0) & (regions > 0))
    if len(usable):
        first = images[int(usable[0])]
        most, widest = int(entities[usable].max()), int(regions[usable].max())
        width = (
            most * (2 * first.embeddings.shape[1] + first.targets.shape[1] * widest) + widest * first.features.shape[1]
        )
        if 4.0 * len(usable) * width > limit:
            return PagedSet(images, entities, regions)
    return pad(images)


def lengths_of(images: Sequence[GroundingImage]) -> np.ndarray:
    """How many entities and regions each image has, [2, N]; a sequence that knows it unread has it as `lengths`."""
    lengths = getattr(images, "lengths", None)
    if lengths is None:
        lengths = [[len(i.embeddings) for i in images], [len(i.features) for i in images]]
    return np.array(lengths, np.int64).reshape(2, -1)
