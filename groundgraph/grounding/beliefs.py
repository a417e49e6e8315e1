"""Belief propagation: which regions a caption's entities mean, decided together over the graph of its triplets."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.grounding.logsumexp import logsumexp


def propagate(unary: Tensor, pairwise: Tensor, triplets: Tensor, mask: Tensor, rounds: int) -> tuple[Tensor, Tensor]:
    """Marginals of p(regions) ~ exp(sum_e a_e(i_e) + sum_t g_t(i_s, i_o)), by the sum-product algorithm.

    Entities are the variables, triplets the factors. Messages of all triplets of all images pass at once. On a graph
    without a circle, as a sentence mostly is, as many rounds as its longest path has triplets are exact.

    Args:
        unary: a [B, E, V], log scores of each entity's regions; what cannot be is very low.
        pairwise: g [B, T, V, V], log scores of each triplet's (subject's, object's) regions, likewise.
        triplets: [B, T, 2] int64, subject and object.
        mask: [B, T] bool, True = real.
        rounds: Of messages. 0: each triplet alone, and an entity's belief is the mean of its triplets' log marginals.

    Returns:
        Log beliefs of the entities [B, E, V] and of the triplets [B, T, V, V], each of its own sum 1; of what is
        masked, anything.
    """
    width = unary.shape[-1]
    ends = [triplets[..., k, None].expand(-1, -1, width) for k in (0, 1)]
    real = mask.unsqueeze(-1)
    beliefs, sent = unary, [torch.zeros_like(unary).gather(1, end) for end in ends]
    for _ in range(rounds):
        rest = [beliefs.gather(1, end) - message for end, message in zip(ends, sent, strict=True)]
        sent = [
            logsumexp(pairwise + rest[1].unsqueeze(-2)).log_softmax(-1) * real,
            logsumexp(pairwise + rest[0].unsqueeze(-1), -2).log_softmax(-1) * real,
        ]
        beliefs = unary.scatter_add(1, ends[0], sent[0]).scatter_add(1, ends[1], sent[1])
    rest = [beliefs.gather(1, end) - message for end, message in zip(ends, sent, strict=True)]
    joint = pairwise + rest[0].unsqueeze(-1) + rest[1].unsqueeze(-2)
    joint = joint.flatten(-2).log_softmax(-1).view_as(pairwise)
    if not rounds:
        marginals = [logsumexp(joint) * real, logsumexp(joint, -2) * real]
        total = torch.zeros_like(unary).scatter_add(1, ends[0], marginals[0]).scatter_add(1, ends[1], marginals[1])
        count = torch.zeros_like(unary[..., :1])
        for k in (0, 1):
            count = count.scatter_add(1, triplets[..., k, None], real.to(count))
        beliefs = torch.where(count > 0, total / count.clamp(min=1), unary)
    return beliefs.log_softmax(-1), joint
