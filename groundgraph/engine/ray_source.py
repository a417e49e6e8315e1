"""Where the pipeline of `ray_pool` gets its tasks. A module that imports little: so its process holds little."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import pyarrow
from ray.data.block import BlockMetadata
from ray.data.datasource import Datasource, ReadTask
from ray.util.queue import Queue

BEGIN, STOP = b"begin", b"stop"


class Source(Datasource):
    """Tasks from a queue, a block each: BEGIN, then tasks until None. STOP ends all that is at work, too."""

    def __init__(self, tasks: Queue) -> None:
        super().__init__()
        self.tasks = tasks

    def estimate_inmemory_data_size(self) -> None:
        """Nobody knows."""

    def get_read_tasks(self, parallelism: int, *_: Any, **__: Any) -> list[ReadTask]:
        """The one that hands on what comes."""
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(partial(_read, self.tasks), unknown)]


def _read(tasks: Queue) -> Iterator[pyarrow.Table]:
    if tasks.empty() or tasks.get() != BEGIN:
        raise RuntimeError("the process that hands out tasks died, and what it handed out is not known; run again")
    while (task := tasks.get()) is not None:
        if task == STOP:
            raise InterruptedError  # an error is what Ray Data ends at once for
        yield pyarrow.table({"task": [task]})
