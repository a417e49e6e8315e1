"""Slices of a stage's images as tasks for workers, on this machine or many: what all executors share.

A task is a few slices; what a worker makes of it becomes a shard of the stage's store, written by the worker. So
nothing large passes between processes. Where a worker dies, its task is done again by another.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from groundgraph.data.ragged import Ragged
from groundgraph.engine.extraction import Extraction, TruncationCounter
from groundgraph.engine.run import Run
from groundgraph.errors import InputError

TASK = 512  # images a task at most: its entries are held in memory, 113 MB of 36 regions with 1,536 features
ROUNDS = 4  # tasks a worker at least, where there are images enough: so none waits long for the last
TRIES = 4  # of a task whose worker dies: an image that kills whoever reads it must not do so for ever


class Due(NamedTuple):
    """A slice of a split, and the ids of those of its images that a store lacks, by their numbers in the split."""

    part: slice
    missing: dict[int, str]


@dataclass(frozen=True, eq=False)
class Task:
    """Some slices of a split.

    Attributes:
        attempt: Tells the call of the executor that it belongs to from others.
        recipe: The run's; folder: the run's; work: the stage's, where the entries are stored.
        extraction: What is computed.
        split: Whose slices they are.
        slices: Those of which the store lacks images.
    """

    attempt: str
    recipe: Any
    folder: Path
    work: Path
    extraction: Extraction
    split: str
    slices: tuple[Due, ...]

    @property
    def images(self) -> int:
        """How many images the slices have."""
        return sum(due.part.stop - due.part.start for due in self.slices)


class TaskExecutor(ABC):
    """Does `extract`'s work by workers; what is new in an executor is who they are."""

    @abstractmethod
    def begin(self, run: Run) -> int:
        """Make ready for a run's tasks; gives how many workers there will be."""

    @abstractmethod
    def answers(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Iterator[tuple[Task, list[int] | None]]:
        """Each task with its worker's answer, as it comes (see `SliceWorker.extract`); None: TRIES workers died of it.

        Args:
            tasks: To do, the earlier first.
            advance: Told how many more images are done, in all those that the tasks have; called at least every second,
                since it hears signals.
        """

    def abandon(self) -> None:  # noqa: B027 (where workers hear by themselves, there is nothing to do)
        """End what is at work, after an error."""

    def __call__(self, run: Run, folder: Path, extraction: Extraction, images: Mapping[str, Sequence[str]]) -> int:
        """See `extract`.

        Raises:
            InputError: There are no workers, or they die of some images whoever reads them.
        """
        missing = {split: _missing(folder / split, extraction, ids) for split, ids in images.items()}
        without: dict[str, list[int]] = {split: [] for split in images}
        if any(missing.values()):
            tasks = tasks_of(run, folder, extraction, missing, self.begin(run))
            total, deadly = sum(map(len, images.values())), []
            with run.progress(extraction.label.format(", ".join(images)), total) as advance:
                advance(total - sum(task.images for task in tasks))
                try:
                    for task, numbers in self.answers(tasks, advance):
                        if numbers is None:
                            deadly.append(task)
                        else:
                            without[task.split] += numbers
                except BaseException:
                    self.abandon()
                    raise
            if deadly:
                raise InputError(
                    f"{'; '.join(_named(images[task.split], task) for task in deadly)}: workers died {TRIES} times "
                    "over these (out of memory, or an image that kills its reader); all others are done, and the next "
                    "run tries these again"
                )
        else:
            extraction.open(run, folder)  # what it writes beside the stores may be missing
        run.skipped.collect()
        for split, numbers in without.items():
            if numbers:  # of regions: only now is it known how wide their features are
                with extraction.store.writer(folder / split) as writer:
                    for i in sorted(numbers):
                        writer.append(images[split][i], None)
        return sum(TruncationCounter(folder, split).total() for split in images)


def tasks_of(
    run: Run, folder: Path, extraction: Extraction, missing: Mapping[str, Sequence[Due]], workers: int
) -> list[Task]:
    """The slices of each split as tasks: few and large, but enough for all workers."""
    places, attempt = (run.folder.resolve(), folder.resolve()), secrets.token_hex(4)
    most = max(1, min(TASK // extraction.size, -(-sum(map(len, missing.values())) // (ROUNDS * workers))))
    return [
        Task(attempt, run.recipe, *places, extraction, split, tuple(slices[i : i + most]))
        for split, slices in missing.items()
        for i in range(0, len(slices), most)
    ]


def _missing(folder: Path, extraction: Extraction, ids: Sequence[str]) -> list[Due]:
    """The slices of a split of which its store lacks anything."""
    folder.mkdir(exist_ok=True)
    stored = Ragged(folder)
    slices = [
        Due(part, {i: ids[i] for i in range(part.start, part.stop) if ids[i] not in stored})
        for part in extraction.slices(len(ids))
    ]
    return [due for due in slices if due.missing]


def _named(ids: Sequence[str], task: Task) -> str:
    return f"{task.split} images {ids[task.slices[0].part.start]} to {ids[task.slices[-1].part.stop - 1]}"
