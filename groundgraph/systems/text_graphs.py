"""What a system learns from: regions of images, and the unlocalized graphs that their captions say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Batch, collate
from groundgraph.training.processes import WHOLE, Share


@dataclass(frozen=True)
class TextGraph:
    """The graph of an image's captions, in the vocabulary: nobody says where its entities are.

    Attributes:
        categories: [E] int64 in 0..C-1; a thing that is said twice is there twice.
        triplets: [T, 3] int64 (subject entity, object entity, predicate in 0..P-1).
    """

    categories: np.ndarray
    triplets: np.ndarray

    @property
    def named(self) -> np.ndarray:
        """[T, 3] int64 (subject, object, predicate), each by its name's number from 1."""
        return 1 + np.column_stack([self.categories[self.triplets[:, :2]], self.triplets[:, 2]])


@dataclass(frozen=True)
class SystemBatch:
    """Some images of a training step, with their text graphs, padded to the largest of the whole step.

    Attributes:
        images: The regions of b images.
        categories: [b, E] int64; padding is 0.
        entities: [b, E] bool, True = real.
        triplets: [b, T, 2] int64, subject and object; padding is 0.
        predicates: [b, T] int64; padding is 0.
        triplet_mask: [b, T] bool, True = real.
        mentioned: [B, C] bool, which categories each of the step's B images is said to show.
        predicate_weights: [P], what each predicate's losses are multiplied by.
        share: Which of the step's images these are, where several processes share it.
    """

    images: Batch
    categories: Tensor
    entities: Tensor
    triplets: Tensor
    predicates: Tensor
    triplet_mask: Tensor
    mentioned: Tensor
    predicate_weights: Tensor
    share: Share = WHOLE

    @property
    def regions(self) -> Tensor:
        """[b, V] bool, True = real."""
        return self.images.mask

    def of_entities(self, values: Tensor) -> Tensor:
        """What regions have of each entity's category: [b, V, C] -> [b, E, V]."""
        return values.gather(2, self.categories[:, None].expand(-1, values.shape[1], -1)).transpose(1, 2)

    def with_repeated_triplets(self, times: int) -> SystemBatch:
        """The same with each triplet there so many times."""
        return replace(
            self,
            triplets=self.triplets.repeat(1, times, 1),
            predicates=self.predicates.repeat(1, times),
            triplet_mask=self.triplet_mask.repeat(1, times),
        )

    def to(self, device: torch.device | str) -> SystemBatch:
        """The same on another device."""
        moved = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "share"}
        return replace(self, **moved)


def system_batch(
    regions: Sequence[Regions],
    graphs: Sequence[TextGraph],
    categories: int,
    predicate_weights: Tensor,
    share: Share = WHOLE,
) -> SystemBatch:
    """Pad this process's images of a step.

    Args:
        regions: Of its images.
        graphs: Of all images of the step.
        categories: C.
        predicate_weights: [P], what each predicate's losses are multiplied by.
        share: Which of them are its own.
    """
    count, entities = len(graphs), max(1, *(len(graph.categories) for graph in graphs))
    triplets = max(1, *(len(graph.triplets) for graph in graphs))
    names, ends = torch.zeros(count, entities, dtype=torch.int64), torch.zeros(count, triplets, 3, dtype=torch.int64)
    mentioned = torch.zeros(count, categories, dtype=torch.bool)
    masks = [torch.zeros(count, width, dtype=torch.bool) for width in (entities, triplets)]
    for i, graph in enumerate(graphs):
        e, t = len(graph.categories), len(graph.triplets)
        names[i, :e], ends[i, :t] = torch.from_numpy(graph.categories), torch.from_numpy(graph.triplets)
        mentioned[i, names[i, :e]] = masks[0][i, :e] = masks[1][i, :t] = True
    rows = share.rows
    parts = (part[rows] for part in (names, masks[0], ends[..., :2], ends[..., 2], masks[1]))
    return SystemBatch(collate(regions), *parts, mentioned, predicate_weights, share)
