"""Arrays of uneven length on disk, read an image at a time without loading the rest.

A store is one safetensors file (`write_ragged`), or a folder of such files, its shards (`RaggedWriter`), which grows:
writers add shards, in one process or many, and a reader sees the union of those that are whole. A shard is written
under another name, and gets its own when all of it is on the disk.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError

SHARD_BYTES = 64 << 20  # what a writer holds in memory before it becomes a shard; while it is written, twice that
_SUFFIX = ".safetensors"
_DTYPES = "float64 float32 float16 int64 int32 int16 int8 uint64 uint32 uint16 uint8 bool".split()


def write_ragged(path: str | Path, ids: Sequence[str], columns: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Write, for every id, one array a column, to one safetensors file; whole or not at all.

    The file holds a column's arrays end to end, `NAME`; where each starts, `NAME.offsets` [N + 1]; the ids as JSON in
    the metadata. Where a column's arrays share all sizes but the first, NAME is [total, ...]; else it is flat and
    `NAME.shapes` [N, axes] tells them apart.

    Args:
        path: The file.
        ids: N names, each once.
        columns: Name -> N arrays that share a dtype and their number of axes.

    Raises:
        InputError: An id comes twice, a column has another length, its arrays differ in dtype or axes, or are no
            numbers.
    """
    path, ids = Path(path), [str(name) for name in ids]
    if len(set(ids)) != len(ids):
        raise InputError(f"{path}: an id occurs twice, for example {_repeated(ids)!r}; ids must be unique")
    tensors: dict[str, np.ndarray] = {}
    for name, arrays in columns.items():
        _check_column(path, name)
        if len(arrays) != len(ids):
            raise InputError(f"{path}: column {name!r} has {len(arrays)} arrays for {len(ids)} ids")
        tensors.update(_flat(path, name, [np.asarray(a) for a in arrays]))
    with atomic_write(path) as temporary:
        # One entry of metadata: the library writes several in any order, and equal stores are to be equal files.
        save_file(tensors, temporary, {"ids": json.dumps(ids)})


def _repeated(ids: list[str]) -> str:
    return next(name for i, name in enumerate(ids) if ids.index(name) < i)


def _check_column(path: Path, name: str) -> None:
    if "." in name:
        raise InputError(f"{path}: the column name {name!r} must not contain a dot")


