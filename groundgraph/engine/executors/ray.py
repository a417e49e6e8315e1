"""Extraction by Ray: tasks done by actors, on this machine's cores or a cluster's.

The run's folder, the images and local models must lie where all machines see them under the same path. An actor has one
task at a time: where it dies another is started, and its task is done again.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
import torch
from ray.exceptions import RayError, RayTaskError
from threadpoolctl import threadpool_limits

from groundgraph.engine.executors.tasks import TRIES, Task, TaskExecutor
from groundgraph.engine.executors.worker import SliceWorker
from groundgraph.engine.run import Run
from groundgraph.errors import InputError

STORE = 128 << 20  # bytes for Ray's own object store on this machine; tasks and answers are all that passes through
LISTEN = 0.2  # seconds between two looks for a signal


class RayExecutor(TaskExecutor):
    """Does `extract`'s work by actors, which stay from stage to stage until `rest` or `close`.

    Args:
        address: Of a running cluster ("auto" for the one this machine is part of); None: this machine alone.
        workers: How many; None: one a GPU where there are GPUs, else one a core.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.address, self.workers = address, workers
        self.count, self.on_gpus = 0, False
        self.actors: list[Any] = []

    def __enter__(self) -> RayExecutor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def rest(self) -> None:
        """End the actors, so that a training finds the memory free."""
        for actor in self.actors:
            ray.kill(actor)
        self.actors = []

    def close(self) -> None:
        """End the actors, and the Ray that was started for them; what they held unwritten is lost."""
        if ray.is_initialized():
            self.rest()
            ray.shutdown()

    def begin(self, run: Run) -> int:
        """See `TaskExecutor.begin`.

        Raises:
            InputError: No cluster answers, or the recipe names one GPU, and each worker is to have its own.
        """
        device = str(run.recipe.device)
        if ":" in device:
            raise InputError(f"device {device} with --engine ray, which gives each worker a GPU: take cuda")
        self._start()
        gpus = 0 if device == "cpu" else _resource("GPU")
        self.count = self.workers or gpus or max(1, _resource("CPU"))
        self.on_gpus = gpus >= self.count
        return self.count

    def abandon(self) -> None:
        """See `TaskExecutor.abandon`: actors would go on."""
        self.close()

    def answers(self, tasks: Sequence[Task], advance: Callable[[int], None]) -> Iterator[tuple[Task, list[int] | None]]:
        """See `TaskExecutor.answers`."""
        waiting, deaths, stillborn = deque(tasks), Counter[Task](), 0
        threads = max(1, _resource("CPU") // self.count)
        # Asked for more than one core, a small machine of the cluster would get no actor.
        kind = ray.remote(Actor).options(num_cpus=1, num_gpus=int(self.on_gpus))
        # An actor gets a task once it has answered: one that finds no room in the cluster holds none back.
        pending: dict[Any, tuple[Any, Task | None]] = {actor.ready.remote(): (actor, None) for actor in self.actors}
        while waiting or any(task for _, task in pending.values()):
            while waiting and len(self.actors) < min(self.count, len(tasks)):
                self.actors.append(kind.remote(os.getcwd(), threads))
                pending[self.actors[-1].ready.remote()] = self.actors[-1], None
            answered, _ = ray.wait(list(pending), timeout=LISTEN)
            advance(0)
            for reference in answered:
                actor, task = pending.pop(reference)
                try:
                    numbers = ray.get(reference)
                except RayTaskError as error:
                    raise error.cause from error
                except RayError as error:
                    self.actors.remove(actor)
                    if task is None:
                        stillborn += 1
                        if stillborn == TRIES:
                            raise InputError(f"Ray failed: its workers die as they start ({error})") from error
                        continue
                    deaths[task] += 1
                    if deaths[task] < TRIES:
                        waiting.append(task)
                    else:
                        yield task, None
                    continue
                if task:
                    advance(task.images)
                    yield task, numbers
                if waiting:
                    task = waiting.popleft()
                    pending[actor.extract.remote(task)] = actor, task

    def _start(self) -> None:
        """Start Ray where it is not running, or join the cluster. Raises InputError where none answers."""
        if ray.is_initialized():
            return
        alone: dict[str, Any] = {"num_cpus": os.cpu_count(), "object_store_memory": STORE, "include_dashboard": False}
        where, how = (self.address, {}) if self.address else ("local", alone)
        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(where, log_to_driver=False, logging_level=logging.ERROR, **how)
        except (ConnectionError, ValueError) as error:
            raise InputError(f"no Ray answers at {self.address}: {error}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray takes it, and the run would end without a word


class Actor(SliceWorker):
    """A worker in a process of Ray's.

    Args:
        place: Where the run was started, which relative paths of the recipe are meant from.
        threads: Its share of the cluster's cores.
    """

    def __init__(self, place: str, threads: int) -> None:
        super().__init__()
        threads = min(threads, os.cpu_count() or 1)
        torch.set_num_threads(threads)
        threadpool_limits(threads)
        if Path(place).is_dir():
            os.chdir(place)

    def ready(self) -> None:
        """Answers when the actor has started."""


def _resource(name: str) -> int:
    """How many of a resource the machines have together."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get(name, 0))
