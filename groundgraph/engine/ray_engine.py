"""Extraction by Ray Data: the stages' own workers in actors, on this machine's cores or a cluster's.

The run's folder, the images and local models must lie where all machines see them under the same path. A task is a few
slices; what an actor makes of it becomes a shard of the stage's store, written by the actor. So nothing large passes
through Ray. An actor that dies is started again, and its task with it.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.ragged import Ragged
from groundgraph.engine.extraction import Extraction, Tally
from groundgraph.engine.ray_actor import TRIES, Due, Task
from groundgraph.engine.run import Advance, Run
from groundgraph.errors import InputError

TASK = 512  # images a task at most: its entries are held in memory, 113 MB of 36 regions with 1,536 features
ROUNDS = 4  # tasks a worker at least, where there are images enough: so none waits long for the last
# Read when Ray is imported. Without the last a thread of Ray Data's would start Ray again after `close`.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_ENABLE_AUTO_CONNECT": "0"}


class RayEngine:
    """Does `streaming.extract`'s work by actors; start and stop are its own affair, `close` ends it.

    address  of a running cluster ("auto" for the one this machine is part of); None: this machine alone
    workers  how many; None: one a GPU where there are GPUs, else one a core
    Raises InputError where Ray is not installed or no cluster answers.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            from groundgraph.engine.ray_pool import Pool
        except ImportError as error:
            raise InputError("--engine ray needs Ray: pip install 'groundgraph[ray]'") from error
        self.pool = Pool(address, workers)

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, and the Ray that was started for them; what they held unwritten is lost."""
        self.pool.close()

    def __call__(self, run: Run, folder: Path, what: Extraction, images: Mapping[str, Sequence[str]]) -> int:
        """See `streaming.extract`."""
        if ":" in run.recipe.device:
            raise InputError(f"device {run.recipe.device} with --engine ray, which gives each worker a GPU: take cuda")
        self.pool.on_gpus = run.recipe.device != "cpu"
        missing = {split: self._missing(folder, what, split, ids) for split, ids in images.items()}
        left: dict[str, list[int]] = {split: [] for split in images}
        if any(missing.values()):
            tasks = self._tasks(run, folder, what, images, missing)
            due, total = sum(task.images for task in tasks), sum(map(len, images.values()))
            with run.progress(what.label.format(", ".join(images)), total) as advance:
                advance(total - due)
                try:
                    deadly = self._extract(tasks, left, advance)
                except BaseException:
                    self.close()  # actors would go on
                    raise
            if deadly:
                raise InputError(
                    f"{'; '.join(_named(task) for task in deadly)}: workers died {TRIES} times over these (out "
                    "of memory, or an image that kills its reader); all others are done, and the next run tries "
                    "these again"
                )
        else:
            what.open(run, folder)  # what it writes beside the stores may be missing
        run.collect_skipped()
        self._fill_up(folder, what, images, left)
        return sum(Tally(folder, split, None).total() for split in images)

    def _missing(self, folder: Path, what: Extraction, split: str, names: Sequence[str]) -> list[Due]:
        """The slices of a split of which anything is missing, each with the numbers of the images that are."""
        (folder / split).mkdir(exist_ok=True)
        there = Ragged(folder / split)
        found = (
            (part.start, part.stop, tuple(i for i in range(part.start, part.stop) if names[i] not in there))
            for part in what.slices(len(names))
        )
        return [each for each in found if each[2]]

    def _extract(self, tasks: Sequence[Task], left: dict[str, list[int]], advance: Advance) -> list[Task]:
        """Have the tasks done; gives those that nobody survives. left: gets the images without regions."""
        deadly = []
        for answered in self.pool.answers(tasks):
            if answered is None:
                advance(0)
                continue
            task, answer = answered
            if "error" in answer:
                raise _raised(answer["error"])
            if "deadly" in answer:
                deadly.append(task)
            else:
                left[task.split] += answer["left"]
                advance(task.images)
        return deadly

    def _fill_up(
        self, folder: Path, what: Extraction, images: Mapping[str, Sequence[str]], left: dict[str, list[int]]
    ) -> None:
        """Write down the images without regions, which the actors cannot: they do not know how wide features are."""
        for split, numbers in left.items():
            if numbers:
                with what.store.writer(folder / split) as writer:
                    for i in sorted(numbers):
                        writer.append(images[split][i], None)

    def _tasks(
        self,
        run: Run,
        folder: Path,
        what: Extraction,
        images: Mapping[str, Sequence[str]],
        missing: dict[str, list[Due]],
    ) -> list[Task]:
        """Slices that follow each other as tasks."""
        places, attempt = (run.folder.resolve(), folder.resolve()), secrets.token_hex(4)
        most = _slices_a_task(sum(map(len, missing.values())), what.size, self.pool.workers)
        return [
            Task(attempt, run.recipe, *places, what, split, images[split], tuple(slices[i : i + most]))
            for split, slices in missing.items()
            for i in range(0, len(slices), most)
        ]


def _slices_a_task(slices: int, size: int, workers: int) -> int:
    """So many that tasks are few and large, but enough for all workers."""
    return max(1, min(TASK // size, -(-slices // (ROUNDS * workers))))


def _named(task: Task) -> str:
    names = task.ids
    return f"{task.split} images {names[task.slices[0][0]]} to {names[task.slices[-1][1] - 1]}"


def _raised(error: list[Any]) -> Exception:
    """What an actor raised, as the local run would raise it."""
    kind, text, number, file = error
    if number is not None:
        return OSError(number, text, *([file] if file else []))
    return InputError(text) if kind == "InputError" else RuntimeError(f"{kind}: {text}")
