"""Extraction by Ray: the stages' own workers in actors, on this machine's cores or a cluster's.

The run's folder, the images and local models must lie where all machines see them under the same path. A task is a few
slices; what an actor makes of it becomes a shard of the stage's store, written by the actor. So nothing large passes
through Ray. An actor has one task at a time: where it dies another is started, and its task is done again.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when Ray is imported

import ray
from ray.exceptions import RayError, RayTaskError

from groundgraph.data.ragged import Ragged
from groundgraph.engine.executors.ray_worker import Actor, Due, Task
from groundgraph.engine.extraction import Extraction, TruncationCounter
from groundgraph.engine.run import Run
from groundgraph.errors import InputError

TASK = 512  # images a task at most: its entries are held in memory, 113 MB of 36 regions with 1,536 features
ROUNDS = 4  # tasks a worker at least, where there are images enough: so none waits long for the last
TRIES = 4  # of a task whose actor dies: an image that kills whoever reads it must not do so for ever
STORE = 128 << 20  # bytes for Ray's own object store on this machine; tasks and answers are all that passes through
LISTEN = 0.2  # seconds between two looks for a signal


class RayExecutor:
    """Does `extract`'s work by actors, which stay from stage to stage until `rest` or `close`.

    Args:
        address: Of a running cluster ("auto" for the one this machine is part of); None: this machine alone.
        workers: How many; None: one a GPU where there are GPUs, else one a core.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self.address, self.workers = address, workers
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

    def __call__(self, run: Run, folder: Path, extraction: Extraction, images: Mapping[str, Sequence[str]]) -> int:
        """See `extract`.

        Raises:
            InputError: Where no cluster answers, or workers die of some images whoever reads them.
        """
        device = str(run.recipe.device)
        if ":" in device:
            raise InputError(f"device {device} with --engine ray, which gives each worker a GPU: take cuda")
        missing = {split: _missing(folder / split, extraction, ids) for split, ids in images.items()}
        without: dict[str, list[int]] = {split: [] for split in images}
        if any(missing.values()):
            self._start()
            workers, on_gpus = self._places(device)
            tasks = tasks_of(run, folder, extraction, missing, workers)
            total, deadly = sum(map(len, images.values())), []
            with run.progress(extraction.label.format(", ".join(images)), total) as advance:
                advance(total - sum(task.images for task in tasks))
                try:
                    for task, numbers in self._answers(tasks, workers, on_gpus, lambda: advance(0)):
                        if numbers is None:
                            deadly.append(task)
                        else:
                            without[task.split] += numbers
                            advance(task.images)
                except BaseException:
                    self.close()  # actors would go on
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

    def _answers(
        self, tasks: Sequence[Task], workers: int, on_gpus: bool, listen: Callable[[], None]
    ) -> Iterator[tuple[Task, list[int] | None]]:
        """Each task with its actor's answer, as it comes; None: TRIES actors died of it. `listen` hears signals."""
        waiting, deaths, stillborn = deque(tasks), Counter[Task](), 0
        threads = max(1, _resource("CPU") // workers)
        # Asked for more than one core, a small machine of the cluster would get no actor.
        kind = ray.remote(Actor).options(num_cpus=1, num_gpus=int(on_gpus))
        # An actor gets a task once it has answered: one that finds no room in the cluster holds none back.
        pending: dict[Any, tuple[Any, Task | None]] = {actor.ready.remote(): (actor, None) for actor in self.actors}
        while waiting or any(task for _, task in pending.values()):
            while waiting and len(self.actors) < min(workers, len(tasks)):
                self.actors.append(kind.remote(os.getcwd(), threads))
                pending[self.actors[-1].ready.remote()] = self.actors[-1], None
            answered, _ = ray.wait(list(pending), timeout=LISTEN)
            listen()
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
                    yield task, numbers
                if waiting:
                    task = waiting.popleft()
                    pending[actor.extract.remote(task)] = actor, task

    def _places(self, device: str) -> tuple[int, bool]:
        """How many workers there are to be, and whether each has a GPU."""
        gpus = 0 if device == "cpu" else _resource("GPU")
        workers = self.workers or gpus or max(1, _resource("CPU"))
        return workers, gpus >= workers

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


def _resource(name: str) -> int:
    """How many of a resource the machines have together."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    return int(resources.get(name, 0))
