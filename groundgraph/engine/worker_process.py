"""What a process of a `WorkerPool` does: whole stages and slices of stages, one thing at a time, on one thread.

It is sent `Job`s and "stop", and answers with what a bar shows, and with each job's result. It ends with the process
that started it, whose end of the connection is then closed.
"""

from __future__ import annotations

import importlib
import os
import pickle
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import StringIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from groundgraph.engine.executors.tasks import Task
from groundgraph.engine.executors.worker import SliceWorker
from groundgraph.engine.progress import Advance, Bars
from groundgraph.engine.run import Run
from groundgraph.engine.signals import SIGNALS
from groundgraph.system import one_thread
from groundgraph.terminal import Console


@dataclass(frozen=True)
class StageJob:
    """A whole stage: what of `Stage` and `Run` its work is given."""

    recipe: Any
    folder: Path
    place: Path
    work: Callable[[Any, Path], dict[str, Any]]


Job = StageJob | Task


def serve(connections: Sequence[Connection], modules: Sequence[str]) -> None:
    """Do jobs until nobody is left to send them.

    Args:
        connections: One a process; where there are more, this process forks those others when it has imported.
        modules: What is imported first, once for all.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # the run's process hears them, and says so
    for module in modules:
        importlib.import_module(module)
    own = connections[0]
    for other in connections[1:]:
        if os.fork() == 0:
            own = other
            break
    for connection in connections:
        if connection is not own:
            connection.close()
    code = 1
    try:
        with one_thread():
            JobWorker(own).work()
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)  # a fork must not leave by the doors of the process that it was made of


class JobWorker:
    """Does the jobs that come by a connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.slices = connection, SliceWorker()
        self.jobs: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self.ended: BaseException | None = None  # what the job at work is to raise
        self.runs: dict[Path, Run] = {}

    def work(self) -> None:
        """Do jobs for ever."""
        self.connection.send(os.getpid())
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            job = self.jobs.get()
            answer: tuple[Any, ...]
            try:
                answer = ("done", self.slices.extract(job, self._advance) if isinstance(job, Task) else self._do(job))
            except BaseException as error:
                answer = ("failed", _portable(error), "".join(traceback.format_exception(error)))
            self.connection.send(answer)

    def _do(self, job: StageJob) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        """Do a stage; gives its counts, and what it skipped."""
        self.slices.rest()
        run = self.runs.get(job.folder)
        if run is None:
            run = self.runs[job.folder] = Run(job.recipe, job.folder, Console(file=StringIO()))
            run.bars = SentBars(self.connection.send, self._check)
        run.skipped.items.clear()
        run.assist(job.place)
        counts = job.work(run, job.place)
        return counts, list(run.skipped.items)

    def _advance(self, images: int) -> None:
        self.connection.send(("step", "", images))
        self._check()

    def _check(self) -> None:
        if self.ended is not None:
            raise self.ended

    def _listen(self) -> None:
        """Take what comes while a job is at work; where the sender is gone, so is this process."""
        with suppress(EOFError, OSError):
            while True:
                message = self.connection.recv()
                if isinstance(message, BaseException):
                    self.ended = message
                else:
                    self.jobs.put(message)
        os._exit(1)


class SentBars(Bars):
    """Bars that are shown elsewhere.

    Args:
        send: Takes ("bar", label, total), ("step", label, count) and ("end", label).
        stop: See `Bars`.
    """

    def __init__(self, send: Callable[[Any], None], stop: Callable[[], None]) -> None:
        super().__init__()
        self.send, self.stop = send, stop

    @contextmanager
    def bar(self, label: str, total: int) -> Iterator[Advance]:
        """See `Bars.bar`."""
        self.send(("bar", label, total))

        def advance(count: int) -> None:
            if count:
                self.send(("step", label, count))
            self.stop()

        try:
            yield advance
        finally:
            self.send(("end", label))


def _portable(error: BaseException) -> BaseException:
    """The error, or one with its words where it does not survive the way."""
    try:
        copy: BaseException = pickle.loads(pickle.dumps(error))
        if str(copy) == str(error):
            return error
    except Exception:
        pass
    kind = type(error).__name__
    return ValueError(str(error)) if isinstance(error, ValueError) else RuntimeError(f"{kind}: {error}")
