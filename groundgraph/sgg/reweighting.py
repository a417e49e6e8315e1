"""What predicates' losses weigh: as LLM4SGG has it, rare ones as much as frequent ones together.

Kim et al., "LLM4SGG: Large Language Models for Weakly Supervised Scene Graph Generation", CVPR 2024, and its released
code. Held: a relation's cross-entropy is multiplied by the median of the predicates' numbers over its own predicate's,
pairs without a relation keep weight 1, and the mean is over the pairs, not over their weights. Not held: the median is
of the predicates that the labels have (released: of the whole vocabulary, and there hardly one has none).
"""

from __future__ import annotations

import torch
from torch import Tensor


def inverse_frequency(counts: Tensor) -> Tensor:
    """Return the median of the predicates' numbers over each one's own.

    Args:
        counts: [P], how often each predicate is among the labels.

    Returns:
        [P] float32; 1 for a predicate that is not among them, whose loss there is none of.
    """
    counts = counts.float()
    present = counts > 0
    if not present.any():
        return torch.ones_like(counts)
    median = counts[present].quantile(0.5)
    return torch.where(present, median / counts.clamp(min=1e-6), 1.0)
