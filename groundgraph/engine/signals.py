"""SIGINT and SIGTERM end a run where nothing is lost: between two batches, with all that is done on the disk."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """A run was asked to end; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def __reduce__(self) -> tuple[type[Stopped], tuple[int]]:
        return Stopped, (self.number,)


class Withdrawn(KeyboardInterrupt):
    """A stage ends since another, performed beside it, has failed."""


@contextmanager
def stoppable(say: Callable[[str], None]) -> Iterator[Callable[[], None]]:
    """In the block a signal is only noted; call what it gives where it may end the run: it then raises `Stopped`.

    The second signal raises at once, wherever that is. In a thread that gets no signals the block changes nothing.
    """
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if noted:
            raise Stopped(number)
        noted.append(number)
        say(f"{signal.Signals(number).name}: stopping after this batch; once more: at once")

    def check() -> None:
        if noted:
            raise Stopped(noted[0])

    if threading.current_thread() is not threading.main_thread():
        yield check
        return
    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
