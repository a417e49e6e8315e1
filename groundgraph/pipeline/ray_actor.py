"""What an actor of `ray_engine` does of an extraction: tasks of a few slices, each of which becomes a shard."""

from __future__ import annotations

import json
import os
import secrets
import threading
import time
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from threadpoolctl import threadpool_limits

from groundgraph.data.ragged import Ragged, shard_of
from groundgraph.data.store import write_ragged, write_regions
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.config import Recipe
from groundgraph.pipeline.run import Run
from groundgraph.pipeline.streaming import LOSS, Extraction, Tally, made

TRIES = 4  # of a task whose actor dies: an image that kills whoever reads it must not do so for ever


class Extractor:
    """An actor: a stage's worker, and the shards that it writes.

    recipe, folder  of the run; work: the folder of the stage
    place           where the run was started, which relative paths of the recipe are meant from
    threads         its share of the cluster's cores
    attempt         the engine's call, in which tries of a task are counted
    """

    def __init__(
        self, recipe: Recipe, folder: str, work: str, place: str, what: Extraction, threads: int, attempt: str
    ) -> None:
        threads = min(threads, os.cpu_count() or 1)
        torch.set_num_threads(threads)
        threadpool_limits(threads)
        if Path(place).is_dir():
            os.chdir(place)
        self.what, self.work, self.attempt, self.worker = what, Path(work), attempt, None
        self.one = threading.Lock()
        self.run = Run(recipe, Path(folder), Console(file=StringIO()), mark=f"-{secrets.token_hex(4)}")
        self.run.assist(self.work)

    def __call__(self, row: dict[str, str]) -> dict[str, str]:
        """Do a task; an error becomes part of the answer, so that it is told as the local run tells it."""
        try:
            task = json.loads(row["task"])
            with self.one:  # Ray may hand out a task again while it is being done
                deadly = {"split": task["split"], "deadly": [task["slices"][0][0], task["slices"][-1][1] - 1]}
                answer = self._extract(**task) if self._begin(**task) else deadly
        except Exception as error:
            answer = {"error": _told(error)}
        return {"answer": json.dumps(answer)}

    def _begin(self, split: str, slices: list[list[Any]]) -> bool:
        """Open the worker and note that the task is tried; False where too many died of it.

        Not when the actor starts, where Ray would try again and again.
        """
        tries = self._tries(split, slices)
        with tries.open("ab") as file:  # by now another actor may have done the task, and deleted it
            file.write(b".")
            count = file.tell()
        if count > TRIES:
            return False
        self.worker = self.worker or self.what.open(self.run, self.work)
        return True

    def _tries(self, split: str, slices: list[list[Any]]) -> Path:
        return self.run.scratch() / f"tries-{self.attempt}-{split}-{slices[0][0]}"

    def _extract(self, split: str, slices: list[list[Any]]) -> dict[str, Any]:
        names, tally = artifacts.names(self.run, split), Tally(self.work, split, self.worker, self.run.mark)
        there = self._written(split, [i for *_, missing in slices for i in missing])
        waiting: list[tuple[int, Any]] = []
        left, written = [], time.monotonic()
        for start, stop, missing in slices:
            wanted = [i for i in missing if names[i] not in there]
            if wanted:
                part = slice(start, stop)
                entries = made(self.run, lambda part: self.worker(split, part), part, tally)
                waiting += [(i, entries[i - start]) for i in wanted if entries[i - start] is not None]
                left += [i for i in wanted if entries[i - start] is None]
            if time.monotonic() - written > LOSS[0]:
                self._write(split, waiting, names)
                waiting, written = [], time.monotonic()
        self._write(split, waiting, names)
        self._tries(split, slices).unlink(missing_ok=True)
        return {"split": split, "images": sum(stop - start for start, stop, _ in slices), "left": left}

    def _written(self, split: str, firsts: list[int]) -> set[str]:
        """What an actor that died had written of the same task."""
        shards = [shard_of(self.work / split, first) for first in firsts]
        return {name for shard in shards if shard.exists() for name in Ragged(shard)}

    def _write(self, split: str, entries: list[tuple[int, Any]], names: Sequence[str]) -> None:
        """Make a shard of some images' entries."""
        if not entries:
            return
        place, ids = shard_of(self.work / split, entries[0][0]), [names[i] for i, _ in entries]
        if self.what.columns:
            write_ragged(place, ids, {c: [np.asarray(entry[c]) for _, entry in entries] for c in self.what.columns})
        else:
            write_regions(place, ids, [regions for _, regions in entries])


def _told(error: Exception) -> list[Any]:
    """An error as JSON: its kind, what it says, and of one of the system's its number and file."""
    if isinstance(error, OSError) and error.strerror:
        return [type(error).__name__, error.strerror, error.errno, str(error.filename or "")]
    return [type(error).__name__, str(error), None, ""]
