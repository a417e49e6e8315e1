"""Training batches: labels drawn for some images, checked, with the pairs to train on; and the predicates' counts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.types import Regions, SoftLabels
from groundgraph.errors import InputError
from groundgraph.sgg.batch import Batch, Sizes, Unions, collate, with_pairs
from groundgraph.sgg.losses import LossConfig, Weights, loss_weights, sample_pairs, sample_soft_pairs

Labels = tuple[np.ndarray, np.ndarray] | SoftLabels
"""What a step takes for true of an image: labels [V] in 0..C (0 = background) and relations [R, 3] (subject region,
object region, predicate 1..P), or distributions over these."""

Draw = Callable[[int, np.random.Generator], Labels]
"""(an image's place in the list of regions, the generator of the draw) -> its labels in one training step."""


@dataclass(frozen=True)
class Examples:
    """Images to train on.

    Attributes:
        regions: Of every image.
        draw: Gives an image's labels, anew at each step.
        sizes: Of the data.
        unions: Features of the boxes around pairs, for a model with `union: visual`.
    """

    regions: Sequence[Regions]
    draw: Draw
    sizes: Sizes
    unions: Unions | None = None

    def parts(
        self,
        chosen: Sequence[int],
        config: LossConfig,
        rng: np.random.Generator,
        generator: torch.Generator,
        rows: Sequence[slice],
    ) -> tuple[list[tuple[Batch, Tensor]], Weights]:
        """Labels of the chosen images, drawn, and pairs, sampled, as a batch in parts.

        Labels and pairs of all images are drawn, whatever the parts, so that the numbers do not depend on how a batch
        is divided, nor on which process has which part; features are read for the parts alone.

        Args:
            chosen: The images' places.
            config: How pairs are sampled.
            rng: Of the labels.
            generator: Of the pairs.
            rows: Of the batch, one part each.

        Returns:
            A batch with targets and pairs for each part, with its pairs' predicates ([Q] int64, or [Q, 1 + P]
            distributions where labels are soft); and the weights of the whole batch's targets.

        Raises:
            InputError: Labels do not fit the regions or the sizes, or some are soft and some hard.
        """
        drawn = [self.draw(int(i), rng) for i in chosen]
        regions = [self.regions[int(i)] for i in chosen]
        soft = [labels for labels in drawn if isinstance(labels, SoftLabels)]
        hard = [labels for labels in drawn if not isinstance(labels, SoftLabels)]
        if soft and hard:
            raise InputError("labels of one batch are all hard or all soft: let draw give one kind")
        divided = list(rows) != [slice(0, len(chosen))]
        bare = [replace(r, features=r.features[:, :0]) for r in regions] if divided else regions
        batch, pairs, predicates = (
            self._soft(bare, soft, config, generator) if soft else self._hard(bare, hard, config, generator)
        )
        weights = loss_weights(batch, predicates, 1 + self.sizes.categories, config)
        if not divided:
            return [(with_pairs(batch, pairs, chosen, self.unions), predicates)], weights
        parts = []
        for part in rows:
            inside = (pairs[:, 0] >= part.start) & (pairs[:, 0] < part.stop)
            own = _rows(batch, regions, part)
            own = with_pairs(own, pairs[inside] - torch.tensor([part.start, 0, 0]), chosen[part], self.unions)
            parts.append((own, predicates[inside]))
        return parts, weights

    def _hard(
        self,
        regions: list[Regions],
        drawn: list[tuple[np.ndarray, np.ndarray]],
        config: LossConfig,
        generator: torch.Generator,
    ) -> tuple[Batch, Tensor, Tensor]:
        labels = [np.asarray(labels, np.int64) for labels, _ in drawn]
        flat = np.concatenate(labels)
        batch = collate(regions, labels)
        relations = _owned([np.reshape(np.asarray(r, np.int64), (-1, 3)) for _, r in drawn])
        _check_ends(batch, relations)
        predicate = relations[:, 3]
        if (predicate < -1).any() or (predicate == 0).any() or (predicate > self.sizes.predicates).any():
            raise InputError(f"drawn predicates must lie in 1..{self.sizes.predicates}, or be -1: not to be learnt")
        if flat.min() < 0 or flat.max() > self.sizes.categories:
            raise InputError(f"drawn labels must lie in 0..{self.sizes.categories}")
        return batch, *sample_pairs(batch, torch.from_numpy(relations), config, generator)

    def _soft(
        self, regions: list[Regions], drawn: list[SoftLabels], config: LossConfig, generator: torch.Generator
    ) -> tuple[Batch, Tensor, Tensor]:
        objects = [_distributions(d.objects, 1 + self.sizes.categories, "labels") for d in drawn]
        batch = collate(regions, [rows.argmax(1) for rows in objects], objects)
        pairs = _owned([np.reshape(np.asarray(d.pairs, np.int64), (-1, 2)) for d in drawn])
        _check_ends(batch, pairs)
        rows = np.concatenate([_distributions(d.predicates, 1 + self.sizes.predicates, "predicates") for d in drawn])
        if len(rows) != len(pairs):
            raise InputError("drawn pairs and their predicates differ in number")
        return batch, *sample_soft_pairs(batch, torch.from_numpy(pairs), torch.from_numpy(rows), config, generator)

    def predicate_counts(self, images: Sequence[int], rng: np.random.Generator) -> Tensor:
        """How often each predicate stands between two labels in one draw an image.

        A soft label counts as its likeliest category, a soft predicate by its distribution.

        Args:
            images: Their places.
            rng: Of the labels.

        Returns:
            [1 + C, 1 + C, 1 + P]; column 0 counts the ordered pairs of labelled regions without a relation.
        """
        sizes = self.sizes
        counts = np.zeros((1 + sizes.categories, 1 + sizes.categories, 1 + sizes.predicates), np.float32)
        for i in images:
            drawn = self.draw(int(i), rng)
            if isinstance(drawn, SoftLabels):
                labels, categories = drawn.objects.argmax(1), drawn.objects[:, 1:].argmax(1) + 1
                subject, object_ = drawn.pairs.reshape(-1, 2).T
                np.add.at(counts, (categories[subject], categories[object_]), drawn.predicates)
            else:
                labels, relations = (np.asarray(part, np.int64) for part in drawn)
                subject, object_, predicate = relations.reshape(-1, 3).T
                learnt = predicate > 0
                np.add.at(counts, (labels[subject[learnt]], labels[object_[learnt]], predicate[learnt]), 1)
            nothing = (labels[:, None] > 0) & (labels > 0) & ~np.eye(len(labels), dtype=bool)
            nothing[subject, object_] = False
            first, second = nothing.nonzero()
            np.add.at(counts, (labels[first], labels[second], 0), 1)
        return torch.from_numpy(counts)


def _rows(batch: Batch, regions: list[Regions], rows: slice) -> Batch:
    """Some rows of a batch that was made without features, with them."""
    lengths = batch.mask[rows].sum(1).tolist()

    def cut(padded: Tensor | None) -> list[np.ndarray] | None:
        return None if padded is None else [p[:n].numpy() for p, n in zip(padded[rows], lengths, strict=True)]

    return collate(regions[rows], cut(batch.targets), cut(batch.soft))


def _owned(parts: list[np.ndarray]) -> np.ndarray:
    """Rows of all images with the image's place in front."""
    owner = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return np.column_stack([owner, np.concatenate(parts)])


def _check_ends(batch: Batch, pairs: np.ndarray) -> None:
    lengths, ends = batch.mask.sum(1).numpy()[pairs[:, 0]], pairs[:, 1:3]
    if (ends < 0).any() or (ends >= lengths[:, None]).any():
        raise InputError("a drawn relation names a region that its image does not have")
    if (ends[:, 0] == ends[:, 1]).any():
        raise InputError("a drawn relation is one of a region with itself")


def _distributions(rows: np.ndarray, width: int, what: str) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    if rows.size == 0:
        return np.zeros((len(rows), width), np.float32)
    if rows.ndim != 2 or rows.shape[1] != width or (rows < 0).any() or (abs(rows.sum(1) - 1) > 1e-3).any():
        raise InputError(f"drawn {what} must be distributions over {width} classes, background first, that sum to 1")
    return rows
