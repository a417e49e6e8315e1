"""Processes of one thread each that do whole stages, and slices of stages, side by side.

Each process has a thread here that minds it: gives it the first of the jobs that wait, shows its bars, and where it
dies starts another in its place.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from queue import PriorityQueue
from typing import Any

from groundgraph.engine.executors.tasks import TRIES, Task, TaskExecutor
from groundgraph.engine.progress import Bars
from groundgraph.engine.room import Room
from groundgraph.engine.run import Run
from groundgraph.engine.worker_process import Job, StageJob, serve
from groundgraph.errors import InputError

LISTEN = 0.2  # seconds between two looks for a signal
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")  # read when a library is loaded
WHOLE, SLICES, LAST = range(3)  # what comes first: slices fill what whole stages, which cannot be shared, leave free
REMOTE = "\n\nIn a worker process:\n{}"


class WorkerDied(Exception):
    """A process ended in the middle of a job."""


@dataclass(order=True)
class _Request:
    """A job that waits for a process, or None: an end of the waiting."""

    rank: tuple[int, int]
    job: Job | None = field(compare=False)
    future: Future[Any] = field(compare=False, default_factory=Future)
    step: Callable[[int], None] = field(compare=False, default=lambda count: None)
    began: float = field(compare=False, default_factory=time.perf_counter)


class WorkerPool(TaskExecutor):
    """The processes, for a `with` block: a run's executor, and where its stages' work is done.

    Args:
        jobs: How many.
        modules: What they import before they do anything.
        bars: Where their progress is shown.
    """

    def __init__(self, jobs: int, modules: Sequence[str], bars: Bars) -> None:
        self.jobs, self.modules, self.bars = jobs, modules, bars
        self.requests: PriorityQueue[_Request] = PriorityQueue()
        self.numbers = itertools.count()
        self.workers: list[_Worker | None] = []
        self.ended: BaseException | None = None
        self.room = Room(jobs)
        self.at_work: dict[int, Future[Any]] = {}  # minder -> what its process does

    def __enter__(self) -> WorkerPool:
        self.workers = list(_start(self.jobs, self.modules))
        for number in range(self.jobs):
            threading.Thread(target=self._mind, args=(number,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        """End all processes; what is at work is lost but for what it wrote."""
        self.ended = self.ended or KeyboardInterrupt()
        for _ in range(self.jobs):
            self.requests.put(_Request((LAST, next(self.numbers)), None))
        for worker in self.workers:
            if worker is not None:
                worker.kill()

    def stop(self, error: BaseException) -> None:
        """Have every job raise an error at its next step."""
        self.ended = error
        for worker in self.workers:
            if worker is not None:
                with suppress(OSError):
                    worker.send(error)

    def settle(self) -> None:
        """Wait until every process that was stopped has written what it did, and ended what it was at."""
        wait(list(self.at_work.values()))

    def do(self, work: Callable[[Any, Path], dict[str, Any]], run: Run, place: Path) -> dict[str, Any]:
        """Do a stage's work in a process, as if it were done here.

        Raises:
            InputError: The process was killed from outside.
            BaseException: What the work raises.
        """
        job = StageJob(run.recipe, run.folder.resolve(), place.resolve(), work)
        began = time.perf_counter()
        request = self._submit(WHOLE, job)
        try:
            counts, skipped = request.future.result()
        except WorkerDied as error:
            raise InputError(
                f"{place.stem}: its process was killed (out of memory?): go on with fewer --jobs; what is done stays"
            ) from error
        finally:
            run.waited = request.began - began
        run.skipped.items.extend(skipped)
        return counts

    def begin(self, run: Run) -> int:
        """See `TaskExecutor.begin`."""
        return self.jobs

    def answers(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Iterator[tuple[Task, list[int] | None]]:
        """See `TaskExecutor.answers`."""
        deaths: Counter[Task] = Counter()
        steps: dict[Task, int] = dict.fromkeys(tasks, 0)
        shown: dict[Task, int] = dict.fromkeys(tasks, 0)

        def submit(task: Task) -> Future[Any]:
            def step(count: int) -> None:
                steps[task] += count

            steps[task] = 0
            return self._submit(SLICES, task, step).future

        pending = {submit(task): task for task in tasks}
        while pending:
            done, _ = wait(pending, timeout=LISTEN, return_when=FIRST_COMPLETED)
            new = {task: max(count, shown[task]) for task, count in steps.items()}  # done again, it is not shown again
            advance(sum(new.values()) - sum(shown.values()))
            shown = new
            for future in done:
                task = pending.pop(future)
                try:
                    yield task, future.result()
                except WorkerDied:
                    deaths[task] += 1
                    if deaths[task] < TRIES:
                        pending[submit(task)] = task
                    else:
                        yield task, None

    def rest(self) -> None:
        """See `Executor.rest`: a process gives back its memory when it begins with another stage."""

    def _submit(self, rank: int, job: Job, step: Callable[[int], None] = lambda count: None) -> _Request:
        request = _Request((rank, next(self.numbers)), job, step=step)
        self.requests.put(request)
        return request

    def _mind(self, number: int) -> None:
        """Give a process one job after the other."""
        while True:
            request = self.requests.get()
            if request.job is None:
                return
            if self.ended is not None:
                request.future.set_exception(self.ended)
                continue
            if not isinstance(request.job, Task):
                self.room.leave(number)
            elif not self.room.take(request.job.attempt, number):
                self.requests.put(request)
                time.sleep(LISTEN)
                continue
            self.at_work[number] = request.future
            try:
                worker = self.workers[number] = self.workers[number] or _start(1, self.modules)[0]
                request.began = time.perf_counter()
                worker.send(request.job)
                result, error = self._follow(worker, request, number)
            except (EOFError, OSError):
                self.workers[number] = None
                self.room.leave(number)
                result, error = None, self.ended or WorkerDied()
            except Exception as unsendable:  # a function of no module, such as a test's
                result, error = None, unsendable
            if error is not None:
                request.future.set_exception(error)
            else:
                request.future.set_result(result)

    def _follow(self, worker: _Worker, request: _Request, number: int) -> tuple[Any, BaseException | None]:
        """Show how far a job is until it is done; gives its result or error. Raises EOFError where its process dies."""
        with ExitStack() as all_bars:
            shown: dict[str, tuple[ExitStack, Callable[[int], None]]] = {}
            while True:
                match worker.connection.recv():
                    case int(process):
                        worker.number = process
                    case ("bar", label, total):
                        own = all_bars.enter_context(ExitStack())
                        shown[label] = own, own.enter_context(self.bars.line(label, total))
                    case ("step", label, count):
                        (shown[label][1] if label else request.step)(count)
                        if isinstance(request.job, Task):
                            self.room.weigh(request.job.attempt, number, worker.number)
                    case ("end", label):
                        shown.pop(label)[0].close()
                    case ("failed", error, text):
                        error.__cause__ = RuntimeError(REMOTE.format(text))
                        return None, error
                    case ("done", result):
                        return result, None


class _Worker:
    """A process, and this end of its connection."""

    def __init__(self, connection: Connection, process: BaseProcess) -> None:
        self.connection, self.process = connection, process
        self.number = 0  # the process's, which it sends first
        self.lock = threading.Lock()

    def send(self, message: Any) -> None:
        """Send something; threads wait for one another."""
        with self.lock:
            self.connection.send(message)

    def kill(self) -> None:
        """End the process, or where it is a fork, that and the one it was made of."""
        if self.number and self.number != self.process.pid:
            with suppress(OSError):
                os.kill(self.number, signal.SIGKILL)
        self.process.kill()
        self.process.join()


def _start(count: int, modules: Sequence[str]) -> list[_Worker]:
    """Start processes.

    On Linux the first imports and forks the others: that is safe before any thread is there, and saves each of them
    the seconds that imports take.
    """
    context = get_context("spawn")  # a fork of this process would inherit locks that its threads hold
    ends = [context.Pipe() for _ in range(count)]
    workers = []
    with _single_threaded():
        for group in [ends] if sys.platform == "linux" else [[end] for end in ends]:
            process = context.Process(target=serve, args=([theirs for _, theirs in group], modules), daemon=True)
            process.start()
            workers += [_Worker(own, process) for own, _ in group]
    for _, theirs in ends:
        theirs.close()
    return workers


@contextmanager
def _single_threaded() -> Iterator[None]:
    """In the block processes are started whose libraries have one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
