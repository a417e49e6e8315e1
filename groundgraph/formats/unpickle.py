"""NumPy's files and pickles of plain values from elsewhere, read without running anything that they say.

Names in a pickle are tokens of `pickle_machine`; the functions here make arrays of them once type, shape and bytes are
known to fit each other. The headers of npy and npz files are held to the same, before anything is allocated.
"""

from __future__ import annotations

import ast
import lzma
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from groundgraph.data.fetched import START, not_fetched
from groundgraph.data.text import plain
from groundgraph.errors import InputError
from groundgraph.formats.pickle_machine import Machine
from groundgraph.formats.untrusted import Built, Damaged, Name, Refused, memory_of

EMPTY_AXIS = 2**16  # the longest axis of an array without an element, which no bytes vouch for
_MAGIC = b"\x93NUMPY"
_LONGEST_HEADER = 10_000
_DTYPE = re.compile(r"[<>|=]?(\?|b1|[iu][1248]|f[248]|c8|c16|[SU]\d{1,6}|O[48]?)")
# What damaged bytes raise in the parsers below: they are the file's fault, whatever they are called.
FAILS = (
    *(ValueError, LookupError, TypeError, EOFError, OverflowError, MemoryError, RecursionError, SyntaxError),
    *(RuntimeError, NotImplementedError, OSError, struct.error, zlib.error, lzma.LZMAError, zipfile.BadZipFile),
)


def read_pickle(path: str | Path) -> Any:
    """What a pickle holds: plain values, containers and NumPy arrays (Python 2's included: its text is read as latin1).

    Raises:
        InputError: It is missing, damaged, or asks for anything else; names the file.
    """
    return read_file(path, "a pickle of plain data", _pickle)


def read_npy(path: str | Path) -> np.ndarray:
    """The array of an npy file, object arrays of plain values included. Raises as `read_pickle`."""
    return read_file(path, "an npy file", lambda file, size: _array(file, size, memory_of(size), objects=True))


def read_npz(path: str | Path, names: Container[str]) -> dict[str, np.ndarray]:
    """Name -> array of an npz file, of those of the given names that it has; the others are not unpacked.

    Raises:
        InputError: As `read_pickle`, or the arrays would unpack to more than `memory_of` the file's bytes.
    """
    return read_file(path, "an npz file of plain arrays", lambda file, size: _members(file, size, names))