def _flat(path: Path, name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    """A column as the tensors of a file."""
    kinds = {(a.dtype, a.ndim) for a in arrays}
    if len(kinds) > 1 or any(a.ndim == 0 for a in arrays):
        dtypes = ", ".join(sorted(f"{dtype} with {axes} axes" for dtype, axes in kinds))
        raise InputError(f"{path}: the arrays of column {name!r} need one dtype and one number of axes, not {dtypes}")
    even = len({a.shape[1:] for a in arrays}) <= 1
    rows = arrays if even else [a.reshape(-1) for a in arrays]
    flat = np.concatenate(rows).copy("C") if rows else np.zeros(0, np.float32)  # memory is written as it lies
    if flat.dtype.name not in _DTYPES:
        raise InputError(f"{path}: {name} is of dtype {flat.dtype}; store one of {', '.join(_DTYPES)}")
    tensors = {name: flat, f"{name}.offsets": np.cumsum([0, *map(len, rows)], dtype=np.int64)}
    if not even:
        tensors[f"{name}.shapes"] = np.array([a.shape for a in arrays], np.int64)
    return tensors


class RaggedWriter:
    """Adds to a store of shards, holding no more than one in memory; for a `with` block.

    Writers of several processes may add to one folder at once. What lay in it when the writer began is in `writer`, so
    that work cut off goes on where it was: `if name not in writer: writer.append(name, ...)`. A block that raises still
    keeps the entries before; a process that is killed loses those of its last shard alone.

    Args:
        path: The store's folder, made where it is not there; what lies in it stays.
        columns: The names that every entry has.
        dtypes: Columns that are stored in another dtype than they come in; float16 halves features' room.
        shard: Bytes of arrays after which a shard is written.

    Raises:
        InputError: A file instead of a folder, an id that is there, other columns than announced, arrays that
            differ from the column's others in dtype or axes, and numbers that the stored dtype cannot hold.
    """

    def __init__(
        self,
        path: str | Path,
        *columns: str,
        dtypes: Mapping[str, type] | None = None,
        shard: int = SHARD_BYTES,
    ) -> None:
        self.path, self.columns, self.dtypes, self.shard = Path(path), columns, dict(dtypes or {}), shard
        for name in columns:
            _check_column(self.path, name)
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"{self.path}: a file, where a folder of shards is to grow; give another path")
        self.path.mkdir(parents=True, exist_ok=True)
        there = Ragged(self.path)
        if len(there) and set(there.columns) != set(columns):
            raise InputError(f"{self.path}: has the columns {', '.join(there.columns)}, not {', '.join(columns)}")
        self._ids = set(there.ids)
        # Numbers keep a writer's shards in the order of its entries; its own mark keeps two writers' names apart.
        self._number, self._mark = len(_shards(self.path)), secrets.token_hex(4)
        self._entries: dict[str, dict[str, np.ndarray]] = {}
        self._bytes = 0

    def __contains__(self, name: object) -> bool:
        return name in self._ids

    def __enter__(self) -> RaggedWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, name: str, arrays: Mapping[str, np.ndarray]) -> None:
        """One id's arrays, one a column. They are copied only where the dtype changes: leave them as they are."""
        name = str(name)
        if name in self._ids:
            raise InputError(f"{self.path}: the id {name!r} is there already; ids must be unique")
        if set(arrays) != set(self.columns):
            raise InputError(f"{self.path}, {name!r}: has the columns {sorted(arrays)}, not {sorted(self.columns)}")
        entry = {
            column: narrowed(arrays[column], self.dtypes.get(column), f"{self.path}, {name!r}: {column}")
            for column in self.columns
        }
        for column, array in entry.items():
            first = next(iter(self._entries.values()), entry)[column]
            if not array.ndim or (array.dtype, array.ndim) != (first.dtype, first.ndim):
                raise InputError(
                    f"{self.path}, {name!r}: {column} is {array.dtype} with {array.ndim} axes, the entries before are "
                    f"{first.dtype} with {first.ndim}; a column needs one dtype and one number of axes"
                )
        self._ids.add(name)
        self._entries[name] = entry
        self._bytes += sum(array.nbytes for array in entry.values())
        if self._bytes >= self.shard:
            self.flush()

    def flush(self) -> None:
        """Write what is held in memory as a shard. Where that fails it is forgotten, so that no id comes twice."""
        entries, self._entries, self._bytes = self._entries, {}, 0
        if entries:
            columns = {c: [entry[c] for entry in entries.values()] for c in self.columns}
            write_ragged(self.path / f"{self._number:06d}-{self._mark}{_SUFFIX}", list(entries), columns)
            self._number += 1

    def close(self) -> None:
        """Write the last shard."""
        self.flush()


def narrowed(array: np.ndarray, dtype: type | None, what: str) -> np.ndarray:
    """An array in the dtype that it is stored in, None: its own. Raises InputError where a number became infinite."""
    array = np.asarray(array)
    if dtype is None or array.dtype == dtype:
        return array
    with np.errstate(over="ignore"):
        stored: np.ndarray = array.astype(dtype)
    if stored.dtype.kind == "f" and np.isinf(stored).any() and np.isfinite(array[np.isinf(stored)]).any():
        raise InputError(f"{what} is too large for {stored.dtype}; store it as it is (detector.store: float32)")
    return stored


def shard_of(folder: Path, first: int) -> Path:
    """The shard that begins with the data set's image number `first`, for writers that do not look at each other's.

    As long as an image is written where it is missing, and nowhere else, no two of them give a name twice.
    """
    return folder / f"{first:09d}{_SUFFIX}"


def _shards(folder: Path) -> list[Path]:
    """The whole shards of a folder in order: one that is being written, or was when its process died, is hidden."""
    return sorted(p for p in folder.glob(f"*{_SUFFIX}") if not p.name.startswith("."))


