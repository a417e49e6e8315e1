"""A pickle read as data: plain values come of it, and nothing that it names is ever looked up or called.

A pickle is a program for a small stack machine, whose loaders in Python and NumPy trust it: a tuple nested a million
deep as a key overflows the C stack where it is hashed, thirty lists that hold each other ten times are 10^30 values
for whoever walks them, a memo's number or a text's length is allocated as it is claimed. This machine knows the
instructions that plain data need. A name becomes a `Name`, which only stands for itself; what it may do is a function
of ours in a table. What a file can make of its bytes is bounded by a budget of memory, in which a value counts every
time that it occurs.
"""

from __future__ import annotations

import codecs
import struct
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from groundgraph.formats.untrusted import Built, Damaged, Name, Refused, memory_of

DEPTH = 64  # containers within containers; the field's files have six
LONGEST_NUMBER = 255  # bytes
LONGEST_LINE = 2**16  # bytes of a number or a name in the oldest protocol
_SCALARS = (str, bytes, int, float, complex, bool, type(None))
_KEYS = (str, bytes, int, float, bool, type(None))  # hashed in no time, whatever their value
# Rounded up from CPython's sizes, in bytes.
_CONTAINER, _SET, _ENTRY, _SLOT = 64, 216, 100, 8


class Machine:
    """Runs pickles of one file.

    Args:
        file: Where its instructions come from.
        size: The bytes that are there.
        names: "module.name" -> the function of ours that stands for it, or None for one that is only named. A function
            gets the machine and the pickle's arguments.
    """

    def __init__(self, file: BinaryIO, size: int, names: Mapping[str, Callable[..., Any] | None]) -> None:
        self.size, self.names = size, names
        self._file, self._limit = file, memory_of(size)
        self._left = self._limit

    def load(self) -> Any:
        """The value of the next pickle. Raises Refused, Damaged, and whatever else damaged bytes raise."""
        return self.plain(self.run())

    def run(self) -> Any:
        """Follow the next pickle's instructions; `plain` makes a value of what they leave. Raises as `load`."""
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        while True:
            code = self._file.read(1)
            if code == b".":
                break
            step = _STEPS.get(code)
            if step is None:
                raise Damaged(f"no instruction {code!r} of plain data" if code else "it ends too early")
            step(self)
        result, self._stack, self._memo = self._stack.pop(), [], {}
        return result

    def plain(self, value: Any) -> Any:
        """What `run` gave with everything `Built` replaced; what occurs twice is counted twice. Raises as `load`."""
        self._left = self._limit
        return self._plain(value, 0)

    def take(self, count: int) -> None:
        """Account for bytes of memory before they are allocated. Raises Damaged where the file has used up its own."""
        self._left -= count
        if self._left < 0:
            raise Damaged(f"its {self.size:,} bytes become more than {self._limit:,} in memory")

    def read(self, count: int) -> bytes:
        """That many bytes of the file, which must be there."""
        if not 0 <= count <= self.size:
            raise Damaged(f"claims {count:,} bytes of {self.size:,}")
        data = self._file.read(count)
        if len(data) != count:
            raise Damaged("it ends too early")
        return data

    def name(self, module: str, name: str) -> Name:
        """The `Name` of an entry of the table."""
        full = f"{'builtins' if module == '__builtin__' else module}.{name}"
        if full not in self.names:
            raise Refused(full)
        return Name(full, self.names[full])

    def persistent(self, key: Any) -> Any:
        """What a reference to something outside the pickle stands for: nothing, in plain data."""
        raise Refused("an object outside the file")

    def _plain(self, value: Any, depth: int) -> Any:
        kind = type(value)
        if kind in _SCALARS:
            self.take(_SLOT + (len(value) if kind in (str, bytes) else 0))
            return value
        if depth == DEPTH:
            raise Damaged(f"nested more than {DEPTH} deep")
        self.take(_CONTAINER)
        if isinstance(value, Built):
            restored, count = value.value(lambda part: self._plain(part, depth + 1))
            self.take(count)
            return restored
        if kind is list:
            return [self._plain(part, depth + 1) for part in value]
        if kind is tuple:
            return tuple(self._plain(part, depth + 1) for part in value)
        if kind is dict:
            self.take(_ENTRY * len(value))
            return {key: self._plain(part, depth + 1) for key, part in value.items()}
        if kind in (set, frozenset):
            self.take(_ENTRY * len(value))
            return value
        if isinstance(value, Name):
            raise Refused(value.text)
        return value  # what a function of the table gave

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _line(self, longest: int = LONGEST_LINE) -> bytes:
        line = self._file.readline(longest)
        if not line.endswith(b"\n"):
            raise Damaged("a line without an end")
        return line[:-1]

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self.read(struct.calcsize(form)))[0]

    def _data(self, form: str) -> bytes:
        data = self.read(self._number(form))
        self.take(len(data))
        return data

    def _long(self, form: str) -> None:
        count = self._number(form)
        if not 0 <= count <= LONGEST_NUMBER:
            raise Damaged(f"a number of {count:,} bytes")
        self._push(int.from_bytes(self.read(count), "little", signed=True))

    def _int_line(self) -> None:
        line = self._line()
        self._push(line == b"01" if line in (b"00", b"01") else int(line))

    def _string_line(self) -> None:
        line = self._line(self.size + 1)
        if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
            raise Damaged("a text without quotes")
        self.take(2 * len(line))
        self._push(codecs.escape_decode(line[1:-1])[0].decode("latin1"))

    def _unicode_line(self) -> None:
        line = self._line(self.size + 1)
        self.take(4 * len(line))
        self._push(line.decode("raw-unicode-escape"))

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
        return items

    def _mark(self) -> None:
        self.take(_CONTAINER)
        self._outer.append(self._stack)
        self._stack = []

    def _pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _tuple(self, count: int | None = None) -> None:
        if count is None:
            items = self._to_mark()
        else:
            if len(self._stack) < count:
                raise Damaged("a tuple of more than there is")
            items = self._stack[-count:]
            del self._stack[-count:]
        self.take(_CONTAINER + _SLOT * len(items))
        self._push(tuple(items))

    def _empty(self, kind: type) -> None:
        self.take(_SET if kind is set else _CONTAINER)
        self._push(kind())

    def _append(self, items: list[Any]) -> None:
        self._top(list).extend(items)
        self.take(_SLOT * len(items))

    def _entries(self, items: list[Any]) -> None:
        target = self._top(dict)
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[self.key(key)] = value
        self.take(_ENTRY * len(items))

    def elements(self, items: list[Any], kind: Callable[[list[Any]], Any] = set) -> Any:
        """A set of a pickle's values."""
        self.take(_SET + _ENTRY * len(items))
        return kind([self.key(item) for item in items])

    def key(self, key: Any) -> Any:
        """A key, before it is hashed: hashing a tuple walks all that it holds."""
        if type(key) not in _KEYS:
            raise Refused(f"a key that is a {type(key).__name__}")
        return key

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise Damaged(f"fills a {kind.__name__} that is none")
        return self._stack[-1]

    def _recall(self, place: int) -> None:
        self._push(self._memo[place])

    def _memorise(self, place: int) -> None:
        self.take(_ENTRY)
        self._memo[place] = self._stack[-1]

    def _named(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise Damaged("a name that is no text")
        self._push(self.name(module, name))

    def _stack_name(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._named(module, name)

    def _call(self) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        if type(function) is not Name or type(arguments) is not tuple:
            raise Damaged("calls what cannot be called")
        if function.call is None:
            raise Refused(f"a call of {function.text}")
        self.take(_CONTAINER)
        self._push(function.call(self, *arguments))

    def _build(self) -> None:
        state, target = self._stack.pop(), self._stack[-1]
        if isinstance(target, Built):
            target.build(self, state)
        elif type(target) is not dict:  # an ordered dict's attributes are no data
            raise Refused(f"a state for a {type(target).__name__}")


def _latin1(data: bytes) -> str:
    return data.decode("latin1")  # what Python 2 calls a text


def _utf8(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


# Instruction -> what it does. NEXT_BUFFER, INST, OBJ, NEWOBJ_EX and EXT have no place in plain data.
_STEPS: dict[bytes, Callable[[Machine], Any]] = {
    b"\x80": lambda m: m.read(1),  # the protocol
    b"\x95": lambda m: m.read(8),  # the length of a frame, which whoever reads one byte after another need not know
    **{c: lambda m, v=v: m._push(v) for c, v in ((b"N", None), (b"\x88", True), (b"\x89", False), (b")", ()))},
    **{c: lambda m, k=k: m._empty(k) for c, k in ((b"]", list), (b"}", dict), (b"\x8f", set))},
    **{c: lambda m, f=f: m._push(m._number(f)) for c, f in ((b"K", "<B"), (b"M", "<H"), (b"J", "<i"), (b"G", ">d"))},
    **{c: lambda m, f=f: m._long(f) for c, f in ((b"\x8a", "<B"), (b"\x8b", "<i"))},
    **{
        c: lambda m, f=f: m._push(m._data(f)) for c, f in ((b"C", "<B"), (b"B", "<I"), (b"\x8e", "<Q"), (b"\x96", "<Q"))
    },
    **{c: lambda m, f=f: m._push(_utf8(m._data(f))) for c, f in ((b"\x8c", "<B"), (b"X", "<I"), (b"\x8d", "<Q"))},
    **{c: lambda m, f=f: m._push(_latin1(m._data(f))) for c, f in ((b"U", "<B"), (b"T", "<i"))},
    b"I": Machine._int_line,
    b"L": lambda m: m._push(int(m._line().rstrip(b"L"))),
    b"F": lambda m: m._push(float(m._line())),
    b"S": Machine._string_line,
    b"V": Machine._unicode_line,
    b"(": Machine._mark,
    b"0": Machine._pop,
    b"1": Machine._to_mark,
    b"2": lambda m: m._push(m._stack[-1]),
    b"t": Machine._tuple,
    **{c: lambda m, n=n: m._tuple(n) for c, n in ((b"\x85", 1), (b"\x86", 2), (b"\x87", 3))},
    b"l": lambda m: (items := m._to_mark(), m._empty(list), m._append(items)),
    b"d": lambda m: (items := m._to_mark(), m._empty(dict), m._entries(items)),
    b"a": lambda m: m._append([m._stack.pop()]),
    b"e": lambda m: m._append(m._to_mark()),
    b"s": lambda m: m._entries([m._stack.pop(), m._stack.pop()][::-1]),
    b"u": lambda m: m._entries(m._to_mark()),
    b"\x90": lambda m: (items := m._to_mark(), m._top(set).update(m.elements(items))),
    b"\x91": lambda m: m._push(m.elements(m._to_mark(), frozenset)),
    b"p": lambda m: m._memorise(int(m._line())),
    **{c: lambda m, f=f: m._memorise(m._number(f)) for c, f in ((b"q", "<B"), (b"r", "<I"))},
    b"\x94": lambda m: m._memorise(len(m._memo)),
    b"g": lambda m: m._recall(int(m._line())),
    **{c: lambda m, f=f: m._recall(m._number(f)) for c, f in ((b"h", "<B"), (b"j", "<I"))},
    b"c": lambda m: m._named(_utf8(m._line()), _utf8(m._line())),
    b"\x93": Machine._stack_name,
    **{c: Machine._call for c in (b"R", b"\x81")},  # REDUCE, NEWOBJ
    b"b": Machine._build,
    b"P": lambda m: m._push(m.persistent(_utf8(m._line()))),
    b"Q": lambda m: m._push(m.persistent(m._stack.pop())),
}