def read_file(path: str | Path, kind: str, reader: Callable[[BinaryIO, int], Any]) -> Any:
    """What `reader` makes of a file and its bytes; `kind` says what it should be, for messages.

    Raises:
        InputError: It is missing, asks for what plain data do not need, or is damaged; names the file.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise InputError(f"{path}: a folder or a device, not {kind}")
        with path.open("rb") as file:
            if what := not_fetched(file.read(START)):
                raise InputError(f"{path}: {what}")
            file.seek(0)
            return reader(file, path.stat().st_size)
    except FileNotFoundError as error:
        raise InputError(f"{path.absolute()}: no such file; give {kind}") from error
    except PermissionError as error:
        raise InputError(f"{path}: cannot be opened ({error.strerror})") from error
    except Refused as error:
        why = plain(str(error))[:200]
        raise InputError(f"{path}: asks for {why}, which plain data do not need; it was not loaded") from error
    except InputError:
        raise
    except FAILS as error:
        why = plain(str(error))[:200] or type(error).__name__
        raise InputError(f"{path}: damaged, or not {kind} ({why}); fetch or write it again") from error


def _pickle(file: BinaryIO, size: int) -> Any:
    if file.read(len(_MAGIC)) == _MAGIC:
        raise Damaged("it is an npy file")
    file.seek(0)
    return Machine(file, size, NUMPY).load()


def _members(file: BinaryIO, size: int, names: Container[str]) -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {}
    left = memory_of(size)
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            name = info.filename.removesuffix(".npy")
            if name not in names:
                continue
            if name in arrays:
                raise Damaged(f"{name} is there twice")
            if info.flag_bits & 1:
                raise Damaged(f"{name} is encrypted")
            if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Damaged(f"{name} is compressed in a way that NumPy does not know")
            left -= info.file_size
            if left < 0:
                raise Damaged(f"with {name} it unpacks to more than {memory_of(size):,} bytes")
            with archive.open(info) as member:
                arrays[name] = _array(member, info.file_size, info.file_size, objects=False)
    return arrays


def _array(file: BinaryIO, size: int, most: int, objects: bool) -> np.ndarray:
    """One array in npy's format, of `size` bytes with its header, at most `most` of them in memory."""
    if file.read(len(_MAGIC)) != _MAGIC:
        raise Damaged("it does not begin as npy files do")
    version = tuple(file.read(2))
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise Damaged(f"no npy format {version}")
    form = "<H" if version == (1, 0) else "<I"
    (length,) = struct.unpack(form, file.read(struct.calcsize(form)))
    if length > _LONGEST_HEADER:
        raise Damaged(f"a header of {length:,} bytes")
    text = file.read(length).decode("utf-8" if version == (3, 0) else "latin1")
    header = ast.literal_eval(re.sub(r"(\d)L\b", r"\1", text).strip())  # Python 2 wrote (3L, 4L)
    if not isinstance(header, dict) or not {"descr", "fortran_order", "shape"} <= header.keys():
        raise Damaged("its header is no header")
    dtype, shape, left = _dtype_of(header["descr"]), header["shape"], size - len(_MAGIC) - 2 - len(form) - length
    if dtype.kind == "O":
        if not objects:
            raise Damaged("it holds pickled objects")
        return np.asarray(Machine(file, size, NUMPY).load())
    count = count_of(shape, size)
    if count * dtype.itemsize > min(size, most):
        raise Damaged(f"its header says {shape} of {dtype}, and it has {left:,} bytes")
    data = file.read(count * dtype.itemsize)
    if file.read(1):
        raise Damaged(f"holds more bytes than its header says, {shape} of {dtype}")
    return _filled(data, dtype, shape, "F" if header["fortran_order"] else "C")


def _dtype_of(spec: Any) -> np.dtype:
    """The dtype of a text that means numbers, texts of a length, or objects; nothing else has a way through."""
    if not isinstance(spec, str) or not _DTYPE.fullmatch(spec):
        raise Refused(f"an array of {str(spec)[:40] if isinstance(spec, str) else type(spec).__name__}")
    return np.dtype("O" if "O" in spec else spec)


def count_of(shape: Any, most: int) -> int:
    """The number of elements of a shape, whose axes are at most `most`. Raises Damaged where it is no such shape."""
    if type(shape) is not tuple or len(shape) > 32 or not all(type(n) is int and 0 <= n < 2**60 for n in shape):
        raise Damaged("a shape that is none")
    count = math.prod(shape)
    if any(n > max(most, EMPTY_AXIS) for n in shape) or (not count and any(n > EMPTY_AXIS for n in shape)):
        raise Damaged(f"the shape {shape}")
    return count


