"""Tasks that need one another, worked off by several processes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from graphlib import TopologicalSorter
from multiprocessing import get_context
from typing import Any

import psutil
import torch
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from groundgraph.errors import InputError
from groundgraph.terminal import Console

ALL_STUDY = 24 * 3600  # seconds over which the bar takes the speed: steps come minutes apart


@dataclass(frozen=True)
class StudyTask:
    """One thing to compute.

    Attributes:
        name: Unique.
        needs: Tasks that come before it; a name of no task counts as done.
        cost: How long it takes, in any unit.
        label: What it is, for a person.
        work: Called without arguments in another process, so a module's function or a partial of one.
    """

    name: str
    needs: frozenset[str]
    cost: float
    label: str
    work: Callable[[], None]


def perform(tasks: Sequence[StudyTask], jobs: int, console: Console) -> dict[str, str]:
    """Work off all tasks, an earlier one first where several could start; a bar shows progress and time left.

    What needs a failed task is left out, the rest goes on. An interruption stops all.

    Args:
        tasks: In any order.
        jobs: Processes, each with its share of the cores; 1: this process itself.
        console: Where the bar is.

    Returns:
        What failed: label -> why.

    Raises:
        InputError: A process was killed from outside.
    """
    by_name = {task.name: task for task in tasks}
    place = {name: i for i, name in enumerate(by_name)}
    sorter = TopologicalSorter({task.name: task.needs & by_name.keys() for task in tasks})
    sorter.prepare()
    failed: dict[str, str] = {}
    running: dict[Future, StudyTask] = {}
    left, ready = set(by_name), list(sorter.get_ready())
    with _bar(console) as bar, _workers(jobs) as pool:
        line = bar.add_task("", total=sum(task.cost for task in tasks))
        while ready or running:
            ready.sort(key=place.__getitem__)
            while ready and len(running) < jobs:
                task = by_name[ready.pop(0)]
                running[pool.submit(attempt, task.work)] = task
                labels = ", ".join(t.label for t in running.values())
                bar.update(line, description=f"{len(left)} of {len(tasks)} left: {labels}")
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                task = running.pop(future)
                left.discard(task.name)
                bar.advance(line, task.cost)
                if (reason := future.result()) is None:
                    sorter.done(task.name)
                    continue
                lost = _dependants(task.name, by_name) & left
                left -= lost
                bar.advance(line, sum(by_name[name].cost for name in lost))
                failed[task.label] = reason + (f" ({len(lost)} steps that need it are left out)" if lost else "")
            ready += sorter.get_ready()
    return failed


def attempt(work: Callable[[], None]) -> str | None:
    """Do a task's work; gives why it failed, None where it did not: an error itself may not survive the way back."""
    try:
        work()
    except KeyboardInterrupt:
        raise KeyboardInterrupt from None
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


def _dependants(name: str, tasks: Mapping[str, StudyTask]) -> set[str]:
    """The tasks that need a task, directly or not."""
    dependants: set[str] = set()
    for other in TopologicalSorter({task.name: task.needs & tasks.keys() for task in tasks.values()}).static_order():
        if tasks[other].needs & {name, *dependants}:
            dependants.add(other)
    return dependants


@contextmanager
def _bar(console: Console) -> Iterator[Progress]:
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(20), TimeElapsedColumn()]
    columns += [TextColumn("left"), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True, speed_estimate_period=ALL_STUDY) as progress:
        yield progress


@contextmanager
def _workers(jobs: int) -> Iterator[Executor]:
    if jobs == 1:
        yield _Here()
        return
    # A forked process would inherit locks that torch's threads hold.
    threads = max(1, (os.cpu_count() or 1) // jobs)
    pool = ProcessPoolExecutor(jobs, get_context("spawn"), _begin, (threads, os.getpid()))
    try:
        yield pool
    except BrokenProcessPool as error:
        raise InputError(
            "a process was killed (out of memory?): go on with fewer --jobs; what is done stays"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


class _Here(Executor):
    """Does at once, in this process, what it is given."""

    def submit(self, function: Callable, *arguments: Any) -> Future:
        future: Future = Future()
        future.set_result(function(*arguments))
        return future


def _begin(threads: int, parent: int) -> None:
    """A worker starts: its share of the cores, and an eye on the process that started it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # while it waits for work; a run at work listens (`stoppable`)
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """A killed parent tells nobody; without this its workers would wait for work for ever."""
    # Windows goes on giving a dead parent's number, others give it to a zombie.
    while os.getppid() == parent and psutil.pid_exists(parent):
        time.sleep(1)
    os._exit(1)
