"""Progress bars, and the place where a signal ends a run: between two steps of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from groundgraph.terminal import Console

Advance = Callable[[int], None]


class Bars:
    """Shows the bars of one run while `shown`; before and after it only counts.

    Attributes:
        stop: Called with every step; raises where the run is to end.
    """

    def __init__(self) -> None:
        self.stop: Callable[[], None] = lambda: None
        self._progress: Progress | None = None

    @contextmanager
    def shown(self, console: Console, stop: Callable[[], None]) -> Iterator[None]:
        """Show bars on a console in the block, and call `stop` with their steps."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        times = (TimeElapsedColumn(), TimeRemainingColumn())
        try:
            with Progress(SpinnerColumn(), *columns, *times, console=console, transient=True) as self._progress:
                self.stop = stop
                yield
        finally:
            self.stop, self._progress = (lambda: None), None

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        """A bar in the block; call what it gives with how many more are done, when these can be written down."""
        with self.line(label, total) as show:

            def advance(count: int) -> None:
                show(count)
                self.stop()

            yield advance

    @contextmanager
    def line(self, label: str, total: int) -> Iterator[Advance]:
        """A bar in the block that only shows: of what another process does."""
        progress = self._progress
        task = progress.add_task(label, total=total) if progress else None
        try:
            yield lambda count: progress.advance(task, count) if progress and task is not None else None
        finally:
            if progress and task is not None:
                progress.remove_task(task)
