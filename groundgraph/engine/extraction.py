"""Computing what is known of each image by itself, stored slice by slice, so that a stage goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from groundgraph.data.ragged import RaggedWriter, write_ragged
from groundgraph.engine.run import Run
from groundgraph.system import trim_memory

CHUNK = 64  # images handled between two steps of a progress bar
FLUSH_SECONDS, FLUSH_SHARE = 60.0, 0.05  # what a kill may cost: seconds, or this share of the time so far


def beyond(what: str, count: int) -> dict[str, int]:
    """A count that is worth a line only where there is something to count."""
    return {what: count} if count else {}


class Worker(Protocol):
    """Computes a stage's entries of a slice of a split's images, in order; it holds the models.

    One that counts entities beyond a model's length has that count as `beyond`.
    """

    def __call__(self, split: str, part: slice) -> Iterable[Any]:
        """The entries of a split's images from part.start to part.stop."""
        ...


class Writer(AbstractContextManager["Writer"], Protocol):
    """Adds images' entries to a split's store; see `RaggedWriter`."""

    def __contains__(self, name: object) -> bool: ...

    def append(self, name: str, entry: Any) -> None:
        """Add an image's entry."""
        ...

    def flush(self) -> None:
        """Write what is held in memory."""
        ...


class Store(Protocol):
    """How a stage's entries are stored: in a folder of shards a split."""

    def writer(self, path: Path) -> Writer:
        """What adds to the folder `path`."""
        ...

    def write(self, path: Path, ids: Sequence[str], entries: Sequence[Any]) -> None:
        """Make one shard, the file `path`, of some images' entries."""
        ...


class Columns:
    """Entries that are arrays by name.

    Args:
        names: Of the columns that every entry has.
    """

    def __init__(self, *names: str) -> None:
        self.names = names

    def writer(self, path: Path) -> Writer:
        """What adds to the folder `path`."""
        return RaggedWriter(path, *self.names)

    def write(self, path: Path, ids: Sequence[str], entries: Sequence[Any]) -> None:
        """Make one shard, the file `path`, of some images' entries."""
        write_ragged(path, ids, {name: [entry[name] for entry in entries] for name in self.names})


@dataclass(frozen=True)
class Extraction:
    """What a stage computes of every image by itself: any process may compute any slice, with the same result.

    Attributes:
        open: Makes the worker from the run and the stage's folder, once in each process that works; a module's own
            function or class, since it travels by its name.
        label: For the progress bar; {} stands for the split.
        store: Of the entries; it makes a store a split in the stage's folder.
        size: Images that are computed at once.
    """

    open: Callable[[Run, Path], Worker]
    label: str
    store: Store
    size: int = CHUNK

    def slices(self, count: int) -> list[slice]:
        """A split's images in slices, cut the same way however often, and by whomever, the work is done.

        One of which anything is missing is made again as a whole: a model then sees the batches that it would have
        seen, and gives the same digits.
        """
        return [slice(start, min(start + self.size, count)) for start in range(0, count, self.size)]


def extract(run: Run, folder: Path, extraction: Extraction, images: Mapping[str, Sequence[str]]) -> int:
    """Compute what is missing of the splits' entries, by the run's executor or in this process.

    Args:
        run: Whose stage it is.
        folder: The stage's, where each split gets a store of its own.
        extraction: What is computed.
        images: Split -> the ids of its images, in order.

    Returns:
        How many entities stood beyond a model's length, over all attempts.

    Raises:
        Exception: What the worker raises.
    """
    return (run.executor or in_process)(run, folder, extraction, images)


def in_process(run: Run, folder: Path, extraction: Extraction, images: Mapping[str, Sequence[str]]) -> int:
    """`extract`, one slice after the other."""
    worker, total = extraction.open(run, folder), 0
    for split, ids in images.items():
        truncations, label = TruncationCounter(folder, split, worker), extraction.label.format(split)
        with extraction.store.writer(folder / split) as writer:
            fill(run, label, ids, writer, partial(worker, split), extraction.slices(len(ids)), truncations)
        total += truncations.total()
    return total


class TruncationCounter:
    """How many entities stood beyond a worker's model's length, which a broken-off attempt does not forget.

    Args:
        folder: A stage's, where SPLIT.beyondSUFFIX.jsonl gets a line, [first image, count], a slice that has any.
        split: Whose slices they are.
        worker: What counts, in its `beyond`, if it has that.
        suffix: Tells apart the processes that write.
    """

    def __init__(self, folder: Path, split: str, worker: Any = None, suffix: str = "") -> None:
        self.folder, self.split, self.worker, self.suffix = folder, split, worker, suffix

    def count(self) -> int:
        """What the worker counted so far."""
        return getattr(self.worker, "beyond", 0)

    def write(self, first: int, number: int) -> None:
        """Note the count of the slice that begins with image `first`; made again, it has the same."""
        if number:
            with (self.folder / f"{self.split}.beyond{self.suffix}.jsonl").open("a", encoding="utf-8") as file:
                file.write(f"\n[{first}, {number}]")

    def total(self) -> int:
        """Of all slices, by whichever attempt and process they were made."""
        slices: dict[int, int] = {}
        for path in self.folder.glob(f"{self.split}.beyond*.jsonl"):
            for line in path.read_bytes().splitlines():
                with suppress(ValueError):  # a line that was being written
                    first, number = json.loads(line)
                    slices[first] = number
        return sum(slices.values())


def entries_of(
    run: Run, make: Callable[[slice], Iterable[Any]], part: slice, truncations: TruncationCounter | None
) -> list[Any]:
    """A slice's entries, with all that is to be known of them on the disk: skipped images, and truncations."""
    before = truncations.count() if truncations else 0
    entries = list(make(part))
    run.skipped.keep()  # before the images that it is about
    trim_memory()
    if truncations:
        truncations.write(part.start, truncations.count() - before)
    return entries


def fill(
    run: Run,
    label: str,
    ids: Sequence[str],
    writer: Writer,
    make: Callable[[slice], Iterable[Any]],
    slices: Iterable[slice],
    truncations: TruncationCounter | None = None,
) -> None:
    """Append to a store what it lacks of a split, in order, under a bar that also counts what it has.

    Args:
        run: Whose bar and skipped images they are.
        label: The bar's.
        ids: Of the split's images.
        writer: Adds to the store.
        make: The entries of a slice.
        slices: Of the split, in order.
        truncations: What else is counted on the way.
    """
    began = written = time.monotonic()
    with run.progress(label, len(ids)) as advance:
        for part in slices:
            missing = [name not in writer for name in ids[part]]
            if any(missing):
                entries = entries_of(run, make, part, truncations)
                for name, entry, absent in zip(ids[part], entries, missing, strict=True):
                    if absent:
                        writer.append(name, entry)
                now = time.monotonic()
                if now - written > max(FLUSH_SECONDS, FLUSH_SHARE * (now - began)):
                    writer.flush()
                    written = now
            advance(part.stop - part.start)
