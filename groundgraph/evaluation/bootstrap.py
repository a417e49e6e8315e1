"""Confidence intervals by resampling images: the metrics of many samples at once, as matrix products."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import TypeVar

import numpy as np

Key = TypeVar("Key", bound=Hashable)
_CELLS = 16_000_000  # weights held at once


def draw_weights(images: int, draws: int, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each image occurs in samples of as many images, drawn with replacement.

    Args:
        images: N.
        draws: D, how many samples.
        seed: of the generator; the same seed gives the same samples.

    Yields:
        Parts of [D, N] int64, one after the other, each small enough for memory at any N. Rows sum to N.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // max(images, 1))
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        drawn = rng.integers(0, max(images, 1), (rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)


def intervals(
    metrics: Callable[[np.ndarray], dict[Key, np.ndarray]], images: int, draws: int, seed: int, level: float = 0.95
) -> dict[Key, list[float]]:
    """Percentile intervals of metrics over images.

    Images, not relations, are drawn, since the relations of an image are not independent.
    Source: Efron's percentile bootstrap.

    Args:
        metrics: from weights [D, N] (see `draw_weights`) to {key: [D] values}.
        images: N.
        draws: how many samples.
        seed: of the samples.
        level: the share of the samples between low and high.

    Returns:
        {key: [low, high]}.
    """
    parts = [metrics(weights) for weights in draw_weights(images, draws, seed)]
    ends = (50 * (1 - level), 50 * (1 + level))
    return {key: np.percentile(np.concatenate([part[key] for part in parts]), ends).tolist() for key in parts[0]}
