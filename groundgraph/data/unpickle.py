"""NumPy's files and pickles of plain values from elsewhere, read without running anything that they say.

A pickle names functions to call; here none of them is called. Stand-ins of ours take the place of the few names that
arrays and plain containers need, and anything else is refused. Not even NumPy's own `__setstate__` sees an unchecked
state: a forged dtype there would turn bytes into pointers.
"""

from __future__ import annotations

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from groundgraph.errors import InputError

MEMBER_LIMIT = 2**30  # bytes that one array of an npz may unpack to; an image's regions are some hundred KB


def read_pickle(path: str | Path) -> Any:
    """What a pickle holds: plain values, containers and NumPy arrays (Python 2's included: its text is read as latin1).

    Raises InputError, naming the file, where it is missing, damaged, or asks for anything else.
    """
    return _read(path, lambda file: _Unpickler(file, encoding="latin1").load())


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an npy file, object arrays of plain values included. Raises as `read_pickle`."""
    return _read(path, lambda file: _array(file, Path(path).stat().st_size))


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """Name -> array of an npz file, object arrays of plain values included.

    Raises InputError as `read_pickle`, and where an array would unpack to more than `MEMBER_LIMIT` bytes.
    """
    return _read(path, _members)


def _read(path: str | Path, reader: Callable[[BinaryIO], Any]) -> Any:
    try:
        with open(path, "rb") as file:
            return reader(file)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except _Refused as error:
        raise InputError(f"{path}: asks for {error}, which plain data do not need; it was not loaded") from error
    except Exception as error:  # a damaged stream fails in any way: EOFError, IndexError, MemoryError, ...
        raise InputError(f"{path}: damaged, or no such file of plain arrays ({error}); fetch it again") from error


def _members(file: BinaryIO) -> dict[str, np.ndarray]:
    arrays = {}
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.file_size > MEMBER_LIMIT:
                raise InputError(f"{info.filename} unpacks to {info.file_size:,} bytes; the limit is {MEMBER_LIMIT:,}")
            with archive.open(info) as member:
                arrays[info.filename.removesuffix(".npy")] = _array(member, info.file_size)
    return arrays


def _array(file: BinaryIO, size: int) -> np.ndarray:
    """One array in npy's format, of `size` bytes with its header."""
    data = io.BytesIO(file.read(size))  # a claim of more than there is fails below, before anything is allocated
    version = np.lib.format.read_magic(data)
    headers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in headers:
        raise InputError(f"npy format {version} is for names of fields, which no array here has")
    shape, fortran, dtype = headers[version](data)
    if dtype.hasobject:
        return np.asarray(_Unpickler(data, encoding="latin1").load())
    values = data.read()
    if len(values) != dtype.itemsize * math.prod(shape):
        raise InputError(f"holds {len(values)} bytes, but its header says {shape} of {dtype}")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C").copy()


class _Refused(Exception):
    """A name that plain data do not need."""


class _Dtype:
    """Stands for a dtype until the array that has it is checked: numbers, texts, or objects (a list of them)."""

    def __init__(self, spec: Any, *_: Any) -> None:
        self.dtype = np.dtype(spec) if isinstance(spec, str) else None
        if self.dtype is None or self.dtype.kind not in "biufcSUO":
            raise _Refused(f"an array of {spec!r}")

    def __setstate__(self, state: Any) -> None:
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "="
        if order in (">", "<") and self.dtype.kind != "O":
            self.dtype = self.dtype.newbyteorder(order)


class _Array(np.ndarray):
    """An array that takes its state only once shape, dtype and data are known to fit."""

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, data = state
        dtype = kind.dtype
        if dtype.kind == "O":
            values = np.empty(len(data), object)
            values[:] = data
        else:
            raw = data.encode("latin1") if isinstance(data, str) else bytes(data)
            values = np.frombuffer(raw, dtype)
        order = "F" if fortran else "C"
        super().__setstate__(values.reshape(shape, order=order).copy(order).__reduce__()[2])

    def __reduce__(self):
        return np.asarray(self).__reduce__()  # once it is pickled again, an ordinary array


def _reconstruct(*_: Any) -> _Array:
    return np.empty(0, np.int8).view(_Array)


def _from_buffer(data: Any, kind: _Dtype, shape: Any, order: str) -> np.ndarray:
    if kind.dtype.kind == "O":
        raise _Refused("an array of objects in a buffer")
    return np.frombuffer(bytes(data), kind.dtype).reshape(shape, order=order).copy()


def _scalar(kind: _Dtype, data: Any) -> Any:
    if kind.dtype.kind == "O":
        raise _Refused("a scalar object")
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else bytes(data), kind.dtype)[0]


def _latin1(text: str, *_: Any) -> bytes:
    return text.encode("latin1")  # how Python 3 writes bytes in the older protocols


def _empty(*_: Any) -> dict:
    return {}  # an ordered or defaulting dict; its items follow


_NAMES: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _latin1,
    ("collections", "OrderedDict"): _empty,
    ("collections", "defaultdict"): _empty,
    **{("numpy.core.multiarray", name): f for name, f in (("_reconstruct", _reconstruct), ("scalar", _scalar))},
    **{("numpy._core.multiarray", name): f for name, f in (("_reconstruct", _reconstruct), ("scalar", _scalar))},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
    **{("builtins", t.__name__): t for t in (list, set, frozenset, dict, int, float, complex)},
    **{("__builtin__", name): t for name, t in (("list", list), ("set", set), ("long", int), ("unicode", str))},
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _NAMES:
            raise _Refused(f"{module}.{name}")
        return _NAMES[module, name]

    def persistent_load(self, pid: Any) -> Any:
        raise _Refused("an object outside the file")
