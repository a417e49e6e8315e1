"""Arrays of uneven length on disk: one safetensors file a set, read an image at a time without loading the rest."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from groundgraph.data.types import Regions

_FIELDS = ("boxes", "labels", "scores", "features")


def write_ragged(path: str | Path, ids: Sequence[str], columns: Mapping[str, Sequence[np.ndarray]]) -> None:
    """Writes, for every id, one array a column; atomically.

    The file holds a column's arrays end to end, `NAME`; where each starts, `NAME.offsets` [N + 1]; the ids as JSON in
    the metadata. Arrays of a column share a dtype and their number of axes. Where they share all sizes but the first,
    NAME is [total, ...]; else it is flat and `NAME.shapes` [N, axes] tells them apart.
    Raises ValueError for repeated ids, a column of another length, or arrays that differ in dtype or axes.
    """
    ids = [str(name) for name in ids]
    if len(set(ids)) != len(ids):
        raise ValueError(f"{path}: an id occurs twice, for example {_repeated(ids)!r}; ids must be unique")
    tensors: dict[str, np.ndarray] = {}
    for name, arrays in columns.items():
        if "." in name:
            raise ValueError(f"{path}: the column name {name!r} must not contain a dot")
        if len(arrays) != len(ids):
            raise ValueError(f"{path}: column {name!r} has {len(arrays)} arrays for {len(ids)} ids")
        tensors.update(_flat(path, name, [np.asarray(a) for a in arrays]))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata={"ids": json.dumps(ids), "columns": json.dumps(list(columns))})
        temporary.chmod(0o644)  # safetensors writes files only their owner can read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _repeated(ids: list[str]) -> str:
    seen: set[str] = set()
    return next(name for name in ids if name in seen or seen.add(name))


def _flat(path: str | Path, name: str, arrays: list[np.ndarray]) -> dict[str, np.ndarray]:
    kinds = {(a.dtype, a.ndim) for a in arrays}
    if len(kinds) > 1 or any(a.ndim == 0 for a in arrays):
        found = ", ".join(sorted(f"{dtype} with {axes} axes" for dtype, axes in kinds))
        raise ValueError(f"{path}: the arrays of column {name!r} need one dtype and one number of axes, not {found}")
    even = len({a.shape[1:] for a in arrays}) <= 1
    rows = arrays if even else [a.reshape(-1) for a in arrays]
    lengths = [len(row) for row in rows]
    whole = np.ascontiguousarray(np.concatenate(rows)) if rows else np.zeros(0, np.float32)
    out = {name: whole, f"{name}.offsets": np.cumsum([0, *lengths], dtype=np.int64)}
    if not even:
        out[f"{name}.shapes"] = np.array([a.shape for a in arrays], np.int64)
    return out


class Ragged:
    """A file of `write_ragged`, memory-mapped: `store[id]` -> {column: array}, `id in store`, `len`, iteration.

    Raises ValueError naming the file where it is missing, truncated or of another kind; KeyError for an unknown id.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._file = safe_open(self.path, framework="np")
            notes = self._file.metadata() or {}
            self.ids: tuple[str, ...] = tuple(json.loads(notes["ids"]))
            self.columns: tuple[str, ...] = tuple(json.loads(notes["columns"]))
            self._offsets = {name: self._file.get_tensor(f"{name}.offsets") for name in self.columns}
            shaped = {f"{name}.shapes" for name in self.columns} & set(self._file.keys())
            self._shapes = {name.removesuffix(".shapes"): self._file.get_tensor(name) for name in shaped}
        except FileNotFoundError as error:
            raise ValueError(f"{self.path}: not there; run the stage that writes it") from error
        except (SafetensorError, OSError, KeyError, ValueError) as error:
            raise ValueError(f"{self.path}: truncated or not such a file ({error}); delete it and run again") from error
        self._slices = {name: self._file.get_slice(name) for name in self.columns}
        self._rows = {name: row for row, name in enumerate(self.ids)}

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[str]:
        return iter(self.ids)

    def __contains__(self, name: object) -> bool:
        return name in self._rows

    def __getitem__(self, name: str) -> dict[str, np.ndarray]:
        if name not in self._rows:
            raise KeyError(f"{name!r} is not in {self.path}")
        row = self._rows[name]
        return {column: self._read(column, row) for column in self.columns}

    def _read(self, column: str, row: int) -> np.ndarray:
        start, end = (int(x) for x in self._offsets[column][row : row + 2])
        part = self._slices[column]
        if start == end:  # the reader takes no empty slice
            array = np.zeros((0, *part.get_shape()[1:]), _DTYPES[part.get_dtype()])
        else:
            array = part[start:end]
        return array.reshape(self._shapes[column][row]) if column in self._shapes else array

    def __reduce__(self):
        return Ragged, (self.path,)  # a mapped file cannot travel to a worker; its path can


_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


def write_regions(path: str | Path, ids: Sequence[str], regions: Sequence[Regions]) -> None:
    """Writes one `Regions` an id (columns boxes, labels, scores, features, size). Raises as `write_ragged`."""
    columns = {name: [getattr(r, name) for r in regions] for name in _FIELDS}
    write_ragged(path, ids, columns | {"size": [np.array(r.size, np.int64) for r in regions]})


def read_regions(path: str | Path) -> list[Regions]:
    """All regions of a file, in its order. Raises ValueError where it is no such file."""
    store = Ragged(path)
    missing = {*_FIELDS, "size"} - set(store.columns)
    if missing:
        raise ValueError(f"{path}: holds no regions (without {', '.join(sorted(missing))}); run the stage regions")
    return [regions_of(store, name) for name in store]


def regions_of(store: Ragged, name: str) -> Regions:
    """The regions of one id."""
    row = store[name]
    width, height = row["size"].tolist()
    return Regions(*(row[field] for field in _FIELDS), size=(width, height))
