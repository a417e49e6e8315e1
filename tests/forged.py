"""Pickles by hand: what a pickler never writes, and a loader has to stand."""

import struct


def name(module, text):
    return f"c{module}\n{text}\n".encode()


def number(n):
    data = n.to_bytes((n.bit_length() + 8) // 8, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def text(t):
    return b"X" + struct.pack("<I", len(t)) + t.encode()


def data(b):
    return b"B" + struct.pack("<I", len(b)) + b


def pair(*parts):
    return b"(" + b"".join(parts) + b"t"


def call(function, *arguments):
    return function + pair(*arguments) + b"R"


def dtype(spec):
    return call(name("numpy", "dtype"), text(spec), number(0), number(1))


def array(spec, shape, content, fortran=b"\x89"):
    """An array in two steps, as NumPy pickles it."""
    made = call(name("numpy.core.multiarray", "_reconstruct"), name("numpy", "ndarray"), pair(number(0)), data(b"b"))
    return made + pair(number(1), pair(*map(number, shape)), dtype(spec), fortran, content) + b"b"


def buffer(spec, shape, content, order="C"):
    function = name("numpy._core.numeric", "_frombuffer")
    return call(function, content, dtype(spec), pair(*map(number, shape)), text(order))


def laughs(first, items, close):
    """30 lists or tuples, each of ten times the one before: 900 bytes that stand for 10^30 numbers."""
    body = first
    for depth in range(30):
        body += b"q" + bytes([depth]) + b"0" + items + (b"h" + bytes([depth])) * 10 + close
    return body


NDARRAY = name("numpy", "ndarray")
FORGED = {
    "an array called": call(NDARRAY, pair(number(64)), text("f8")),
    "an array over the pickle's bytes": call(NDARRAY, pair(number(64)), text("O"), data(bytes(64))),
    "an array made as a class": NDARRAY + pair(pair(number(64)), text("f8")) + b"\x81",
    "an array without a state": array("f8", (2,), data(bytes(16))).partition(b"(" + number(1) + b"(")[0],
    "a state for a class": NDARRAY + pair(number(1)) + b"b",
    "a dtype called again": call(dtype("f8"), text("O")),
    "a dtype of fields": call(name("numpy", "dtype"), text("f8,O,f8")),
    "a dtype of a billion characters": dtype("U999999999"),
    "a dtype of objects over bytes": array("O8", (1,), data(bytes(8))),
    "objects in a buffer": buffer("O8", (1,), data(bytes(8))),
    "an object scalar": call(name("numpy.core.multiarray", "scalar"), dtype("O8"), data(bytes(8))),
    "a scalar of too few bytes": call(name("numpy.core.multiarray", "scalar"), dtype("f8"), data(bytes(4))),
    "a negative shape": array("f8", (-1,), data(bytes(16))),
    "two negative axes": array("f8", (-1, -2), data(bytes(16))),
    "a shape that overflows": array("f8", (2**32, 2**32), data(b"")),
    "a shape whose product overflows to what is there": array("u1", (2**62, 4), data(b"")),
    "an empty array with an axis of 2^33": array("f8", (2**33, 0), data(b"")),
    "more than is there": array("f8", (3,), data(bytes(16))),
    "a shape of 40 axes": array("u1", (1,) * 40, data(b"a")),
    "bytes counted by a number": array("u1", (10**10,), number(10**10)),
    "a buffer counted by a number": buffer("u1", (10**10,), number(10**10)),
    "an unknown order": buffer("u1", (2,), data(b"ab"), "A"),
    "characters beyond Unicode": array("U1", (1,), data(b"\xff" * 4)),
    "ten billion bytes": call(name("builtins", "bytes"), number(10**10)),
    "a bytearray of ten billion": call(name("builtins", "bytearray"), number(10**10)),
    "a range as a list": call(name("builtins", "list"), call(name("builtins", "range"), number(10**10))),
    "a set of a number": call(name("builtins", "set"), number(10**10)),
    "an ordered dict of a number": call(name("collections", "OrderedDict"), number(10**10)),
    "a number of 2 GB": b"\x8b\xff\xff\xff\x7f" + bytes(100),
    "a number of 1,000 bytes": b"\x8b\xe8\x03\x00\x00" + b"\x01" * 1000,
    "a number of 100,000 digits": b"I" + b"9" * 100_000 + b"\n",
    "a text of 2^62 bytes": b"\x8d" + struct.pack("<Q", 2**62) + b"a",
    "bytes of 2^62": b"\x8e" + struct.pack("<Q", 2**62) + b"a",
    "a bytearray of 2^62": b"\x96" + struct.pack("<Q", 2**62) + b"a",
    "a text of negative length": b"T\xff\xff\xff\xff" + b"a",
    "a memo that is not there": b"j\xff\xff\xff\xff",
    "tuples nested 200,000 deep": b")" + b"\x85" * 200_000,
    "lists nested 200,000 deep": b"]" * 200_000 + b"a" * 199_999,
    "dicts nested 100,000 deep": b"}" + b"}K\x01" * 100_000 + b"K\x01" + b"s" * 100_000,
    "marks nested 200,000 deep": b"(" * 200_000 + b"t" * 200_000,
    "a deep tuple as a key": b"})" + b"\x85" * 200_000 + b"Ns",
    "a deep tuple in a set": b"\x8f()" + b"\x85" * 200_000 + b"\x90",
    "a deep tuple in a frozen set": b"()" + b"\x85" * 200_000 + b"\x91",
    "a deep tuple in a set that is called": call(name("builtins", "set"), b"])" + b"\x85" * 200_000 + b"a"),
    "a deep tuple as an ordered key": call(name("collections", "OrderedDict"), b"])" + b"\x85" * 200_000 + b"N\x86a"),
    "a list within itself": b"]q\x00h\x00a",
    "an array within itself": b"]q\x00" + array("O8", (1,), b"h\x00") + b"a",
    "lists that laugh": laughs(b"]K\x01a", b"](", b"e"),
    "tuples that laugh": laughs(b")", b"(", b"t"),
    "laughs as a key": b"}" + laughs(b")", b"(", b"t") + b"Ns",
    "laughs in an array": array("O8", (1,), b"]" + laughs(b"]", b"](", b"e") + b"a"),
    "an array a thousand times": b"](" + array("u1", (10**6,), data(bytes(10**6))) + b"q\x00" + b"h\x00" * 999 + b"e",
    "a text a thousand times": b"](" + text("a" * 10**6) + b"q\x00" + b"h\x00" * 999 + b"e",
    "arrays made of one text of bytes": data(bytes(10**6)) + b"q\x00](" + array("u1", (10**6,), b"h\x00") * 999 + b"e",
    "an extension": b"\x82\x01",
    "an instance": b"(ibuiltins\nlist\n",
    "a buffer outside": b"\x97",
    "a name as a value": NDARRAY,
    "a name with escape characters": name("os\x1b[2J", "system"),
    "a name of parts": b"\x8c\x05numpy\x8c\x0andarray.fn\x93",
    "nothing at all": b"",
    "a pop of nothing": b"0",
    "a tuple of nothing": b"\x86",
    "something filled that is no list": b"Na",
}
