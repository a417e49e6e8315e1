"""Memory for processes that load the same models: one more does only where there is room for as much again."""

from __future__ import annotations

import threading

import psutil

PLENTY = 4 << 30  # bytes a process: where so much is free, nobody waits to know how much it takes


class Room:
    """Who holds which stage's models, and whether another may.

    The first process to begin with a stage says how much it takes: until it has done a slice, the others wait, but
    where memory is plenty.

    Args:
        processes: How many there are.
    """

    def __init__(self, processes: int) -> None:
        self.plenty = psutil.virtual_memory().available > processes * PLENTY
        self.sizes: dict[str, dict[int, int]] = {}  # attempt -> process -> bytes, 0 where it has only begun
        self.lock = threading.Lock()

    def take(self, attempt: str, process: int) -> bool:
        """Whether a process may begin with, or go on with, an attempt at a stage (`Task.attempt`)."""
        with self.lock:
            sizes = self.sizes.setdefault(attempt, {})
            most = max(sizes.values(), default=0)
            begun = list(sizes.values()).count(0)
            fits = bool(most) and psutil.virtual_memory().available > most * (1 + begun)
            if process not in sizes and sizes and not self.plenty and not fits:
                return False
            sizes.setdefault(process, 0)
            return True

    def weigh(self, attempt: str, process: int, number: int) -> None:
        """Note what a process takes that has done a slice; number: the system's for it."""
        with self.lock:
            sizes = self.sizes.setdefault(attempt, {})
            if not sizes.get(process):
                try:
                    sizes[process] = psutil.Process(number).memory_info().rss
                except psutil.Error:
                    sizes.pop(process, None)

    def leave(self, process: int) -> None:
        """A process has died, or gives back what it holds."""
        with self.lock:
            for sizes in self.sizes.values():
                sizes.pop(process, None)
