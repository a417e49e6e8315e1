"""Where a scene-graph model's training stands, as its checkpoint holds it."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor


@dataclass
class TrainingState:
    """Where a training stands, beside what its model, optimiser and random generators hold.

    epoch and step   the epoch under way and how many of its steps are done; done: steps of all epochs
    order            the epoch's images as they were shuffled
    sums, seconds    of the epoch so far: losses and time
    history          a record a finished epoch
    best, stale      the best validation figure with its weights, and the epochs since
    """

    epoch: int = 0
    step: int = 0
    done: int = 0
    order: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    weights: dict[str, Tensor] | None = None
    stale: int = 0
