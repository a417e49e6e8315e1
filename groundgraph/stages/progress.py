"""What a training tells of its progress, as a run's bar takes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def done_of(advance: Callable[[int], None]) -> Callable[..., None]:
    """A bar's `advance`, told how many steps are done instead of how many more."""
    before = 0

    def done(steps: int, *_: Any) -> None:
        nonlocal before
        advance(steps - before)
        before = steps

    return done
