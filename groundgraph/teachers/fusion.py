"""How two teachers become one target (Eq. 9)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Fusion = Callable[[np.ndarray, np.ndarray], np.ndarray]


def average(object_target: np.ndarray, interaction_target: np.ndarray) -> np.ndarray:
    """Eq. 9 with equal weights; where one teacher has nothing to say about an entity the other counts alone.

    Both [E, V], rows sum to 1 or are all zero -> [E, V]; a row is all zero where both are.
    """
    return weighted(object_target, interaction_target, np.full((len(object_target), 2), 0.5, np.float32))


def weighted(object_target: np.ndarray, interaction_target: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Eq. 9: weights [E, 2] of the two teachers, made to sum to 1 over those that have a say in the row."""
    if object_target.shape != interaction_target.shape:
        raise ValueError(f"the two targets differ in shape: {object_target.shape} and {interaction_target.shape}")
    says = np.stack([object_target.any(1), interaction_target.any(1)], 1)
    shares = weights * says
    shares = shares / np.where(shares.sum(1, keepdims=True) > 0, shares.sum(1, keepdims=True), 1)
    fused = shares[:, :1] * object_target + shares[:, 1:] * interaction_target
    return fused.astype(np.float32)


FUSION: dict[str, Fusion] = {"average": average}
