"""What an actor of `ray_engine` does of an extraction: tasks of a few slices, each of which becomes a shard."""

from __future__ import annotations

import gc
import json
import os
import pickle
import secrets
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from groundgraph.data.ragged import Ragged, shard_of
from groundgraph.engine.extraction import LOSS, Extraction, Tally, made
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.stages.recipe import Recipe
from groundgraph.terminal import Console

TRIES = 4  # of a task whose actor dies: an image that kills whoever reads it must not do so for ever
Due = tuple[int, int, tuple[int, ...]]  # a slice of a split: its first image, its end, those that are missing


@dataclass(frozen=True)
class Task:
    """Some slices of a split, of which a stage lacks images.

    attempt  the engine's call that it belongs to; tries are counted in it
    recipe   and folder: the run's; work: the folder of the stage; what: it computes
    """

    attempt: str
    recipe: Recipe
    folder: Path
    work: Path
    what: Extraction
    split: str
    ids: Sequence[str]
    slices: tuple[Due, ...]

    @property
    def name(self) -> str:
        """Tells it apart from others, at one time or another."""
        return f"{self.attempt}-{self.split}-{self.slices[0][0]}"

    @property
    def images(self) -> int:
        return sum(stop - start for start, stop, _ in self.slices)


class Extractor:
    """An actor: the worker of the stage that is being done, and the shards that it writes.

    place    where the run was started, which relative paths of the recipe are meant from
    threads  its share of the cluster's cores
    """

    def __init__(self, place: str, threads: int) -> None:
        threads = min(threads, os.cpu_count() or 1)
        torch.set_num_threads(threads)
        threadpool_limits(threads)
        if Path(place).is_dir():
            os.chdir(place)
        self.one = threading.Lock()
        self.attempt = self.run = self.worker = None

    def __call__(self, row: dict[str, Any]) -> dict[str, str]:
        """Do a task; an error becomes part of the answer, so that it is told as the local run tells it.

        row  {"task": a `Task`, pickled}; gives {"answer": JSON}
        """
        task = pickle.loads(row["task"])
        try:
            with self.one:  # Ray may hand out a task again while it is being done
                answer = self._extract(task) if self._begin(task) else {"deadly": True}
        except Exception as error:
            answer = {"error": _told(error)}
        return {"answer": json.dumps({"task": task.name} | answer)}

    def _begin(self, task: Task) -> bool:
        """Turn to the task's stage and note that the task is tried; False where too many died of it."""
        if task.attempt != self.attempt:
            self.attempt, self.worker = task.attempt, None
            self.run = Run(task.recipe, task.folder, Console(file=StringIO()), suffix=f"-{secrets.token_hex(4)}")
            self.run.assist(task.work)
            gc.collect()  # the models of the stage before
        with self._tries(task).open("ab") as file:  # by now another actor may have done the task, and deleted it
            file.write(b".")
            count = file.tell()
        if count > TRIES:
            return False
        self.worker = self.worker or task.what.open(self.run, task.work)
        return True

    def _tries(self, task: Task) -> Path:
        return self.run.scratch() / f"tries-{task.name}"

    def _extract(self, task: Task) -> dict[str, Any]:
        names = task.ids
        tally = Tally(task.work, task.split, self.worker, self.run.suffix)
        there = self._written(task)
        waiting: list[tuple[int, Any]] = []
        left, written = [], time.monotonic()
        for start, stop, missing in task.slices:
            wanted = [i for i in missing if names[i] not in there]
            if wanted:
                part = slice(start, stop)
                entries = made(self.run, lambda part: self.worker(task.split, part), part, tally)
                waiting += [(i, entries[i - start]) for i in wanted if entries[i - start] is not None]
                left += [i for i in wanted if entries[i - start] is None]
            if time.monotonic() - written > LOSS[0]:
                _write(task, waiting, names)
                waiting, written = [], time.monotonic()
        _write(task, waiting, names)
        self._tries(task).unlink(missing_ok=True)
        return {"left": left}

    def _written(self, task: Task) -> set[str]:
        """What an actor that died had written of the same task."""
        shards = [shard_of(task.work / task.split, i) for *_, missing in task.slices for i in missing]
        return {name for shard in shards if shard.exists() for name in Ragged(shard)}


def _write(task: Task, entries: list[tuple[int, Any]], names: Sequence[str]) -> None:
    """Make a shard of some images' entries."""
    if entries:
        ids, values = [names[i] for i, _ in entries], [value for _, value in entries]
        task.what.store.write(shard_of(task.work / task.split, entries[0][0]), ids, values)


def _told(error: Exception) -> list[Any]:
    """An error as JSON: its kind, what it says, and of one of the system's its number and file."""
    if isinstance(error, OSError) and error.strerror:
        return [type(error).__name__, error.strerror, error.errno, str(error.filename or "")]
    kind = "InputError" if isinstance(error, InputError) else type(error).__name__
    return [kind, str(error), None, ""]
