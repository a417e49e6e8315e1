"""One safetensors file at a time: written whole or not at all, read a stretch at a time.

The format's own library opens what is written here. It is not called, since it wants every array joined in memory
before it writes, and has no way to hand on what is found as a detector goes.
"""

from __future__ import annotations

import errno
import json
import math
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError

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
    the whole file or none. Raises InputError for a dtype that the format lacks.
    """
    # The largest items first: every array then begins where its dtype wants it.
    order = sorted(tensors, key=lambda name: -np.dtype(tensors[name][1]).itemsize)
    header: dict[str, Any] = {"__metadata__": dict(notes)}
    end = 0
    for name in order:
        shape, dtype, _ = tensors[name]
        if np.dtype(dtype) not in _NAMES:
            raise InputError(f"{path}: {name} is of dtype {dtype}; store one of {', '.join(map(str, _NAMES))}")
        begin, end = end, end + math.prod(shape) * np.dtype(dtype).itemsize
        header[name] = {"dtype": _NAMES[np.dtype(dtype)], "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name in order:
            for part in tensors[name][2]:
                # An array without an element has no bytes to give.
                if part.size:
                    file.write(memoryview(np.ascontiguousarray(part, tensors[name][1])).cast("B"))
        if file.tell() != 8 + len(text) + end:
            raise InputError(f"{path}: {file.tell() - 8 - len(text)} bytes were given for {end}")


class TensorFile(Mapping[str, np.ndarray]):
    """A safetensors file, mapped: name -> array that lies in the file, read-only; `notes` is its metadata.

    Of its content only the header is in this process's own memory. Pages that were read stay mapped, and count as
    resident, for as long as the system has nothing better to do with them; reading by position instead (pread) keeps
    them out of the count and takes half as long again.
    Raises InputError where it is missing, cut short, or no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                # mmap raises ValueError for a file of no bytes.
                data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            self.notes, self._arrays = _parsed(data)
        except FileNotFoundError as error:
            raise InputError(f"{path}: not there; run the stage that writes it") from error
        except OSError as error:
            hint = "raise the limit with: ulimit -n 65536" if error.errno == errno.EMFILE else "delete it and run again"
            raise InputError(f"{path}: cannot be opened ({error.strerror}); {hint}") from error
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"{path}: truncated or not such a file ({error}); delete it and run again") from error

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def _parsed(data: mmap.mmap) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    length = int.from_bytes(data[:8], "little")
    if not 0 < length <= min(_LONGEST_HEADER, len(data) - 8):
        raise InputError("its header is not whole")
    header = json.loads(data[8 : 8 + length])
    notes = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        dtype, shape, (begin, end) = np.dtype(_DTYPES[entry["dtype"]]), entry["shape"], entry["data_offsets"]
        if begin < 0 or end - begin != math.prod(shape) * dtype.itemsize:
            raise InputError(f"{name} has {end - begin} bytes, and the shape {shape}")
        if 8 + length + end > len(data):
            raise InputError(f"it ends before {name} does")
        arrays[name] = np.frombuffer(data, dtype, math.prod(shape), 8 + length + begin).reshape(shape)
    return notes, arrays
