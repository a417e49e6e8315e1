"""Actors that stay from stage to stage: one Ray Data pipeline, whose source is a queue.

Ray Data starts the actors of a pipeline with it, and ends them with it. A pipeline a stage would mean that every stage
waits until they have imported torch. So there is one, and its source gives out tasks as they come. It ends when it
stands idle, so that a training finds the memory free, and is started again when there are tasks.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError
from ray.util.queue import Queue

from groundgraph.engine.ray_actor import TRIES, Extractor, Task
from groundgraph.engine.ray_source import BEGIN, STOP, Source
from groundgraph.errors import InputError

STORE = 128 << 20  # bytes for Ray's own object store on this machine; tasks and answers are all that passes through
IDLE = 60.0  # seconds that actors wait for more tasks
AHEAD = 3  # tasks that each actor has, at work and in waiting
PATIENCE = 10.0  # seconds for Ray Data's threads to see that it is over
LISTEN = 0.2  # seconds between two looks for a signal


class Pool:
    """The actors, started with the first task; `close` ends them, and the Ray that was started for them.

    address  of a running cluster; None: this machine alone
    workers  how many; None: one a GPU where there are GPUs, else one a core
    on_gpus  whether workers may have them
    """

    def __init__(self, address: str | None, workers: int | None) -> None:
        self.address, self._wanted = address, workers
        self.on_gpus = True
        self._tasks: Queue | None = None  # of the pipeline that runs
        self._answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._listener = threading.Thread()
        self._timer: threading.Timer | None = None  # ends the pipeline when it stands idle

    @property
    def workers(self) -> int:
        """How many actors there are, or will be."""
        if not self._wanted:
            self._start()
            self._wanted = self._gpus() or max(1, _there_are("CPU"))
        return self._wanted

    def answers(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, dict[str, Any]] | None]:
        """Each task with its answer, as it comes; None every now and then, so that a signal is heard.

        Raises InputError for what Ray itself raises.
        """
        self._wake()
        waiting, given, fruitless = deque(tasks), dict[str, Task](), 0
        while waiting or given:
            self._give(waiting, given)
            try:
                answer = self._answers.get(timeout=LISTEN)
            except queue.Empty:
                yield None
                continue
            if answer is None:  # the pipeline stood idle before these came, or lost its source
                fruitless += 1
                if fruitless > TRIES:
                    raise InputError("Ray failed: it ends without an answer, again and again")
                self._tasks = None
                waiting.extendleft(given.values())
                given.clear()
            elif isinstance(answer, Exception):
                raise InputError(f"Ray failed: {str(answer).strip().splitlines()[-1]}") from answer
            elif task := given.pop(answer["task"], None):  # else it was handed out twice
                fruitless = 0
                yield task, answer
        self._timer = threading.Timer(IDLE, self._tasks.put, (None,))
        self._timer.daemon = True
        self._timer.start()

    def close(self) -> None:
        """End the actors, and the Ray that was started for them; what they held unwritten is lost."""
        self._wake()
        if ray.is_initialized():
            with _without_stderr():  # Ray Data's threads complain there, if they were at work
                if self._tasks is not None and self._listener.is_alive():
                    # A thread of Ray Data's that outlives Ray ends this process when it looks for it.
                    with suppress(RayError):  # the queue may be what failed
                        self._tasks.put(STOP)
                        self._listener.join(PATIENCE)
                ray.shutdown()
        self._tasks = None

    def _wake(self) -> None:
        if self._timer:
            self._timer.cancel()

    def _give(self, waiting: deque[Task], given: dict[str, Task]) -> None:
        """Hand out tasks, not many at once: a source that waits for room cannot hear that it is over."""
        if self._tasks is None:
            self._open()
        more = [waiting.popleft() for _ in range(min(len(waiting), AHEAD * self.workers - len(given)))]
        if more:
            given.update({task.name: task for task in more})
            self._tasks.put_nowait_batch([ray.cloudpickle.dumps(task) for task in more])

    def _open(self) -> None:
        """Start the pipeline, and a thread that hears what comes out of it."""
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.target_max_block_size = 1  # byte: a task is handed on when it comes, not when there are more
        self._start()
        workers, cores = self.workers, _there_are("CPU")
        self._tasks, self._answers = Queue(actor_options={"num_cpus": 0}), queue.SimpleQueue()
        self._tasks.put(BEGIN)
        data = ray.data.read_datasource(Source(self._tasks), override_num_blocks=1, num_cpus=0).map(
            Extractor,
            fn_constructor_args=(os.getcwd(), max(1, cores // workers)),
            compute=ray.data.ActorPoolStrategy(size=workers),
            num_cpus=1,  # asked for more, a small machine of the cluster would get none
            num_gpus=1 if self._gpus() >= workers else 0,
        )
        self._listener = threading.Thread(target=_listen, args=(data, self._answers), daemon=True)
        self._listener.start()

    def _gpus(self) -> int:
        return _there_are("GPU") if self.on_gpus else 0

    def _start(self) -> None:
        """Start Ray where it is not running, with nothing of it on the terminal. Raises InputError where it fails."""
        if ray.is_initialized():
            return
        alone = {"num_cpus": os.cpu_count(), "object_store_memory": STORE, "include_dashboard": False}
        where, how = (self.address, {}) if self.address else ("local", alone)
        before = signal.getsignal(signal.SIGTERM)
        with _without_stderr():  # it announces its log level
            try:
                ray.init(where, log_to_driver=False, logging_level="error", **how)
            except (ConnectionError, ValueError) as error:
                raise InputError(f"no Ray answers at {self.address}: {error}") from error
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # Ray takes it, and the run would end without a word
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what ends it is raised too


def _there_are(what: str) -> int:
    """How many of a resource the machines have together."""
    return int(ray.cluster_resources().get(what, 0))


def _listen(data: ray.data.Dataset, answers: queue.SimpleQueue) -> None:
    """Hand on what the actors answer; None at the end, and what Ray itself raises."""
    try:
        for batch in data.iter_batches(batch_size=None, prefetch_batches=0):  # else the last waits for another
            for answer in batch["answer"]:
                answers.put(json.loads(answer))
        answers.put(None)
    except Exception as error:
        answers.put(error)


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
