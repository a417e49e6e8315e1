"""The recurrent network that completes triplets of two regions, and the beam search that reads it (LSWS)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from groundgraph.systems.model import NameEmbeddings


class Beams(NamedTuple):
    """The best triplets of N pairs of regions, K of each.

    Attributes:
        subjects: [N, K] in 0..C-1.
        objects: [N, K] in 0..C-1.
        log_p: [N, K], of subject and object together; best first.
        predicates: [N, K, P], log probabilities given these two.
    """

    subjects: Tensor
    objects: Tensor
    log_p: Tensor
    predicates: Tensor


class TripletPredictor(nn.Module):
    """An LSTM that says subject, object, predicate in this order.

    A step reads what a region looks like (the subject, the object, none) and the name that the step before said (none,
    subject, object); its state is classified by the names' embeddings.

    Args:
        d: Width of its state, of what regions look like and of names.
    """

    def __init__(self, d: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(2 * d, d)

    def forward(self, looks: tuple[Tensor, Tensor], names: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """The three states, where the names are known.

        Args:
            looks: Subjects and objects, [N, d] each.
            names: Embeddings of their names, [N, d] each.

        Returns:
            [N, d] each, of subject, object, predicate.
        """
        nothing = torch.zeros_like(looks[0])
        subject = self.cell(torch.cat([looks[0], nothing], -1))
        object_ = self.cell(torch.cat([looks[1], names[0]], -1), subject)
        predicate = self.cell(torch.cat([nothing, names[1]], -1), object_)
        return subject[0], object_[0], predicate[0]

    def search(
        self, looks: tuple[Tensor, Tensor], categories: NameEmbeddings, predicates: NameEmbeddings, beam_size: int
    ) -> Beams:
        """Beam search: of the subjects the best, of these with every object the best, and the predicates of these.

        Args:
            looks: Subjects and objects, [N, d] each.
            categories: The names of things.
            predicates: The names of relations.
            beam_size: How many stay.
        """
        nothing = torch.zeros_like(looks[0])
        state = self.cell(torch.cat([looks[0], nothing], -1))
        log_p, subject = categories(state[0]).log_softmax(-1).topk(min(beam_size, len(categories.weight)))
        k = subject.shape[1]
        *state, look = (part[:, None].expand(-1, k, -1).flatten(0, 1) for part in (*state, looks[1]))
        name = categories.weight[subject].flatten(0, 1)
        state = self.cell(torch.cat([look, name], -1), tuple(state))
        both = log_p[..., None] + categories(state[0]).log_softmax(-1).view(*subject.shape, len(categories.weight))
        log_p, place = both.flatten(1).topk(k)
        parent, object_ = place // both.shape[-1], place % both.shape[-1]
        name = categories.weight[object_].flatten(0, 1)
        own = parent[..., None].expand(-1, -1, name.shape[-1])
        state = tuple(part.view(own.shape).gather(1, own).flatten(0, 1) for part in state)
        hidden, _ = self.cell(torch.cat([torch.zeros_like(name), name], -1), state)
        return Beams(
            subject.gather(1, parent),
            object_,
            log_p,
            predicates(hidden).log_softmax(-1).view(*object_.shape, len(predicates.weight)),
        )

    def predicates_of(
        self,
        looks: tuple[Tensor, Tensor],
        names: Tensor,
        categories: NameEmbeddings,
        predicates: NameEmbeddings,
    ) -> Beams:
        """The predicates of pairs whose names [N, 2] are given: one beam each."""
        words = categories.weight[names]
        last = self(looks, (words[:, 0], words[:, 1]))[2]
        certain = torch.zeros_like(names[:, :1], dtype=torch.float32)
        return Beams(names[:, :1], names[:, 1:], certain, predicates(last).log_softmax(-1)[:, None])
