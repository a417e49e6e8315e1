"""One safetensors file at a time: written whole or not at all, read a stretch at a time by position.

The format's own library opens what is written here. Two things it does not do are why it is not called: it wants every
array joined in memory before it writes, and it maps a file to read it, so that pages stay counted as this process's
memory and a file cut short under it ends the process instead of raising.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

_DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_LONGEST_HEADER = 100_000_000  # bytes; the format's own limit


def write_tensors(
    path: Path, tensors: Mapping[str, tuple[Sequence[int], np.dtype, Iterable[np.ndarray]]], notes: Mapping[str, str]
) -> None:
    """Write NAME: (shape, dtype, the parts that make it up, in order) and the notes; the file appears when it is whole.

    It is on the disk, not only in the system's memory, before it gets its name: a machine that loses its power leaves
    the whole file or none. Raises ValueError for a dtype that the format lacks.
    """
    # The largest items first: every array then begins where its dtype wants it.
    order = sorted(tensors, key=lambda name: -np.dtype(tensors[name][1]).itemsize)
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    end = 0
    for name in order:
        shape, dtype, _ = tensors[name]
        if np.dtype(dtype) not in _NAMES:
            raise ValueError(f"{path}: {name} is of dtype {dtype}; store one of {', '.join(map(str, _NAMES))}")
        begin, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _NAMES[np.dtype(dtype)], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(len(text).to_bytes(8, "little") + text)
            for name in order:
                for part in tensors[name][2]:
                    # An array without an element has no bytes to give.
                    if part.size:
                        file.write(memoryview(np.ascontiguousarray(part, tensors[name][1])).cast("B"))
            if file.tell() != 8 + len(text) + end:
                raise ValueError(f"{path}: {file.tell() - 8 - len(text)} bytes were given for {end}")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class TensorFile:
    """A safetensors file, held open; of its content only the header is in memory.

    notes           its metadata, text by name
    dtypes, shapes  by tensor
    Raises ValueError where it is missing, cut short, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            self.notes, self.dtypes, self.shapes, self._begins = _header(self._handle)
        except FileNotFoundError as error:
            raise ValueError(f"{path}: not there; run the stage that writes it") from error
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path}: truncated or not such a file ({error}); delete it and run again") from error

    def __del__(self) -> None:
        if hasattr(self, "_handle"):
            os.close(self._handle)

    def rows(self, name: str, start: int, end: int) -> np.ndarray:
        """Rows [start, end) of a tensor, read into a new array. Raises ValueError where the file lost its end."""
        shape = self.shapes[name]
        array = np.empty((end - start, *shape[1:]), self.dtypes[name])
        if not array.size:
            return array
        place, view = self._begins[name] + start * (array.nbytes // (end - start)), memoryview(array).cast("B")
        while view:  # one call reads at most 2 GiB, and a signal may make it read less
            count = os.preadv(self._handle, [view], place)
            if not count:
                raise ValueError(f"{self.path}: cut short since it was opened; delete it and run again")
            place, view = place + count, view[count:]
        return array

    def whole(self, name: str) -> np.ndarray:
        """All of a tensor."""
        return self.rows(name, 0, self.shapes[name][0])


def _header(handle: int) -> tuple[dict[str, str], dict[str, np.dtype], dict[str, tuple[int, ...]], dict[str, int]]:
    """Metadata, dtypes, shapes, and where in the file each tensor begins."""
    size = os.fstat(handle).st_size
    length = int.from_bytes(os.pread(handle, 8, 0), "little")
    if not 0 < length <= min(_LONGEST_HEADER, size - 8):
        raise ValueError("its header is not whole")
    header = json.loads(os.pread(handle, length, 8))
    notes = header.pop("__metadata__", {})
    dtypes = {name: np.dtype(_DTYPES[entry["dtype"]]) for name, entry in header.items()}
    shapes = {name: tuple(int(n) for n in entry["shape"]) for name, entry in header.items()}
    begins = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        wanted = math.prod(shapes[name]) * dtypes[name].itemsize
        if not shapes[name] or min(shapes[name]) < 0 or begin < 0 or end - begin != wanted:
            raise ValueError(f"{name} has {end - begin} bytes where {wanted} belong")
        if 8 + length + end > size:
            raise ValueError(f"it ends before {name} does")
        begins[name] = 8 + length + begin
    return notes, dtypes, shapes, begins