def _filled(data: bytes, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    """An array of its own of these bytes, which must be as many as shape and dtype need."""
    if len(data) != count_of(shape, len(data)) * dtype.itemsize or order not in ("C", "F"):
        raise Damaged(f"{len(data):,} bytes for {shape} of {dtype}")
    if not dtype.itemsize:
        raise Damaged("elements of no bytes")
    if dtype.kind == "b":
        values = np.frombuffer(data, np.uint8) != 0  # any other byte would be neither true nor false
    else:
        values = np.frombuffer(data, dtype)
    if dtype.kind == "U" and (values.view(f"{dtype.str[0]}u4") > 0x10FFFF).any():
        raise Damaged("a text of no characters")
    return values.reshape(shape, order=order).copy()


class _Dtype(Built):
    def __init__(self, spec: Any) -> None:
        self.dtype = _dtype_of(spec)

    def build(self, machine: Machine, state: Any) -> None:
        order = state[1] if type(state) is tuple and len(state) > 1 else "="
        if order in (">", "<") and self.dtype.kind != "O":
            self.dtype = self.dtype.newbyteorder(order)

    def value(self, plain: Callable[[Any], Any]) -> Any:
        raise Refused("a type without an array")


class _Array(Built):
    """An array, which is there once its state is known to fit."""

    def __init__(self) -> None:
        self.array: np.ndarray | None = None
        self.objects: list[Any] = []
        self.shape: tuple[int, ...] = ()

    def build(self, machine: Machine, state: Any) -> None:
        if type(state) is not tuple or len(state) != 5 or self.array is not None:
            raise Damaged("an array's state that is none")
        _, shape, kind, fortran, data = state
        if type(kind) is not _Dtype:
            raise Damaged("an array without a type")
        if kind.dtype.kind != "O":
            self.array = _from_bytes(machine, data, kind, shape, "F" if fortran else "C")
        elif type(data) is list and count_of(shape, len(data)) == len(data):
            machine.take(8 * len(data))
            self.objects, self.array = data, np.empty(shape, object)

    def value(self, plain: Callable[[Any], Any]) -> Any:
        if self.array is None:
            raise Damaged("an array without values")
        if self.array.dtype.kind != "O":
            return self.array, self.array.nbytes
        objects = np.empty(self.array.size, object)
        for place, part in enumerate(self.objects[: objects.size]):  # one by one: NumPy would look into lists
            objects[place] = plain(part)
        return objects.reshape(self.array.shape), objects.nbytes  # NumPy lists objects in C's order, also Fortran's


def _from_bytes(machine: Machine, data: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    if type(data) is str:
        machine.take(len(data))
        data = data.encode("latin1")
    if type(kind) is not _Dtype or kind.dtype.kind == "O" or type(data) is not bytes:
        raise Refused("an array of something else than bytes")
    machine.take(2 * len(data))
    return _filled(data, kind.dtype, shape, order)


def _reconstruct(machine: Machine, kind: Any, *_: Any) -> _Array:
    if type(kind) is not Name or kind.text != "numpy.ndarray":
        raise Refused("an array of another kind")
    return _Array()


def _from_buffer(machine: Machine, data: Any, kind: Any, shape: Any, order: Any, axes: Any = None) -> _Array:
    array = _Array()
    array.array = _from_bytes(machine, data, kind, shape, "C" if order == "K" else order)
    if order == "K":
        if type(axes) is not tuple or not all(type(n) is int for n in axes):
            raise Damaged("axes that are none")
        array.array = array.array.transpose(axes)
    return array


def _scalar(machine: Machine, kind: Any, data: Any) -> Any:
    return _from_bytes(machine, data, kind, (), "C").item()


def _encode(machine: Machine, text: Any, encoding: Any = "latin1") -> bytes:
    """How Python 3 writes bytes in the older protocols."""
    if type(text) is not str or encoding not in ("latin1", "latin-1"):
        raise Refused("a text in another encoding")
    machine.take(len(text))
    return text.encode("latin1")


def _mapping(machine: Machine, content: Any = (), *_: Any) -> dict[Any, Any]:
    """An ordered or defaulting dict; its items follow, or are Python 2's list of pairs."""
    pairs = [] if type(content) is Name else list(content)
    machine.take(100 * (1 + len(pairs)))
    return {machine.key(key): value for key, value in pairs}


def _sequence(kind: Callable[..., Any]) -> Callable[..., Any]:
    def made(machine: Machine, items: Any = ()) -> Any:
        if type(items) not in (list, tuple):
            raise Refused("a container of no list")
        return machine.elements(list(items), kind)

    return made


NUMPY: dict[str, Callable[..., Any] | None] = {
    "numpy.ndarray": None,
    "numpy.dtype": lambda machine, spec, *_: _Dtype(spec),
    "_codecs.encode": _encode,
    "builtins.bytes": lambda machine: b"",  # how the older protocols write none
    "builtins.set": _sequence(set),
    "builtins.frozenset": _sequence(frozenset),
    "builtins.complex": lambda machine, real, imaginary: complex(float(real), float(imaginary)),
    "collections.OrderedDict": _mapping,
    "collections.defaultdict": _mapping,
    **{f"builtins.{name}": None for name in ("list", "dict", "int", "float", "str", "tuple", "object")},  # factories
    **{f"numpy.{core}.multiarray._reconstruct": _reconstruct for core in ("core", "_core")},
    **{f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")},
    **{f"numpy.{core}.numeric._frombuffer": _from_buffer for core in ("core", "_core")},
}
