"""Files that torch.save wrote, read without torch.load: nothing that they name is looked up or called.

torch.load with weights_only=True still calls what it lets in, such as bytearray(10**10) and sparse tensors' makers.
Here tensors are views of the mapped file, once type, sizes, strides and place are known to lie within their record.
"""

from __future__ import annotations

import mmap
import re
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch

from groundgraph.errors import InputError
from groundgraph.formats.pickle_machine import Machine
from groundgraph.formats.unpickle import NUMPY, count_of, read_file
from groundgraph.formats.untrusted import Built, Damaged, Name, Refused

_LEGACY = 0x1950A86A20F9469CFC6C  # what torch's older form, pickles with the storages' bytes behind, begins with
_RECORD = 30  # bytes of a zip record's own header, before its name
_BOXLIST = re.compile(r"(\w+\.)+structures\.bounding_box\.BoxList")
_STORAGES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "Untyped": torch.uint8,
}


@dataclass(frozen=True)
class OtherTensor:
    """Stands for a tensor that is no plain one (sparse, quantised, nested); `kind` says which maker it asked for."""

    kind: str


class BoxList(Built):
    """Stands for Scene-Graph-Benchmark's class, under whatever package's name: what was stored of it, unchecked.

    Its fields are None where the file has none.
    """

    bbox: Any = None
    size: Any = None
    mode: Any = None
    extra_fields: Any = None

    def build(self, machine: Machine, state: Any) -> None:
        """See `Built.build`."""
        if type(state) is not dict:
            raise Damaged("a BoxList's state that is none")
        for name in ("bbox", "size", "mode", "extra_fields"):
            setattr(self, name, state.get(name))

    def value(self, plain: Callable[[Any], Any]) -> tuple[Any, int]:
        """See `Built.value`."""
        boxes = BoxList()
        for name, part in vars(self).items():
            setattr(boxes, name, plain(part))
        return boxes, 0


def read_torch(path: str | Path) -> Any:
    """What a file of torch.save holds: tensors on the CPU, plain values and containers, and `BoxList`s.

    Tensors of a file in torch's zip form are mapped: only what is used is read. A tensor of another kind than plain
    ones is an `OtherTensor`.

    Raises:
        InputError: It is missing, damaged, or holds anything else; names the file.
    """
    return read_file(path, "a file that torch.save wrote", _read)


