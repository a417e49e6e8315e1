"""Going through a split's images and writing what is found as it is found, so that a stage goes on where it was."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from groundgraph.data.store import RaggedWriter, RegionsWriter
from groundgraph.pipeline.run import Run

CHUNK = 64  # images handled between two steps of a progress bar
LOSS = 60.0, 0.05  # what a kill may cost: seconds, or this share of the time so far


def fill(
    run: Run,
    what: str,
    names: Sequence[str],
    writer: RaggedWriter | RegionsWriter,
    make: Callable[[slice], Iterable[Any]],
    size: int = CHUNK,
) -> None:
    """Append to `writer` what it lacks of `names`, in order, under a bar that also counts what it has.

    make  gives what is appended for the names of a slice, at most `size` of them
    Slices are cut the same way however often the work is broken off, and one of which anything is missing is made again
    as a whole: a model then sees the batches that it would have seen, and gives the same digits.
    """
    began = written = time.monotonic()
    with run.bar(what, len(names)) as advance:
        for start in range(0, len(names), size):
            part = slice(start, min(start + size, len(names)))
            missing = [name not in writer for name in names[part]]
            if any(missing):
                made = list(make(part))
                run.keep_skipped()  # before the images that it is about
                for name, value, wanted in zip(names[part], made, missing, strict=True):
                    if wanted:
                        writer.append(name, value)
                now = time.monotonic()
                if now - written > max(LOSS[0], LOSS[1] * (now - began)):
                    writer.flush()
                    written = now
            advance(part.stop - part.start)
