"""A step of a run: what it reads and writes, and what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Requirement(Protocol):
    """A file or model that a stage needs."""

    @property
    def present(self) -> bool:
        """Whether it is here."""
        ...


def _nothing() -> tuple[()]:
    """Of a stage that reads no files but other stages' and has no requirements."""
    return ()


@dataclass(frozen=True)
class Cost:
    """How much a stage has to do.

    Attributes:
        images: Of so many images a split, how many it looks at; a training's count once an epoch.
        words: The same for a person, with the images of each split: "find regions: 2,200 images".
        seconds: Of one core for 1,000 of these images, about: what a study's time left goes by.
    """

    images: Callable[[Mapping[str, int]], int]
    words: Callable[[Mapping[str, int]], str]
    seconds: float = 1.0


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Its folder in the run's.
        needs: All stages whose output it reads.
        settings: What of the recipe its result depends on, as JSON.
        work: Given the run and the stage's folder, which holds what a broken-off attempt wrote, writes its files there
            and gives its counts.
        shared: Under torchrun all processes do the work (a training), of which the first alone writes and counts.
        files: Identities of the files and models that its result depends on, as JSON; looked at when it is asked for.
        cost: How much it has to do.
        requirements: The files and models that must be here before it can run.
        spread: What it knows of each image can be computed by an executor's workers.
        reusable: Runs with other settings may come to the same, so that a study of many runs keeps it.
    """

    name: str
    needs: tuple[str, ...]
    settings: Any
    work: Callable[[Any, Path], dict[str, Any]]
    shared: bool = False
    files: Callable[[], Any] = _nothing
    cost: Cost | None = None
    requirements: Callable[[], Sequence[Requirement]] = _nothing
    spread: bool = False
    reusable: bool = True


def with_needs(listing: Sequence[Stage], names: Iterable[str]) -> list[Stage]:
    """The named stages and all that they read, directly or not, in order."""
    needed = set(names)
    for stage in reversed(listing):
        if stage.name in needed:
            needed |= set(stage.needs)
    return [stage for stage in listing if stage.name in needed]
