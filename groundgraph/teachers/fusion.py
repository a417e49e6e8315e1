"""How the teachers' targets become one (Eq. 9; or a product), and how far each is trusted on an entity (Eq. 10, 11).

The paper has two teachers. The rules are the same for any number: targets are stacked, [..., E, T, V], the object-aware
one first (Eq. 6), then the interaction-aware one (Eq. 8), then that of phrases, where there is one.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

FLOOR = 1e-3  # what a region that a teacher of names calls something else keeps of the others' say in a product


def fuse(targets: Tensor, weights: Tensor) -> Tensor:
    """Return the fused target q_i, the sum over the teachers of w^(t) a^(t)_i (Eq. 9).

    The weights are made to sum to 1 over the teachers that have a say in the row: where no region matches the entity,
    the others count alone. A row on which all are silent stays empty.

    Args:
        targets: [..., E, T, V].
        weights: [..., E, T].

    Returns:
        [..., E, V].
    """
    shares = weights * (targets.sum(-1) > 0)
    shares = shares / shares.sum(-1, keepdim=True).clamp(min=1e-12)
    return (shares.unsqueeze(-1) * targets).sum(-2)


def fuse_product(targets: Tensor, temperature: float) -> Tensor:
    """Return a target proportional to (a^(o)_i + FLOOR) (a^(r)_i)^(1 / temperature): not in the paper.

    Of two alike things that the detector names, the interaction-aware teacher tells which is meant. A third teacher
    names regions too: it is one more factor, where it has a say. Where no teacher names a region the interaction-aware
    one counts alone, as it is; where that one is silent the others count, alike; a row on which all are stays empty.

    Args:
        targets: [..., E, T, V].
        temperature: That Eq. 8's scores are divided by here, over their own: below 1 is sharper.

    Returns:
        [..., E, V].
    """
    interaction, naming = targets[..., 1, :], torch.cat([targets[..., :1, :], targets[..., 2:, :]], -2)
    peak = interaction.amax(-1, keepdim=True)
    # Over its peak, a small share that becomes 0 leaves the row something.
    sharpened = (interaction / peak.clamp(min=1e-12)) ** (1 / temperature)
    speaks = naming.sum(-1) > 0  # [..., E, T - 1]
    product = torch.where(speaks.unsqueeze(-1), naming + FLOOR, 1.0).prod(-2) * sharpened
    product = product / product.sum(-1, keepdim=True).clamp(min=1e-12)
    named = torch.where(peak > 0, product, fuse(naming, torch.ones_like(speaks, dtype=naming.dtype)))
    return torch.where(speaks.any(-1, keepdim=True), named, interaction)


def expert_weights(targets: Tensor, regions: Tensor, entities: Tensor, temperature: float) -> Tensor:
    """Return how reliable each teacher is to a model of pictures and words (Eq. 10-11, expert-guided).

    The softmax of the cosines, since dividing them by their sum breaks on negative values. A silent teacher's cosine
    counts as 0; `fuse` gives it nothing anyway.

    Args:
        targets: [..., E, T, V].
        regions: [..., V, d], features of the regions' crops (CLIP's).
        entities: [..., E, d], features of the entities' prompts in the same space.
        temperature: Divides the cosines.

    Returns:
        [..., E, T], rows sum to 1.
    """
    attended = targets @ regions.unsqueeze(-3)
    return (cosine_similarity(attended, entities.unsqueeze(-2), dim=-1) / temperature).softmax(-1)


def smooth(target: Tensor, regions: Tensor, share: float) -> Tensor:
    """Return a target of which the regions without mass got a share in equal parts, as released.

    Args:
        target: [..., R, V]; a row that is empty, or has mass on every region, stays as it is.
        regions: [..., V] bool: which are regions and no padding.
        share: What they get together, in 0 to 1.

    Returns:
        [..., R, V].
    """
    mass = target > 0
    free = regions.unsqueeze(-2) & ~mass
    count = free.sum(-1, keepdim=True)
    apply = mass.any(-1, keepdim=True) & (count > 0)
    spread = target * (1 - share) + free * (share / count.clamp(min=1))
    return torch.where(apply, spread, target)
