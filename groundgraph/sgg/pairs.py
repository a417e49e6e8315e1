"""What scene-graph models know of boxes and pairs of boxes: geometry, union features, what is usual between labels."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from groundgraph.data.geometry import PAIR_GEOMETRY, pair_geometry
from groundgraph.errors import InputError
from groundgraph.sgg.batch import Batch, Sizes

UnionKind = Literal["none", "spatial", "visual"]


class UnionFeature(nn.Module):
    """What lies between and around the two boxes of each of batch.pairs.

    Args:
        kind: "spatial" is read off the boxes alone (the released weakly supervised runs have no more); "visual" adds
            the detector's feature of the box around both, as published (Zellers et al. 2018: the pooled union box plus
            a convolution of the two boxes' masks, whose place the boxes' geometry takes here).
        sizes: Of the data.
        embedded: Hidden units of the geometry's MLP.
        width: Of what is given.

    Raises:
        InputError: "visual", and the data has no union features.
    """

    def __init__(self, kind: UnionKind, sizes: Sizes, embedded: int, width: int) -> None:
        super().__init__()
        self.visual: nn.Module | None = None
        self.spatial = nn.Sequential(nn.Linear(PAIR_GEOMETRY, embedded), nn.ReLU(), nn.Linear(embedded, width))
        if kind == "visual":
            if not sizes.unions:
                raise InputError(
                    "union: visual needs the detector's features of union boxes, and these regions come without them: "
                    "set union to spatial or none"
                )
            self.visual = nn.Sequential(nn.LayerNorm(sizes.unions), nn.Linear(sizes.unions, width))

    def forward(self, batch: Batch) -> Tensor:
        """Features [Q, width] of batch.pairs, around 0. Raises InputError where the batch lacks visual ones."""
        if batch.pairs is None:
            raise ValueError("the batch has no pairs: see `with_pairs`")
        image, subject, object_ = batch.pairs.unbind(1)
        feature = self.spatial(
            pair_geometry(batch.boxes[image, subject], batch.boxes[image, object_], batch.sizes[image])
        )
        if self.visual is None:
            return feature
        if batch.unions is None:
            raise InputError("this model was built with union: visual: give `unions`, the detector's union features")
        return feature + self.visual(batch.unions)


class FrequencyBias(nn.Module):
    """The log frequency of predicates between two labels, a start that training goes on from (Zellers et al. 2018)."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        labels = 1 + sizes.categories
        self.table = nn.Parameter(torch.zeros(labels, labels, 1 + sizes.predicates))

    @torch.no_grad()
    def count(self, counts: Tensor) -> None:
        """Take the start from counts.

        Args:
            counts: [1 + C, 1 + C, 1 + P] of (subject label, object label, predicate); column 0 counts pairs without a
                relation.
        """
        counts = counts.to(self.table) + 1e-3  # keeps the logarithm of what was never seen finite
        self.table.copy_((counts / counts.sum(-1, keepdim=True)).log())

    def forward(self, labels: Tensor, pairs: Tensor) -> Tensor:
        """What is added to the logits of pairs [Q, 3] of regions with labels [B, V]: [Q, 1 + P]."""
        image, subject, object_ = pairs.unbind(1)
        return self.table[labels[image, subject], labels[image, object_]]


class LanguagePrior(nn.Module):
    """What a masked language model expects between two labels, times a learnt weight, in `FrequencyBias`'s place.

    Counts know the predicates that were counted; words know others too (Lu et al. 2016), which is what open heads need.

    Attributes:
        table: [1 + C, 1 + C, 1 + P], log ratios (`language.masked_words`); 0 for the background.
        weight: Of the table.
    """

    table: Tensor
    limit = 8.0  # of a log ratio either way: what is never said may still be seen

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        labels = 1 + sizes.categories
        self.register_buffer("table", torch.zeros(labels, labels, 1 + sizes.predicates))
        self.weight = nn.Parameter(torch.tensor(1.0))

    def set_table(self, log_ratios: Tensor) -> None:
        """Take [C, C, P] for the names that the model knows from now on."""
        self.table = pad(log_ratios.clamp(-self.limit, self.limit), (1, 0, 1, 0, 1, 0)).to(self.table)

    def forward(self, labels: Tensor, pairs: Tensor) -> Tensor:
        """What is added to the logits of pairs [Q, 3] of regions with labels [B, V]: [Q, 1 + P]."""
        image, subject, object_ = pairs.unbind(1)
        return self.weight * self.table[labels[image, subject], labels[image, object_]]


def new_pair_bias(frequency: bool, sizes: Sizes) -> FrequencyBias | LanguagePrior | None:
    """What is added to predicate logits by the two labels: counted, read from words (`sizes.prior`), or nothing."""
    if frequency:
        return FrequencyBias(sizes)
    return LanguagePrior(sizes) if sizes.prior else None


def target_or_best(logits: Tensor, targets: Tensor | None) -> Tensor:
    """Each region's label in 1..C: its target, or its best category where it has none or background.

    At inference every region has a label, so a region that is background in training needs one too.

    Args:
        logits: [B, V, 1 + C].
        targets: [B, V] in 0..C.

    Returns:
        [B, V] int64.
    """
    best = logits[..., 1:].detach().argmax(-1) + 1
    return best if targets is None else torch.where(targets > 0, targets, best)


def box_geometry(batch: Batch) -> Tensor:
    """Boxes in fractions of their image: centre, width, height, corners, area: [B, V, 9]."""
    scale = batch.sizes.repeat(1, 2)[:, None]
    corners = batch.boxes / scale
    sides = corners[..., 2:] - corners[..., :2]
    centre = (corners[..., 2:] + corners[..., :2]) / 2
    return torch.cat([centre, sides, corners, sides.prod(-1, keepdim=True)], -1)
