"""Going through a split's images and writing what is found as it is found, so that a stage goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from groundgraph.data.store import RaggedWriter, RegionsWriter
from groundgraph.pipeline.run import Run

CHUNK = 64  # images handled between two steps of a progress bar
LOSS = 60.0, 0.05  # what a kill may cost: seconds, or this share of the time so far


class Tally:
    """A count that a broken-off attempt does not forget: a line of JSON, [first image, count], a slice that has any.

    path   the file, made with the first line
    count  what has been counted so far in this process
    """

    def __init__(self, path: Path, count: Callable[[], int]) -> None:
        self.path, self.count = path, count
        self._slices: dict[int, int] = {}
        if path.exists():
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):  # a line that was being written
                    first, number = json.loads(line)
                    self._slices[first] = number

    def note(self, first: int, number: int) -> None:
        """The count of the slice that begins with an image; of one that is made again, it is the new one."""
        if number or first in self._slices:
            self._slices[first] = number
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"\n[{first}, {number}]")

    def total(self) -> int:
        """Of all slices, by whichever attempt they were made."""
        return sum(self._slices.values())


def fill(
    run: Run,
    what: str,
    names: Sequence[str],
    writer: RaggedWriter | RegionsWriter,
    make: Callable[[slice], Iterable[Any]],
    size: int = CHUNK,
    tally: Tally | None = None,
) -> None:
    """Append to `writer` what it lacks of `names`, in order, under a bar that also counts what it has.

    make   gives what is appended for the names of a slice, at most `size` of them
    tally  what else is counted on the way
    Slices are cut the same way however often the work is broken off, and one of which anything is missing is made again
    as a whole: a model then sees the batches that it would have seen, and gives the same digits.
    """
    began = written = time.monotonic()
    with run.bar(what, len(names)) as advance:
        for start in range(0, len(names), size):
            part = slice(start, min(start + size, len(names)))
            missing = [name not in writer for name in names[part]]
            if any(missing):
                counted = tally.count() if tally else 0
                made = list(make(part))
                run.keep_skipped()  # before the images that it is about
                if tally:
                    tally.note(start, tally.count() - counted)
                for name, value, wanted in zip(names[part], made, missing, strict=True):
                    if wanted:
                        writer.append(name, value)
                now = time.monotonic()
                if now - written > max(LOSS[0], LOSS[1] * (now - began)):
                    writer.flush()
                    written = now
            advance(part.stop - part.start)
