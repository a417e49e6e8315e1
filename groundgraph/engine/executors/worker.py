"""Who does tasks: holds a stage's models while its tasks last, and writes each task's shard."""

from __future__ import annotations

import gc
import secrets
import time
from collections.abc import Callable
from io import StringIO
from typing import Any

from groundgraph.data.ragged import Ragged, shard_of
from groundgraph.engine.executors.tasks import Task
from groundgraph.engine.extraction import FLUSH_SECONDS, TruncationCounter, Worker, entries_of
from groundgraph.engine.run import Run
from groundgraph.terminal import Console


class SliceWorker:
    """Does tasks, one after the other."""

    def __init__(self) -> None:
        self.attempt = ""
        self.run: Run
        self.worker: Worker | None = None

    def rest(self) -> None:
        """Give back the memory of the models that are held for the next task."""
        self.attempt, self.worker = "", None
        gc.collect()

    def extract(self, task: Task, advance: Callable[[int], None] = lambda images: None) -> list[int]:
        """Do a task; however it ends, what was computed is written.

        Args:
            task: What to do.
            advance: Told after each slice how many more images are done; where it raises, the task ends.

        Returns:
            The numbers of the images that nothing could be computed of.

        Raises:
            Exception: What the worker raises.
        """
        if task.attempt != self.attempt:
            self.rest()  # the models of the stage before
            self.attempt = task.attempt
            self.run = Run(task.recipe, task.folder, Console(file=StringIO()), suffix=f"-{secrets.token_hex(4)}")
            self.run.assist(task.work)
        self.worker = worker = self.worker or task.extraction.open(self.run, task.work)
        truncations = TruncationCounter(task.work, task.split, worker, self.run.suffix)
        stored = _stored(task)
        entries: dict[int, tuple[str, Any]] = {}
        without, written = [], time.monotonic()
        try:
            for part, missing in task.slices:
                missing = {i: name for i, name in missing.items() if name not in stored}
                if missing:
                    computed = entries_of(self.run, lambda part: worker(task.split, part), part, truncations)
                    entries |= {i: (name, computed[i - part.start]) for i, name in missing.items()}
                without += [i for i in missing if entries[i][1] is None]
                if time.monotonic() - written > FLUSH_SECONDS:
                    _write(task, entries)
                    entries, written = {}, time.monotonic()
                advance(part.stop - part.start)
        finally:
            _write(task, entries)
        return without


def _stored(task: Task) -> set[str]:
    """The ids that a worker that died had written of the same task."""
    shards = [shard_of(task.work / task.split, i) for due in task.slices for i in due.missing]
    return {name for shard in shards if shard.exists() for name in Ragged(shard)}


def _write(task: Task, entries: dict[int, tuple[str, Any]]) -> None:
    """Make a shard of the entries, those of which nothing could be computed left out."""
    stored = {i: pair for i, pair in entries.items() if pair[1] is not None}
    if stored:
        ids, values = zip(*stored.values(), strict=True)
        task.extraction.store.write(shard_of(task.work / task.split, min(stored)), ids, values)
