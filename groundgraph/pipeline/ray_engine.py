"""Extraction by Ray Data: the stages' own workers as actors, on this machine's cores or a cluster's.

The run's folder, the images and local models must lie where all machines see them under the same path. A task is a few
slices; what an actor makes of it becomes a shard of the stage's store, written by the actor. So nothing large passes
through Ray: a task and its answer are lines of JSON. An actor that dies is started again, and its task with it.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from groundgraph.data.ragged import Ragged
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.ray_actor import TRIES, Extractor
from groundgraph.pipeline.run import Run
from groundgraph.pipeline.streaming import Extraction, Tally

TASK = 512  # images a task at most: its entries are held in memory, 113 MB of 36 regions with 1,536 features
ROUNDS = 4  # tasks a worker at least, where there are images enough: so none waits long for the last
STORE = 128 << 20  # bytes for Ray's own object store on this machine; tasks and answers are all that passes through
# Read when Ray is imported. Without the last a thread of Ray Data's would start Ray again after `close`.
_ENVIRONMENT = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_BACKEND_LOG_LEVEL": "fatal", "RAY_ENABLE_AUTO_CONNECT": "0"}
PATIENCE = 10.0  # seconds for Ray Data's threads to see that it is over
LISTEN = 0.2  # seconds between two looks for a signal


class RayEngine:
    """Does `streaming.extract`'s work by actors; start and stop are its own affair, `close` ends it.

    address  of a running cluster ("auto" for the one this machine is part of); None: this machine alone
    workers  how many; None: one a GPU where there are GPUs, else one a core
    Raises ValueError where Ray is not installed or no cluster answers.
    """

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        try:
            import ray  # noqa: F401
        except ImportError as error:
            raise ValueError("--engine ray needs Ray: pip install 'groundgraph[ray]'") from error
        self.address, self.workers, self._listener = address, workers, threading.Thread()

    def __enter__(self) -> RayEngine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, and the Ray that was started for them; what they held unwritten is lost."""
        import ray

        if ray.is_initialized():
            with _without_stderr():  # Ray Data's threads complain there, if they were at work
                ray.shutdown()
                if self._listener.is_alive():
                    self._listener.join(PATIENCE)

    def __call__(self, run: Run, folder: Path, what: Extraction, splits: Sequence[str]) -> int:
        """See `streaming.extract`."""
        slices = {split: self._missing(run, folder, what, split) for split in splits}
        total = sum(len(artifacts.names(run, split)) for split in splits)
        due = sum(part.stop - part.start for listed in slices.values() for part, _ in listed)
        left: dict[str, list[int]] = {split: [] for split in splits}
        deadly: list[str] = []
        if due:
            with run.bar(what.what.format(", ".join(splits)), total) as advance:
                advance(total - due)
                try:
                    for answer in self._answers(run, folder, what, slices):
                        advance(answer.get("images", 0))
                        if "left" in answer:
                            left[answer["split"]] += answer["left"]
                        if "deadly" in answer:
                            first, last = (artifacts.names(run, answer["split"])[i] for i in answer["deadly"])
                            deadly.append(f"{answer['split']} images {first} to {last}")
                except BaseException:
                    self.close()  # actors would go on
                    raise
            if deadly:
                raise ValueError(
                    f"{'; '.join(deadly)}: workers died {TRIES} times over these (out of memory, or an image that "
                    "kills its reader); all others are done, and the next run tries these again"
                )
        else:
            what.open(run, folder)  # what it writes beside the stores may be missing
        run.collect_skipped()
        if not what.columns:
            self._fill_up(run, folder, what, left)
        return sum(Tally(folder, split, None).total() for split in splits)

    def _missing(self, run: Run, folder: Path, what: Extraction, split: str) -> list[tuple[slice, list[int]]]:
        """The slices of a split of which anything is missing, each with the numbers of the images that are."""
        names = artifacts.names(run, split)
        (folder / split).mkdir(exist_ok=True)
        there = Ragged(folder / split)
        found = [(p, [i for i in range(p.start, p.stop) if names[i] not in there]) for p in what.slices(len(names))]
        return [(part, missing) for part, missing in found if missing]

    def _fill_up(self, run: Run, folder: Path, what: Extraction, left: dict[str, list[int]]) -> None:
        """Write down the images without regions, which the actors cannot: they do not know how wide features are."""
        for split, numbers in left.items():
            names = artifacts.names(run, split)
            with what.writer(folder / split) as writer:
                for i in sorted(numbers):
                    writer.append(names[i], None)

    def _answers(
        self, run: Run, folder: Path, what: Extraction, slices: dict[str, list[tuple[slice, list[int]]]]
    ) -> Iterator[dict[str, Any]]:
        """Each task's answer, as it comes; an empty one every now and then, so that a signal is heard."""
        ray = self._start()
        found = ray.cluster_resources()
        cores, gpus = int(found.get("CPU", 1)), int(found.get("GPU", 0))
        workers = self.workers or gpus or cores
        tasks = _tasks(slices, what.size, workers)
        workers = min(workers, len(tasks))
        share = max(1, cores // workers)
        rows = [{"task": json.dumps(task)} for task in tasks]
        places = str(run.folder.resolve()), str(folder.resolve()), os.getcwd()
        data = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Extractor,
            fn_constructor_args=(run.recipe, *places, what, share, secrets.token_hex(4)),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,  # asked for more, a small machine of the cluster would get none
            num_gpus=1 if gpus >= workers else 0,
        )
        answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._listener = threading.Thread(target=_listen, args=(data, answers), daemon=True)
        self._listener.start()
        while True:
            try:
                answer = answers.get(timeout=LISTEN)
            except queue.Empty:
                yield {}
                continue
            if answer is None:
                return
            if isinstance(answer, Exception):
                raise ValueError(f"Ray failed: {str(answer).strip().splitlines()[-1]}") from answer
            if "error" in answer:
                raise _raised(answer["error"])
            yield answer

    def _start(self) -> Any:
        """Ray with nothing of it on the terminal, started with the first task."""
        import ray
        import ray.data

        if not ray.is_initialized():
            alone = {"num_cpus": os.cpu_count(), "object_store_memory": STORE, "include_dashboard": False}
            where, how = (self.address, {}) if self.address else ("local", alone)
            before = signal.getsignal(signal.SIGTERM)
            with _without_stderr():  # it announces its log level
                try:
                    ray.init(where, log_to_driver=False, logging_level="error", **how)
                except (ConnectionError, ValueError) as error:
                    raise ValueError(f"no Ray answers at {self.address}: {error}") from error
            if threading.current_thread() is threading.main_thread():
                signal.signal(signal.SIGTERM, before)  # Ray takes it, and the run would end without a word
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what ends it is raised too
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        return ray


