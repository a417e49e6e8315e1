"""Regions on disk, with their features; and the stores of uneven arrays that they and everything else lie in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import overload

import numpy as np

from groundgraph.data.ragged import SHARD_BYTES, Ragged, RaggedWriter, narrowed, write_ragged
from groundgraph.data.types import Regions
from groundgraph.errors import InputError

__all__ = (
    "NoRegions",
    "Ragged",
    "RaggedWriter",
    "RegionsWriter",
    "StoredRegions",
    "counts_of",
    "regions_of",
    "write_ragged",
    "write_regions",
)

_FIELDS = ("boxes", "labels", "scores", "features")
_COLUMNS = (*_FIELDS, "size")


def write_regions(path: str | Path, ids: Sequence[str], regions: Iterable[Regions], half: bool = False) -> None:
    """Write one `Regions` an id to one file (columns boxes, labels, scores, features, size), all held in memory.

    Args:
        path: The file.
        ids: The images' names, each once.
        regions: Their regions.
        half: Features are stored as float16.

    Raises:
        InputError: As `write_ragged`, or float16 cannot hold the features.
    """
    entries = [_entry(one) for one in regions]
    columns = {column: [entry[column] for entry in entries] for column in _COLUMNS}
    if half:
        columns["features"] = [narrowed(array, np.float16, f"{path}: features") for array in columns["features"]]
    write_ragged(path, ids, columns)


class NoRegions(InputError):
    """Not one image of the store at `path` has regions, so that nobody knows how wide their features are."""

    def __init__(self, path: Path, name: str) -> None:
        super().__init__(f"{path}: no image gave a region, such as {name!r}")
        self.path = path


class RegionsWriter:
    """Adds regions to a folder of shards as they are found (see `RaggedWriter`); for a `with` block.

    `width` is of a region's features; None as long as no image had regions.

    Args:
        path: The store's folder.
        half: Features are stored as float16: half the room, and what is read is float32 again, to 3 digits.
        shard: As of `RaggedWriter`.

    Raises:
        InputError: As `RaggedWriter`.
        NoRegions: No image at all has regions.
    """

    def __init__(self, path: str | Path, half: bool = False, shard: int = SHARD_BYTES) -> None:
        self._store = RaggedWriter(path, *_COLUMNS, dtypes={"features": np.float16} if half else None, shard=shard)
        there = Ragged(path)
        self.width = there.column(there.ids[0], "features").shape[1] if len(there) else None
        self._waiting: list[str] = []

    def __contains__(self, name: object) -> bool:
        return name in self._store or name in self._waiting

    def __enter__(self) -> RegionsWriter:
        return self

    def __exit__(self, kind: type | None, *_: object) -> None:
        if kind is None and self._waiting:
            raise NoRegions(self._store.path, self._waiting[0])
        self._store.close()

    def append(self, name: str, regions: Regions | None) -> None:
        """One image's regions; None for an image that could not be read, which then has none.

        An image without regions still has features of the others' width, so it waits for the first that has some.
        """
        if regions is None:
            if self.width is None:
                self._waiting.append(name)
                return
            regions = no_regions(self.width)
        elif self.width is None:
            self.width = regions.features.shape[1]
            waiting, self._waiting = self._waiting, []
            for earlier in waiting:
                self.append(earlier, None)
        self._store.append(name, _entry(regions))

    def flush(self) -> None:
        """Write what is held in memory as a shard."""
        self._store.flush()


def no_regions(width: int) -> Regions:
    """What stands for an image that could not be read; width is the other images' features'."""
    boxes, features = np.zeros((0, 4), np.float32), np.zeros((0, width), np.float32)
    return Regions(boxes, np.zeros(0, np.int64), np.zeros(0, np.float32), features, size=(1, 1))


def _entry(regions: Regions) -> dict[str, np.ndarray]:
    return {field: np.asarray(getattr(regions, field)) for field in _FIELDS} | {
        "size": np.array(regions.size, np.int64)
    }


class StoredRegions(Sequence[Regions]):
    """The regions of a store, in its order, each read when it is asked for: a list that needs no memory.

    Args:
        path: A file of `write_regions` or a folder of `RegionsWriter`.
        ids: Whose regions, in this order; None: all, in the store's.
        relabel: (id, labels [V]) -> the labels [V] to give instead; None: as they are stored.

    Raises:
        InputError: It is no such store, or lacks an id.
    """

    def __init__(
        self,
        path: str | Path,
        ids: Sequence[str] | None = None,
        relabel: Callable[[str, np.ndarray], np.ndarray] | None = None,
    ) -> None:
        self._relabel = relabel
        self._store = store = Ragged(path)
        missing = set(_COLUMNS) - set(store.columns) if len(store) or ids else set()
        if missing:
            raise InputError(f"{path}: holds no regions (without {', '.join(sorted(missing))}); run the stage regions")
        self.ids = store.ids if ids is None else tuple(ids)
        unknown = next((name for name in self.ids if name not in store), None)
        if unknown is not None:
            raise InputError(f"{path}: has no regions of {unknown!r}; run the stage regions")

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Regions: ...

    @overload
    def __getitem__(self, index: slice) -> list[Regions]: ...

    def __getitem__(self, index: int | slice) -> Regions | list[Regions]:
        if isinstance(index, slice):
            return [self._read(name) for name in self.ids[index]]
        return self._read(self.ids[index])

    def __iter__(self) -> Iterator[Regions]:
        return (self._read(name) for name in self.ids)

    def _read(self, name: str) -> Regions:
        regions = regions_of(self._store, name)
        return regions if self._relabel is None else replace(regions, labels=self._relabel(name, regions.labels))

    def counts(self) -> np.ndarray:
        """How many regions each image has: [N] int64. None of them is read."""
        lengths = dict(zip(self._store.ids, self._store.lengths("labels").tolist(), strict=True))
        return np.array([lengths[name] for name in self.ids], np.int64)

    def labels(self) -> Iterator[np.ndarray]:
        """Each image's labels [V]; nothing else of it is read."""
        return map(self.labels_of, range(len(self)))

    def labels_of(self, index: int) -> np.ndarray:
        """One image's labels [V]; nothing else of it is read."""
        name = self.ids[index]
        labels = self._store.column(name, "labels")
        return labels if self._relabel is None else self._relabel(name, labels)

    def scores_of(self, index: int) -> np.ndarray:
        """One image's scores [V]; nothing else of it is read."""
        return self._store.column(self.ids[index], "scores")


def counts_of(regions: Sequence[Regions]) -> np.ndarray:
    """How many regions each image has: [N] int64. Stored ones are not read for that."""
    if isinstance(regions, StoredRegions):
        return regions.counts()
    return np.array([len(one) for one in regions], np.int64)


def regions_of(store: Ragged, name: str) -> Regions:
    """The regions of one id; features that were stored as float16 are float32 again."""
    row = store[name]
    if row.keys() != set(_COLUMNS) or row["size"].shape != (2,):
        raise InputError(f"{store.path}, {name!r}: no regions with the size of their picture; delete it and run again")
    width, height = row["size"].tolist()
    boxes, labels, scores, features = (row[field] for field in _FIELDS)
    return Regions(boxes, labels, scores, features.astype(np.float32, copy=False), size=(width, height))
