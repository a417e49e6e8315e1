"""Confidence intervals by resampling images: the figures of many samples at once, as matrix products."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

_CELLS = 16_000_000  # weights held at once


def draw_weights(images: int, draws: int, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each image occurs in each of `draws` samples of `images` images with replacement: parts of [draws, N].

    Each row is a multinomial draw with equal chances. The parts, int64 and one after the other, are small enough for
    memory at any number of images.
    """
    rng = np.random.default_rng(seed)
    at_once = max(1, _CELLS // max(images, 1))
    for start in range(0, draws, at_once):
        rows = min(at_once, draws - start)
        drawn = rng.integers(0, max(images, 1), (rows, images)) + images * np.arange(rows)[:, None]
        yield np.bincount(drawn.ravel(), minlength=rows * images).reshape(rows, images)


def intervals(
    figures: Callable[[np.ndarray], dict[str, np.ndarray]], images: int, draws: int, seed: int, level: float = 0.95
) -> dict[str, list[float]]:
    """Percentile intervals of figures over images: {name: [low, high]}.

    figures  from weights [D, N], how often each sample has each image, to {name: [D] values}
    level    the share of the samples between low and high
    Source: Efron's percentile bootstrap; images, not relations, are drawn, since relations of an image are not
    independent.
    """
    parts = [figures(weights) for weights in draw_weights(images, draws, seed)]
    ends = (50 * (1 - level), 50 * (1 + level))
    return {name: np.percentile(np.concatenate([p[name] for p in parts]), ends).tolist() for name in parts[0]}