class Ragged:
    """A store, read by position: `store[id]` -> {column: array}, `id in store`, `len`, iteration.

    Shards come in the order of their names: one writer's entries in the order that they were appended.

    Args:
        path: A file of `write_ragged` or a folder of `RaggedWriter`; of a folder it sees the shards there are now.

    Raises:
        InputError: It is missing, truncated or of another kind, or an id or other columns are in two shards; names
            the file.
        KeyError: An id that it has not.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        shards = _shards(self.path) if self.path.is_dir() else [self.path]
        self._files = [_Shard(p) for p in shards]
        self.columns: tuple[str, ...] = self._files[0].columns if self._files else ()
        self._rows: dict[str, tuple[int, int]] = {}
        for number, shard in enumerate(self._files):
            if set(shard.columns) != set(self.columns):
                raise InputError(f"{shard.path}: has the columns {shard.columns}, others here {self.columns}")
            before = len(self._rows)
            self._rows.update({name: (number, row) for row, name in enumerate(shard.ids)})
            if len(self._rows) < before + len(shard.ids):
                raise InputError(f"{shard.path}: an id is in another shard too; delete one of them")
        self.ids: tuple[str, ...] = tuple(self._rows)

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> dict[str, np.ndarray]:
        shard, row = self._find(name)
        return {column: shard.read(column, row) for column in self.columns}

    def column(self, name: str, column: str) -> np.ndarray:
        """One column of one id; the others are not read."""
        shard, row = self._find(name)
        return shard.read(column, row)

    def lengths(self, column: str) -> np.ndarray:
        """How many rows each id's array has, in the order of `ids`: [N] int64. No array is read."""
        return np.concatenate([np.zeros(0, np.int64), *(shard.lengths(column) for shard in self._files)])

    def _find(self, name: str) -> tuple[_Shard, int]:
        if name not in self._rows:
            raise KeyError(f"{name!r} is not in {self.path}")
        number, row = self._rows[name]
        return self._files[number], row

    def __reduce__(self) -> tuple[type[Ragged], tuple[Path]]:
        return Ragged, (self.path,)  # an open file cannot travel to a worker; its path can


class _Shard:
    """One file of `write_ragged`: its ids and offsets in memory, its arrays on the disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            # torch's tensors are views of the mapped file, of which no descriptor stays open; NumPy's would be copies.
            file: Any = safe_open(path, "pt")
            names = list(file.keys())
            self.ids: tuple[str, ...] = tuple(json.loads((file.metadata() or {})["ids"]))
            self.columns: tuple[str, ...] = tuple(name for name in names if "." not in name)
            self._arrays: dict[str, np.ndarray] = {name: file.get_tensor(name).numpy() for name in self.columns}
            self._offsets = {name: file.get_tensor(f"{name}.offsets").tolist() for name in self.columns}
            shaped = [name for name in self.columns if f"{name}.shapes" in names]
            self._shapes = {name: file.get_tensor(f"{name}.shapes").tolist() for name in shaped}
            for name in self.columns:
                self._check(name)
        except FileNotFoundError as error:
            raise InputError(f"{path}: not there; run the stage that writes it") from error
        except OSError as error:
            raise InputError(f"{path}: cannot be opened ({error}); delete it and run again") from error
        except (SafetensorError, KeyError, ValueError, TypeError, RecursionError) as error:
            raise InputError(f"{path}: truncated or not such a file ({error!r}); delete it and run again") from error

    def _check(self, column: str) -> None:
        """Raises ValueError where a column's offsets or shapes do not cut its array into one for each id."""
        array, offsets = self._arrays[column], np.asarray(self._offsets[column])
        whole = offsets.shape == (len(self.ids) + 1,) and offsets.dtype.kind in "iu" and array.ndim > 0
        if not whole or offsets[0] != 0 or offsets[-1] != len(array) or (np.diff(offsets) < 0).any():
            raise ValueError(f"the offsets of {column} do not fit its array")
        shapes = np.asarray(self._shapes.get(column, np.diff(offsets)[:, None]))
        if shapes.ndim != 2 or (shapes < 0).any() or (shapes.prod(1) != np.diff(offsets)).any():
            raise ValueError(f"the shapes of {column} do not fit its array")

    def read(self, column: str, row: int) -> np.ndarray:
        """One id's array, in memory of its own."""
        first, last = self._offsets[column][row : row + 2]
        array = self._arrays[column][first:last].copy()
        return array.reshape(self._shapes[column][row]) if column in self._shapes else array

    def lengths(self, column: str) -> np.ndarray:
        """How many rows each id's array has."""
        if column in self._shapes:
            return np.array([shape[0] for shape in self._shapes[column]], np.int64)
        return np.diff(np.array(self._offsets[column], np.int64))
