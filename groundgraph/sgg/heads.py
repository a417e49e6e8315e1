"""Heads that score names, closed or open, and what tells a model its names.

A closed head has a row of weights a name. An open one scores a state against the names' text features, so that its
names can be replaced after training, as in VS3 (Zhang et al. 2023) and OvSGTR (Chen et al. 2024).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from groundgraph.sgg.batch import SggModel, Sizes
from groundgraph.sgg.pairs import LanguagePrior
from groundgraph.sgg.start import DetectorStart

NameKind = Literal["categories", "predicates"]


class NameFeatures(nn.Module):
    """What open heads and embeddings have in common: the text features of the names that they are about.

    Args:
        kind: Whose names.
        sizes: Of the data.

    Attributes:
        names: [n, d] of unit length around the mean of the names it was trained with, see `set_names`.
        centre: [d], that mean: text models give all short texts much in common.
    """

    names: Tensor
    centre: Tensor

    def __init__(self, kind: NameKind, sizes: Sizes) -> None:
        super().__init__()
        self.kind = kind
        self.register_buffer("names", torch.zeros(getattr(sizes, kind), sizes.text))
        self.register_buffer("centre", torch.zeros(sizes.text))

    def set_names(self, features: Tensor) -> None:
        """Take names by their text features [n, d]; the first ones, before training, decide the centre."""
        features = features.to(self.names)
        if not self.centre.any():
            self.centre = features.mean(0)
        self.names = normalize(features - self.centre)


class OpenHead(NameFeatures):
    """State [..., width] -> logits [..., 1 + n] of the background and of n names, by the names' text features.

    logits = scale * (W state) . name, and likewise a learnt direction for the background; nothing else is a name's own.
    What training never had is less likely to a model than it is, so such names get a constant more, chosen on
    validation images (calibrated stacking: Chao et al. 2016).

    Attributes:
        bonus: [1 + n], what is added to the logits.
    """

    bonus: Tensor

    def __init__(self, kind: NameKind, width: int, sizes: Sizes) -> None:
        super().__init__(kind, sizes)
        self.project = nn.Linear(width, sizes.text)
        self.background = nn.Parameter(torch.randn(1, sizes.text) / math.sqrt(sizes.text))
        # A larger scale over smaller weights begins alike and learns faster: categories that are nearly the same (man,
        # boy) are told apart by what little is left of their features. Predicates that training lacks would lose by it.
        self.speed = 3 if kind == "categories" else 1
        self.scale = nn.Parameter(torch.empty(()))
        self.start_small()
        self.register_buffer("bonus", torch.zeros(1 + len(self.names)))

    @torch.no_grad()
    def start_small(self, size: int = 1) -> None:
        """Begin with weights as small as the scale is large.

        Args:
            size: Of the states, their squared length about. A step of Adam moves a logit by the scale times what the
                entries of a state add up to; where no LSTM bounds these, one step would decide everything.
        """
        bound = 1 / (self.speed * math.sqrt(self.project.in_features))
        nn.init.uniform_(self.project.weight, -bound, bound)
        self.scale.fill_(self.speed * math.sqrt(self.names.shape[1] / size))

    def forward(self, states: Tensor) -> Tensor:
        """States [..., width] -> logits [..., 1 + n]."""
        return self.scale * self.project(states) @ torch.cat([self.background, self.names]).T + self.bonus

    def set_names(self, features: Tensor, unseen: Tensor | None = None, bonus: float = 0.0) -> None:
        """Take names by their text features [n, d]; those that training did not have, [n] bool, get the bonus."""
        super().set_names(features)
        none = torch.zeros(len(features), dtype=torch.bool) if unseen is None else unseen
        self.bonus = torch.cat([none[:1] & False, none]).to(self.bonus) * bonus


class OpenLabels(NameFeatures):
    """Embeddings of labels from their names' text features, in `nn.Embedding`'s place.

    The background and labels that are no names have embeddings of their own.

    Args:
        width: Of an embedding.
        extra: How many labels follow the names (a decoder's start token).
    """

    def __init__(self, width: int, sizes: Sizes, extra: int = 0) -> None:
        super().__init__("categories", sizes)
        self.project = nn.Linear(sizes.text, width, bias=False)
        nn.init.normal_(self.project.weight)  # entries of variance 1, as nn.Embedding's
        self.background, self.extra = nn.Parameter(torch.randn(1, width)), nn.Parameter(torch.randn(extra, width))

    @property
    def weight(self) -> Tensor:
        """The table [1 + n + extra, width]."""
        return torch.cat([self.background, self.project(self.names), self.extra])

    def forward(self, labels: Tensor) -> Tensor:
        """Labels [...] -> embeddings [..., width]."""
        return embedding(labels, self.weight)


def new_head(kind: NameKind, width: int, sizes: Sizes) -> nn.Module:
    """A head for the data's names: open where their text features are known."""
    return OpenHead(kind, width, sizes) if sizes.text else nn.Linear(width, 1 + getattr(sizes, kind))


def new_labels(width: int, sizes: Sizes, extra: int = 0) -> nn.Embedding | OpenLabels:
    """Embeddings of the background, the categories and `extra` labels: of the names' features where they are known."""
    return OpenLabels(width, sizes, extra) if sizes.text else nn.Embedding(1 + sizes.categories + extra, width)


def head_weights(head: nn.Module) -> tuple[Tensor, Tensor]:
    """A head as one linear layer: weights [1 + n, width] and biases [1 + n], of an open one for the names it has."""
    if isinstance(head, OpenHead):
        rows = head.scale * torch.cat([head.background, head.names])
        return rows @ head.project.weight, rows @ head.project.bias + head.bonus
    assert isinstance(head, nn.Linear)
    return head.weight, head.bias


@torch.no_grad()
def start_at_zero(head: nn.Module) -> nn.Module:
    """The head, giving 0 for every state, so that what it is added to is where training starts."""
    last = head.project if isinstance(head, OpenHead) else head
    assert isinstance(last, nn.Linear)
    last.weight.zero_()
    last.bias.zero_()
    return head


@torch.no_grad()
def set_names(
    model: SggModel,
    categories: np.ndarray | None = None,
    predicates: np.ndarray | None = None,
    means: tuple[np.ndarray, np.ndarray] | None = None,
    views: tuple[np.ndarray, float] | None = None,
    unseen: tuple[np.ndarray, float] | None = None,
    log_ratios: np.ndarray | None = None,
) -> None:
    """Tell a model what its names are, before training and, with open heads, after it; None: as they were.

    Args:
        model: Of `SGG_MODELS`.
        categories: Text features [C, d], for open heads.
        predicates: Text features [P, d], for open heads.
        means: [D, C] each, which detector category goes by which name (bool) and what each name is to it
            (`language.concepts.name_roles`), for a model that starts from the detector.
        views: Features [C, e] in the image-text model's space and their temperature, for one that has views.
        unseen: [P] bool, the predicates that training did not have, and their bonus, for open heads.
        log_ratios: [C, C, P], what a language model expects between two labels, for one with such a prior.
    """
    features = {"categories": categories, "predicates": predicates}
    for module in model.modules():
        if isinstance(module, NameFeatures) and (rows := features[module.kind]) is not None:
            if isinstance(module, OpenHead) and module.kind == "predicates" and unseen is not None:
                module.set_names(torch.from_numpy(rows), torch.from_numpy(unseen[0]), unseen[1])
            else:
                module.set_names(torch.from_numpy(rows))
        elif isinstance(module, DetectorStart) and means is not None:
            module.set_match(*map(torch.from_numpy, means))
            if views is not None:
                module.set_views(torch.from_numpy(views[0]), views[1])
        elif isinstance(module, LanguagePrior) and log_ratios is not None:
            module.set_table(torch.from_numpy(log_ratios))
    counts = {kind: len(rows) for kind, rows in features.items() if rows is not None}
    model.sizes = Sizes(**asdict(model.sizes) | counts)


@contextmanager
def names_kept(model: SggModel) -> Iterator[None]:
    """Whatever names a model is told in the block, after it it knows those that it knew."""
    named = [m for m in model.modules() if isinstance(m, NameFeatures | DetectorStart | LanguagePrior)]
    before, sizes = [dict(module.named_buffers(recurse=False)) for module in named], model.sizes
    try:
        yield
    finally:
        model.sizes = sizes
        for module, buffers in zip(named, before, strict=True):
            for name, buffer in buffers.items():
                setattr(module, name, buffer)
