"""The detector's answer, which a scene-graph model's object logits start from and which training cannot unlearn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from groundgraph.language.concepts import BARRED, FREE, OWN
from groundgraph.sgg.batch import Batch, Sizes

NEVER = -60.0  # logit of a name that a region cannot have


class DetectorAnswer(NamedTuple):
    """What the detector says of regions [...].

    Attributes:
        shares: Distributions [..., 1 + C], see `DetectorStart`.
        doubt: [..., 1 + C], how much of a label is not believed: 0, or the detector's score where the detector says
            otherwise, or 1 for a name that it would have used, had it seen that.
        logits: [..., 1 + C], smoothed logarithms of the shares, 0 where the detector names no category and nothing
            else does, so that a model is on its own there.
        own: [..., 1 + C] bool, the names of which the detector's score is the probability together; all False: of none.
    """

    shares: Tensor
    doubt: Tensor
    logits: Tensor
    own: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> DetectorAnswer:
        """The same with every tensor changed alike."""
        return DetectorAnswer(*map(change, self))

    def at(self, place: int) -> DetectorAnswer:
        """Of one region of each image: [B, V, ...] -> [B, ...]."""
        return self.each(lambda values: values[:, place])

    def moved(self, residual: Tensor) -> Tensor:
        """Logits [..., 1 + C] by what a model has learnt, [..., 1 + C].

        It decides between the names of the detector's category (person: man, woman), and between background and all
        other names. How likely the one and the other are is the detector's score and the rest of it.
        """
        return moved_logits(self.logits, self.own, residual)


def moved_logits(logits: Tensor, own: Tensor, residual: Tensor, never: float = NEVER) -> Tensor:
    """`DetectorAnswer.moved`, of its logits and own [..., 1 + C]; TorchScript reads it too, but no constant."""
    barred = logits <= never
    moved = logits + residual
    gap = torch.where(own, mass_gap(logits, moved, own), mass_gap(logits, moved, ~own & ~barred))
    return (moved + gap).masked_fill(barred, never)


def mass_gap(before: Tensor, after: Tensor, part: Tensor) -> Tensor:
    """What brings a part [..., 1 + C] of the logits after back to the probability that it had before: [..., 1]."""
    first = before.float().masked_fill(~part, -1e9).logsumexp(-1, keepdim=True)
    return first - after.float().masked_fill(~part, -1e9).logsumexp(-1, keepdim=True)


class DetectorStart(nn.Module):
    """The detector's answer as a distribution over the vocabulary, which object logits start from.

    A region of a category with score s is, with s, one of the vocabulary's names that the category goes by (in equal
    shares), and nothing of the vocabulary with 1 - s. A model learns what its labels add to that: its own layer starts
    at 0. What it learns cannot change s (`DetectorAnswer.moved`), nor make the region what the detector would have
    named, so a few photos with wrong labels cannot make it find the detector's categories worse than the detector does.
    A region without a category starts from nothing.

    The detector cannot know names that none of its categories goes by. Where an image-text model has seen the regions'
    crops (`sizes.views`), the part U that its distribution over all names gives to those is theirs, and only 1 - U the
    detector's; of a region without a category all but s U is background. All of that is a start, and may be unlearnt.

    Args:
        sizes: Of the data.

    Attributes:
        match: [D + 1, 1 + C], how a detector category's score is shared between the names that mean it; column 0 where
            none does; the last row, of regions without a category, is 0.
        roles: [D + 1, 1 + C] int8, what each name is to a region of a category, see `language.concepts.name_roles`; the
            background and the last row are FREE.
        names: [C, e], the names' features in the image-text model's space, of unit length.
        temperature: Divides the cosines of crops and names.
    """

    match: Tensor
    roles: Tensor
    names: Tensor
    temperature: Tensor
    smoothing = 0.02  # share of all names alike, so that no name begins as impossible
    certain = 0.999  # the most that the detector is believed

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.views = sizes.views
        self.register_buffer("match", torch.zeros(sizes.detector_categories + 1, 1 + sizes.categories))
        self.register_buffer("roles", torch.full(self.match.shape, FREE, dtype=torch.int8))
        self.register_buffer("names", torch.zeros(sizes.categories, sizes.views))
        self.register_buffer("temperature", torch.tensor(1.0))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        """Also of a model that was stored before names had roles."""
        if f"{prefix}roles" not in state_dict and f"{prefix}match" in state_dict:
            goes = state_dict[f"{prefix}match"] > 0
            goes[:, 0] = False
            roles = torch.where(goes, OWN, torch.where(goes.any(0), BARRED, FREE)).to(torch.int8)
            roles[-1] = FREE
            state_dict = {**state_dict, f"{prefix}roles": roles}
        super()._load_from_state_dict(state_dict, prefix, *rest)

    @torch.no_grad()
    def set_match(self, means: Tensor, roles: Tensor) -> None:
        """Say which detector category goes by which name, [D, C] bool, and what each name is to it, [D, C]."""
        free = torch.full_like(roles[:, :1], FREE)
        roles = torch.cat([free, roles], 1).to(self.roles)
        self.roles = torch.cat([roles, torch.full_like(roles[:1], FREE)])
        means = means.to(self.match)
        none = means.sum(1, keepdim=True) == 0
        rows = torch.cat([none.to(means), means / means.sum(1, keepdim=True).clamp(min=1)], 1)
        self.match = torch.cat([rows, torch.zeros_like(rows[:1])])

    def set_views(self, names: Tensor, temperature: float) -> None:
        """Take the names' features [C, e] of unit length, and what divides their cosines with crops."""
        self.names, self.temperature = names.to(self.names), torch.full_like(self.temperature, temperature)

    def forward(self, batch: Batch) -> DetectorAnswer:
        """What the detector says of every region [B, V]."""
        silent = (batch.labels < 0)[..., None]
        score = batch.scores.clamp(0, 1)[..., None]
        nothing = torch.zeros_like(self.match[0])
        nothing[0] = 1
        shares = torch.where(silent, nothing, embedding(batch.labels % len(self.match), self.match))
        if self.views:
            unknown = self._unknown(batch)
            shares = torch.cat([torch.zeros_like(score), unknown], -1) + (1 - unknown.sum(-1, keepdim=True)) * shares
        shares = score * shares + (1 - score) * nothing
        sure = 1 - shares[..., :1]
        roles = self.roles[batch.labels % len(self.roles)]
        own = roles == OWN
        if self.views:
            contradicted = ~own & (batch.labels >= 0)[..., None]
            contradicted[..., 0] = False
            return DetectorAnswer(shares, sure * contradicted, self._smooth(shares).log(), own & False)
        doubt = torch.where(roles == BARRED, 1.0, torch.where(own, 0.0, sure))
        logits = self._within(shares, own, roles == FREE).masked_fill(silent, 0)
        return DetectorAnswer(shares, doubt, logits, own)

    def _smooth(self, shares: Tensor) -> Tensor:
        return torch.lerp(shares, torch.full_like(shares, 1 / shares.shape[-1]), self.smoothing)

    def _within(self, shares: Tensor, own: Tensor, free: Tensor) -> Tensor:
        """Logarithms of the shares, smoothed among a category's own names and among all that it cannot know."""
        logits = torch.full_like(shares, NEVER)
        sure = (shares * own).sum(-1, keepdim=True).clamp(1 - self.certain, self.certain)
        for part, mass in ((own, sure), (free, torch.where(own.any(-1, keepdim=True), 1 - sure, 1))):
            inside = shares * part
            inside = inside / inside.sum(-1, keepdim=True).clamp(min=1e-9)
            even = part / part.sum(-1, keepdim=True).clamp(min=1)
            logits = torch.where(part, (mass * torch.lerp(inside, even, self.smoothing)).clamp(min=1e-12).log(), logits)
        return logits

    def _unknown(self, batch: Batch) -> Tensor:
        """The image-text model's distribution over names, where the detector has no category for them: [B, V, C]."""
        views = normalize(batch.features[..., -self.views :], dim=-1)
        shares = (views @ self.names.T / self.temperature).softmax(-1)
        return shares * (self.match[:, 1:].sum(0) == 0)
