"""Costs of stages that look at each image of some splits once."""

from __future__ import annotations

from collections.abc import Iterable

from groundgraph.engine.stage import Cost


def per_image(splits: Iterable[str], words: str, seconds: float = 0.2) -> Cost:
    """The cost of one look at every image.

    Args:
        splits: Whose images.
        words: For a person; {images:,} stands for how many there are.
        seconds: Of one core for 1,000 images.
    """
    splits = tuple(splits)

    def images(counts: dict[str, int]) -> int:
        return sum(counts[split] for split in splits)

    return Cost(images, lambda counts: words.format(images=images(counts)), seconds)
