"""What grounders learn from: L_MIL (Eq. 4-5), L_adp (Eq. 13), L_KD (Eq. 14); and, ours, a contrast of each entity.

Eq. 15 is the sum of the first three: `TwoTeachers`.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.grounding.logsumexp import logsumexp
from groundgraph.training.processes import WHOLE, Share


def bag_similarity(
    scores: Tensor, entities: Tensor, regions: Tensor, sigmoid: bool = True, padding: bool = False
) -> Tensor:
    """S(C, I) of Eq. 4 for every caption C and image I of a batch.

    The sigmoid is monotone, so it is taken after the maximum.

    Args:
        scores: [B, Ne, B', Nv], every entity of every caption against every region of every image.
        entities: [B, Ne] bool, True = real.
        regions: [B', Nv] bool, True = real.
        sigmoid: As in the paper; the released code has none.
        padding: Padded regions take part in the maximum, as released.

    Returns:
        [B, B'].
    """
    best = (scores if padding else scores.masked_fill(~regions, float("-inf"))).amax(-1)
    best = best.sigmoid() if sigmoid else best
    weight = entities.unsqueeze(-1).to(best.dtype)
    return (best * weight).sum(1) / weight.sum(1).clamp(min=1)


def mil_loss(similarity: Tensor, margin: float = 0.2, diagonal: bool = False) -> Tensor:
    """L_MIL of Eq. 5 as a mean, which keeps the balance of the losses independent of the batch size.

    Args:
        similarity: S [B, B], own images on the diagonal.
        margin: alpha_1.
        diagonal: The mean is over all B x B with an own score of 0 in place of S(C, C), as released: a pull of every
            own score up to the margin.

    Returns:
        A scalar; 0 for a batch of one.
    """
    size = len(similarity)
    if size < 2:
        return similarity.sum() * 0.0
    own = torch.eye(size, dtype=torch.bool, device=similarity.device)
    rivals = similarity.masked_fill(own, 0.0)
    hinge = (rivals - similarity.diagonal().unsqueeze(1) + margin).clamp(min=0)
    return hinge.mean() if diagonal else hinge[~own].mean()


def entity_contrast(scores: Tensor, owner: Tensor, regions: Tensor, share: Share = WHOLE) -> Tensor:
    """Which of the batch's images each entity belongs to: the mean cross-entropy. Ours, in no publication.

    An image's score for an entity is log mean_j exp(a_ij): the mean over its regions while scores are small, so that at
    first all regions learn and no first choice decides; their maximum once they are large. And each entity answers for
    itself, where the mean of Eq. 4 lets a caption's easiest word speak for the others.

    Args:
        scores: a [N, b, V] of all real entities of the batch's B images against the regions of the b that this process
            has.
        owner: [N] int64, each entity's own image among all B.
        regions: [b, V] bool, True = real.
        share: Of the images, where several processes have them.

    Returns:
        A scalar; 0 for a batch of one.
    """
    logits = logsumexp(scores.masked_fill(~regions, MASKED_LOGIT)) - regions.sum(1).clamp(min=1).log()
    return share.of_all(cross_entropy(share.gather(logits.T).T, owner))


def mil_weight(epoch: int) -> float:
    """The released decay of L_MIL's weight: 1 in epochs 0 to 4, then .2 less an epoch, 0 from epoch 9 on."""
    return min(1.0, max(0.0, 1.0 - 0.2 * (epoch - 4)))


def random_attention(
    regions: Tensor, entities: int, generator: torch.Generator | None = None, share: Share = WHOLE
) -> Tensor:
    """A random attention an entity, Eq. 13's negative: uniform on the simplex, by exponential draws, normalised.

    Args:
        regions: [B, Nv] bool; padding gets nothing.
        entities: How many rows an image.
        generator: Of the draws.
        share: Of the batch, where several processes have it.

    Returns:
        [B, entities, Nv], rows sum to 1.
    """
    draws = share.draw(torch.rand, (len(regions), entities, regions.shape[1]), generator, regions.device)
    draws = -draws.clamp(1e-9, 1 - 1e-9).log() * regions.unsqueeze(1)
    return draws / draws.sum(-1, keepdim=True)


def lowest_attention(
    target: Tensor, regions: Tensor, generator: torch.Generator | None = None, share: Share = WHOLE
) -> Tensor:
    """Eq. 13's negative as released: equal shares on 0 to 4 of an entity's 10 lowest regions.

    Ties among the lowest fall at random; a draw of none gives a row of zeros. Padding is never among them.

    Args:
        target: [B, Ne, Nv], a teacher's.
        regions: [B, Nv] bool.
        generator: Of the draws.
        share: Of the batch, where several processes have it.

    Returns:
        [B, Ne, Nv].
    """
    noise = share.draw(torch.rand, target.shape, generator, target.device) * 1e-6
    ranked = (target + noise).masked_fill(~regions.unsqueeze(-2), torch.inf).argsort(-1)
    pool = ranked[..., :10]
    keys = share.draw(torch.rand, pool.shape, generator, target.device)
    real = regions.unsqueeze(-2).expand_as(target).gather(-1, pool)
    rank = keys.masked_fill(~real, 2.0).argsort(-1).argsort(-1)
    count = share.draw(partial(torch.randint, 0, 5), (*target.shape[:-1], 1), generator, target.device)
    drawn = ((rank < count) & real).to(target.dtype)
    shares = drawn / drawn.sum(-1, keepdim=True).clamp(min=1)
    return torch.zeros_like(target).scatter(-1, pool, shares)


def adaptor_loss(
    positive: Tensor,
    negative: Tensor,
    informed: Tensor,
    margin: float = 0.2,
    crossed: bool = False,
    sigmoid: bool = False,
    share: Share = WHOLE,
) -> Tensor:
    """L_adp of Eq. 13 as a mean over entities, summed over the teachers.

    Args:
        positive: [..., Ne, T] adaptor outputs (Eq. 12) of the features that the teachers attend to.
        negative: [..., Ne, T] the same of randomly attended features.
        informed: [..., Ne, T] bool; a teacher whose target is empty gives no loss on that entity.
        margin: alpha_2.
        crossed: Each positive against the OTHER (of several: the one before) teacher's negative, as released.
        sigmoid: Both pass through it before the hinge, as released.
        share: Of the entities, where several processes have them, whose losses add up to the mean.

    Returns:
        A scalar.
    """
    if crossed:
        negative = negative.roll(1, -1)
    if sigmoid:
        positive, negative = positive.sigmoid(), negative.sigmoid()
    hinge = (negative - positive + margin).clamp(min=0) * informed
    return (hinge.flatten(0, -2).sum(0) / share.sum(informed.flatten(0, -2).sum(0)).clamp(min=1)).sum()


def distillation_loss(scores: Tensor, targets: Tensor, regions: Tensor, share: Share = WHOLE) -> Tensor:
    """L_KD of Eq. 14, KL(q_i || softmax(a_i)), as a mean over the entities whose fused target has any mass.

    Args:
        scores: a [..., Ne, Nv].
        targets: q [..., Ne, Nv]; an entity with an empty row (no teacher knows it, or padding) gives no loss.
        regions: [..., Nv] bool, True = real.
        share: Of the images, where several processes have them, whose losses add up to the mean.

    Returns:
        A scalar.
    """
    log_p = scores.masked_fill(~regions.unsqueeze(-2), torch.finfo(scores.dtype).min).log_softmax(-1)
    divergence = (torch.xlogy(targets, targets) - targets * log_p.masked_fill(targets == 0, 0.0)).sum(-1)
    taught = targets.sum(-1) > 0
    return (divergence * taught).sum() / share.sum(taught.sum()).clamp(min=1)