def tensors_of(path: str | Path, inside: str = "model") -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint by name, bare or under the key `inside`; what else it holds is left out.

    Raises:
        InputError: As `read_torch`, or it holds no mapping.
    """
    content = read_torch(path)
    if isinstance(content, Mapping) and isinstance(content.get(inside), Mapping):
        content = content[inside]
    if not isinstance(content, Mapping):
        raise InputError(f"{path}: holds a {type(content).__name__}, not a model's weights by name")
    return {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _read(file: BinaryIO, size: int) -> Any:
    if not size:
        raise Damaged("it is empty")
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)  # torch wants memory that it may write to
    if zipfile.is_zipfile(file):
        return _zipped(file, whole, size)
    file.seek(0)
    machine = _TorchMachine(file, size, whole)
    if machine.load() != _LEGACY:
        raise Damaged("it does not begin as torch's files do")
    machine.load()  # the form's version
    if not machine.load()["little_endian"]:
        raise Damaged("of a machine with another order of bytes")
    content, keys = machine.run(), machine.load()
    for key in keys:
        (count,) = torch.frombuffer(bytearray(machine.read(8)), dtype=torch.int64).tolist()
        storage = machine.storages[key]
        if count != storage.count:
            raise Damaged(f"record {key} has another size than it should")
        storage.place = file.tell()
        file.seek(storage.place + storage.bytes)
        if file.tell() > size:
            raise Damaged("it ends before its tensors do")
    return machine.plain(content)


def _zipped(file: BinaryIO, whole: mmap.mmap, size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        listing = archive.infolist()
        programs = [info for info in listing if info.filename.endswith("/data.pkl")]
        if len(programs) != 1:
            raise Damaged("it has no data.pkl")
        if programs[0].file_size > size:
            raise Damaged("its data.pkl is compressed")
        root = programs[0].filename.removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist() and archive.open(f"{root}byteorder").read(9) != b"little":
            raise Damaged("of a machine with another order of bytes")
        records = {info.filename.removeprefix(f"{root}data/"): info for info in listing}
        with archive.open(programs[0]) as program:
            machine = _TorchMachine(program, size, whole)  # what its tensors take is the whole file's to allow
            content = machine.run()
        for key, storage in machine.storages.items():
            record = records[key]
            if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
                raise Damaged(f"record {key} is compressed or encrypted")
            head = whole[record.header_offset : record.header_offset + _RECORD]
            names = int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
            storage.place = record.header_offset + _RECORD + names
            if storage.bytes > record.file_size or storage.place + storage.bytes > size:
                raise Damaged(f"record {key} has {record.file_size:,} bytes for {storage.bytes:,}")
    return machine.plain(content)


@dataclass
class _Storage:
    """A record of numbers; `place` is its first byte in the file, once that is known."""

    dtype: torch.dtype
    count: int
    place: int = -1
    numbers: torch.Tensor | None = None

    @property
    def bytes(self) -> int:
        return self.count * self.dtype.itemsize


@dataclass
class _Tensor(Built):
    machine: _TorchMachine
    storage: Any
    offset: Any
    sizes: Any
    strides: Any

    def build(self, machine: Machine, state: Any) -> None:
        raise Refused("a tensor's attributes")

    def value(self, plain: Callable[[Any], Any]) -> tuple[torch.Tensor, int]:
        storage, sizes, strides = self.storage, self.sizes, self.strides
        if type(storage) is not _Storage:
            raise Damaged("a tensor without a storage")
        numbers = [self.offset, *(strides if type(strides) is tuple else ()), *(sizes if type(sizes) is tuple else ())]
        if not all(type(n) is int and 0 <= n < 2**60 for n in numbers) or type(sizes) is not type(strides):
            raise Damaged("a tensor's sizes that are none")
        count = count_of(sizes, storage.bytes)
        last = self.offset + sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
        if count and last >= storage.count:
            raise Damaged(f"a tensor of {sizes} reaches beyond the {storage.count:,} numbers of its record")
        if not count:
            return torch.empty(sizes, dtype=storage.dtype), 0
        flat = self.machine.numbers(storage)
        return flat.as_strided(sizes, strides, self.offset), count * storage.dtype.itemsize


class _TorchMachine(Machine):
    """Runs the pickle of a torch file; `storages` are those that it asked for, by their keys."""

    def __init__(self, file: BinaryIO, size: int, whole: mmap.mmap) -> None:
        super().__init__(file, size, _TORCH)
        self.storages: dict[str, _Storage] = {}
        self._whole = whole

    def name(self, module: str, name: str) -> Any:
        """See `Machine.name`; a BoxList may be any package's, and a dtype is a value."""
        if _BOXLIST.fullmatch(f"{module}.{name}"):
            return Name("BoxList", lambda machine: BoxList())
        if module == "torch" and name in _DTYPES and not name.endswith("Storage"):
            return _DTYPES[name]
        if module == "torch._utils" and name.startswith("_rebuild_") and f"{module}.{name}" not in self.names:
            return Name(name, lambda machine, *_: OtherTensor(name))
        return super().name(module, name)

    def persistent(self, key: Any) -> _Storage:
        """The storage that ("storage", its type, its key, its device, its number of elements) means."""
        if type(key) is not tuple or len(key) < 5 or key[0] != "storage" or (len(key) > 5 and key[5] is not None):
            raise Refused("something outside the file that is no tensor")
        _, kind, name, _, count = key[:5]
        dtype = _DTYPES.get(kind.text.rpartition(".")[2]) if type(kind) is Name else None
        if dtype is None or type(name) is not str or type(count) is not int or not 0 <= count < 2**60:
            raise Damaged("a tensor's record that is none")
        storage = self.storages.setdefault(name, _Storage(dtype, count))
        if (storage.dtype, storage.count) != (dtype, count):
            raise Damaged(f"record {name} is of two types")
        return storage

    def numbers(self, storage: _Storage) -> torch.Tensor:
        """All of a storage, [count]; in the mapped file where it lies as its type wants it."""
        if storage.numbers is None:
            data, place = self._whole, storage.place
            if place % storage.dtype.itemsize:
                self.take(storage.bytes)
                data, place = bytearray(data[place : place + storage.bytes]), 0
            truths = storage.dtype == torch.bool
            kind = torch.uint8 if truths else storage.dtype
            storage.numbers = torch.frombuffer(data, dtype=kind, count=storage.count, offset=place)
            if truths:  # another byte than 0 and 1 would be neither true nor false
                self.take(storage.bytes)
                storage.numbers = storage.numbers != 0
        return storage.numbers


def _tensor(machine: Machine, storage: Any, offset: Any, sizes: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(machine, storage, offset, sizes, strides)


_DTYPES = {f"{name}Storage": dtype for name, dtype in _STORAGES.items()}
_DTYPES |= {str(dtype).removeprefix("torch."): dtype for dtype in _STORAGES.values()}
_TORCH: dict[str, Callable[..., Any] | None] = NUMPY | {
    **{f"torch.{name}Storage": None for name in _STORAGES},
    "torch.storage.UntypedStorage": None,
    "torch.serialization._get_layout": lambda machine, name: name,
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda machine, tensor, *_: tensor,
    "torch.Size": lambda machine, sizes: tuple(sizes),
    "torch.device": lambda machine, *parts: ":".join(map(str, parts)),
}
