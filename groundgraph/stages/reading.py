"""Reading a stage's output back: opened once a run, each image read when it is asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from groundgraph.engine.run import Run

T = TypeVar("T")
P = ParamSpec("P")
Reader = Callable[Concatenate[Run, P], T]


def kept(stage: str) -> Callable[[Reader[P, T]], Reader[P, T]]:
    """Make a reader give what it gave before, until its stage runs again.

    Args:
        stage: The stage's name, in which {0}, {1} stand for the reader's arguments after the run.
    """

    def decorate(read: Reader[P, T]) -> Reader[P, T]:
        @wraps(read)
        def reader(run: Run, *arguments: P.args, **_: P.kwargs) -> T:
            key = (stage.format(*arguments), read.__name__, *arguments)
            if key not in run.cache:
                run.cache[key] = read(run, *arguments)
            return run.cache[key]

        return reader

    return decorate


class Lazy(Sequence[T]):
    """A sequence whose items are read when they are asked for.

    Args:
        count: How many items there are.
        read: Reads one by its place.
        lengths: What is known of the items without reading them (see `grounding.data.lengths_of`).
    """

    def __init__(self, count: int, read: Callable[[int], T], lengths: Any = None) -> None:
        self._count, self._read, self.lengths = count, read, lengths

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int | slice) -> Any:
        places = range(self._count)[index]
        return [self._read(i) for i in places] if isinstance(places, range) else self._read(places)