@contextmanager
def _without_stderr() -> Iterator[None]:
    """Nothing is written to stderr, by whatever thread or library; what goes wrong is raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    with open(os.devnull, "w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _listen(data: Any, answers: queue.SimpleQueue) -> None:
    """Hand on what the actors answer; None at the end, and what Ray itself raises."""
    try:
        for row in data.iter_rows():
            answers.put(json.loads(row["answer"]))
        answers.put(None)
    except Exception as error:
        answers.put(error)


def _tasks(slices: dict[str, list[tuple[slice, list[int]]]], size: int, workers: int) -> list[dict[str, Any]]:
    """Slices that follow each other as tasks: few and large, but enough for all workers."""
    listed = sum(map(len, slices.values()))
    most = max(1, min(TASK // size, -(-listed // (ROUNDS * workers))))
    return [
        {"split": split, "slices": [[part.start, part.stop, missing] for part, missing in parts[i : i + most]]}
        for split, parts in slices.items()
        for i in range(0, len(parts), most)
    ]


def _raised(error: list[Any]) -> Exception:
    """What an actor raised, as the local run would raise it."""
    kind, text, number, file = error
    if number is not None:
        return OSError(number, text, *([file] if file else []))
    return ValueError(text) if kind == "ValueError" else RuntimeError(f"{kind}: {text}")
