"""What an actor of `RayExecutor` does: tasks of a few slices, each of which becomes a shard of the stage's store."""

from __future__ import annotations

import gc
import os
import secrets
import time
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import torch
from threadpoolctl import threadpool_limits

from groundgraph.data.ragged import Ragged, shard_of
from groundgraph.engine.extraction import FLUSH_SECONDS, Extraction, TruncationCounter, Worker, entries_of
from groundgraph.engine.run import Run
from groundgraph.terminal import Console


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


class Actor:
    """Holds the worker of the stage that is being done, and writes the shards.

    Args:
        place: Where the run was started, which relative paths of the recipe are meant from.
        threads: Its share of the cluster's cores.
    """

    def __init__(self, place: str, threads: int) -> None:
        threads = min(threads, os.cpu_count() or 1)
        torch.set_num_threads(threads)
        threadpool_limits(threads)
        if Path(place).is_dir():
            os.chdir(place)
        self.attempt = ""
        self.run: Run
        self.worker: Worker | None = None

    def ready(self) -> None:
        """Answers when the actor has started."""

    def extract(self, task: Task) -> list[int]:
        """Do a task.

        Returns:
            The numbers of the images that nothing could be computed of.

        Raises:
            Exception: What the worker raises.
        """
        if task.attempt != self.attempt:
            self.attempt, self.worker = task.attempt, None
            gc.collect()  # the models of the stage before
            self.run = Run(task.recipe, task.folder, Console(file=StringIO()), suffix=f"-{secrets.token_hex(4)}")
            self.run.assist(task.work)
        self.worker = worker = self.worker or task.extraction.open(self.run, task.work)
        truncations = TruncationCounter(task.work, task.split, worker, self.run.suffix)
        stored = _stored(task)
        entries: dict[int, tuple[str, Any]] = {}
        without, written = [], time.monotonic()
        for part, missing in task.slices:
            missing = {i: name for i, name in missing.items() if name not in stored}
            if missing:
                computed = entries_of(self.run, lambda part: worker(task.split, part), part, truncations)
                entries |= {i: (name, computed[i - part.start]) for i, name in missing.items()}
            without += [i for i in missing if entries[i][1] is None]
            if time.monotonic() - written > FLUSH_SECONDS:
                _write(task, entries)
                entries, written = {}, time.monotonic()
        _write(task, entries)
        return without


def _stored(task: Task) -> set[str]:
    """The ids that an actor that died had written of the same task."""
    shards = [shard_of(task.work / task.split, i) for due in task.slices for i in due.missing]
    return {name for shard in shards if shard.exists() for name in Ragged(shard)}


def _write(task: Task, entries: dict[int, tuple[str, Any]]) -> None:
    """Make a shard of the entries, those of which nothing could be computed left out."""
    stored = {i: pair for i, pair in entries.items() if pair[1] is not None}
    if stored:
        ids, values = zip(*stored.values(), strict=True)
        task.extraction.store.write(shard_of(task.work / task.split, min(stored)), ids, values)
