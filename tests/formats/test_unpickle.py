"""Pickles and NumPy's files from elsewhere: plain data come in, nothing runs."""

import io
import os
import pickle
import struct
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest
from forged import FORGED, array, buffer, data

from groundgraph.errors import InputError
from groundgraph.formats import unpickle
from groundgraph.formats.unpickle import read_npy, read_npz, read_pickle

PLAIN = {
    "boxes": np.arange(6, dtype=np.float32).reshape(2, 3),
    "swapped": np.arange(3, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "words": np.array(["cat", "dog"]),
    "ragged": np.array([[1], [2, 3]], dtype=object),
    "flag": np.bool_(True),
    "bytes": b"\xff\x00",
    "nested": [{"a": (1, 2.5, None)}, {3, 4}, OrderedDict(x=1)],
    "lists": defaultdict(list, k=[1]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_values_come_back(tmp_path, protocol):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(PLAIN, protocol))
    found = read_pickle(tmp_path / "a.pkl")
    assert found.keys() == PLAIN.keys()
    for name in ("boxes", "swapped", "fortran", "words"):
        assert np.array_equal(found[name], PLAIN[name]) and found[name].dtype.kind == PLAIN[name].dtype.kind
    assert [list(x) for x in found["ragged"]] == [[1], [2, 3]] and bool(found["flag"])
    assert type(pickle.loads(pickle.dumps(found["boxes"]))) is np.ndarray
    assert found["bytes"] == b"\xff\x00" and found["nested"] == PLAIN["nested"] and found["lists"] == {"k": [1]}


def test_npy_and_npz_with_objects(tmp_path):
    np.save(tmp_path / "dict.npy", {"1": np.ones((2, 4), np.float32)})
    found = read_npy(tmp_path / "dict.npy").tolist()
    assert np.array_equal(found["1"], np.ones((2, 4)))
    np.savez(tmp_path / "a.npz", feat=np.eye(3), info=np.array([{"n": 2}], dtype=object))
    arrays = read_npz(tmp_path / "a.npz", ("feat", "boxes"))
    assert arrays.keys() == {"feat"} and np.array_equal(arrays["feat"], np.eye(3))
    with pytest.raises(ValueError, match=r"a\.npz: .*it holds pickled objects"):
        read_npz(tmp_path / "a.npz", ("info",))


class Evil:
    def __init__(self, call):
        self.call = call

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    "call", [(eval, ("1/0",)), (getattr, ("a", "upper")), (np.load, ("x.npy",)), (__import__, ("os",)), (open, ("f",))]
)
def test_anything_that_runs_is_refused(tmp_path, call):
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": Evil(call)}))
    np.save(tmp_path / "a.npy", np.array([Evil(call)], dtype=object))
    for read, name in ((read_pickle, "a.pkl"), (read_npy, "a.npy")):
        with pytest.raises(ValueError, match=rf"{name}: asks for .*was not loaded"):
            read(tmp_path / name)


def forged(kind, data, shape=(2,)):
    """A pickle of an array whose dtype and data do not belong together."""
    return (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR("
        + b"I1\n("
        + b"".join(b"I%d\n" % n for n in shape)
        + b"tcnumpy\ndtype\n(S'"
        + kind
        + b"'\nI0\nI1\ntRI00\n"
        + data
        + b"tb."
    )


@pytest.mark.parametrize(
    "content", [forged(b"O8", b"S'" + b"A" * 16 + b"'\n", (9,)), forged(b"f4", b"S'AAAA'\n"), forged(b"V8", b"S'AA'\n")]
)
def test_forged_arrays_fail_without_touching_memory(tmp_path, content):
    (tmp_path / "a.pkl").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.pkl"):
        read_pickle(tmp_path / "a.pkl")


def test_damage_and_bombs_are_named(tmp_path, monkeypatch):
    whole = pickle.dumps(PLAIN)
    for content in (b"", b"text", whole[:-20], b"(" * 100_000 + b"."):
        (tmp_path / "a.pkl").write_bytes(content)
        with pytest.raises(ValueError, match=r"a\.pkl: damaged"):
            read_pickle(tmp_path / "a.pkl")
    with pytest.raises(ValueError, match=r"none\.npy: no such file"):
        read_npy(tmp_path / "none.npy")
    np.save(tmp_path / "a.npy", np.zeros(10))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content.replace(b"(10,)", b"(9999999999,)"[:5].ljust(5)))
    with pytest.raises(ValueError, match=r"a\.npy: damaged"):
        read_npy(tmp_path / "a.npy")
    np.savez_compressed(tmp_path / "bomb.npz", feat=np.zeros(100_000, np.float32))
    assert zipfile.ZipFile(tmp_path / "bomb.npz").infolist()[0].compress_size < 2000
    monkeypatch.setattr(unpickle, "memory_of", lambda size: 100_000)
    with pytest.raises(ValueError, match=r"bomb\.npz: damaged.*with feat it unpacks to more than 100,000 bytes"):
        read_npz(tmp_path / "bomb.npz", ("feat",))
    assert read_npz(tmp_path / "bomb.npz", ("boxes",)) == {}  # what nobody wants is not unpacked


@pytest.mark.parametrize("body", FORGED.values(), ids=FORGED)
def test_forged_pickles_are_one_message(tmp_path, body):
    (tmp_path / "in.pkl").write_bytes(b"\x80\x02" + body + b".")
    with pytest.raises(InputError, match=r"in\.pkl: (damaged|asks for)") as error:
        read_pickle(tmp_path / "in.pkl")
    assert len(str(error.value)) < 500 and str(error.value).isprintable()


def test_the_forgers_tools_make_what_numpy_makes(tmp_path):
    """So that the refusals above are about what was forged."""
    body = b"](" + array("f8", (2,), data(bytes(16))) + buffer("u1", (1, 2), data(b"ab")) + b"e"
    (tmp_path / "in.pkl").write_bytes(b"\x80\x02" + body + b".")
    for found in (read_pickle(tmp_path / "in.pkl"), pickle.loads(b"\x80\x02" + body + b".")):
        assert found[0].tolist() == [0, 0] and found[1].tolist() == [[97, 98]]


def test_an_array_is_its_own(tmp_path):
    """Arrays come writable, and of bytes that are neither true nor false come truths."""
    (tmp_path / "in.pkl").write_bytes(b"\x80\x02" + array("b1", (3,), data(b"\x00\x01\x7f")) + b".")
    found = read_pickle(tmp_path / "in.pkl")
    found[0] = True
    assert found.view(np.uint8).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("header", "word"),
    [
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (3,)}", "holds more bytes than"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (10**12,)}", "damaged"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,)}", "a shape|the shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 0)}", "the shape"),
        ("{'descr': '<f8', 'fortran_order': False, 'shape': (-4,)}", "a shape that is none"),
        ("{'descr': '<f8,O', 'fortran_order': False, 'shape': (4,)}", "asks for an array of"),
        ("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,)}", "asks for an array of list"),
        ("{'descr': '<M8[s]', 'fortran_order': False, 'shape': (4,)}", "asks for an array of <M8"),
        ("[1]", "its header is no header"),
        ("(" * 5000, "damaged"),
        ("-" * 5000 + "1", "damaged"),
        ("__import__('os').system('touch pwned')", "damaged"),
    ],
)
def test_headers_are_checked_before_anything_is_allocated(tmp_path, header, word):
    coded = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(32)
    (tmp_path / "a.npy").write_bytes(coded)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("feat.npy", coded)
    for read in (lambda: read_npy(tmp_path / "a.npy"), lambda: read_npz(tmp_path / "a.npz", ("feat",))):
        with pytest.raises(InputError, match=rf"a\.np[yz]: .*({word})"):
            read()


def zipped(path, change=None, kind=zipfile.ZIP_STORED):
    """An npz with one byte of its first record's and its directory's header changed."""
    with zipfile.ZipFile(path, "w", kind) as archive:
        file = io.BytesIO()
        np.save(file, np.arange(6.0))
        archive.writestr("feat.npy", file.getvalue())
    if change:
        raw, (local, central, value) = bytearray(path.read_bytes()), change
        raw[local], raw[raw.find(b"PK\x01\x02") + central] = value, value
        path.write_bytes(raw)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda p: zipped(p, (6, 8, 1)), "encrypted"),
        (lambda p: zipped(p, (8, 10, 93)), "compressed in a way"),
        (lambda p: zipped(p, (8, 10, 99)), "compressed in a way"),
        (lambda p: zipped(p, kind=zipfile.ZIP_LZMA), "compressed in a way"),
        (lambda p: zipped(p, kind=zipfile.ZIP_BZIP2), "compressed in a way"),
        (lambda p: p.write_bytes(p.read_bytes().replace(bytes(8), b"\x01" * 8)), "CRC"),
        (lambda p: p.write_bytes(p.read_bytes()[:200]), "not a zip file"),
        (lambda p: p.write_bytes(b""), "damaged"),
        (lambda p: np.save(p.open("wb"), np.ones(3)), "not a zip file"),
        (lambda p: (p.unlink(), os.mkfifo(p)), "a device"),
        (lambda p: (p.unlink(), p.mkdir()), "a folder"),
        (lambda p: p.unlink(), "no such file"),
    ],
)
def test_broken_npz_files_are_named(tmp_path, damage, word):
    zipped(tmp_path / "a.npz")
    assert read_npz(tmp_path / "a.npz", ("feat",))["feat"].tolist() == [0, 1, 2, 3, 4, 5]
    damage(tmp_path / "a.npz")
    with pytest.raises(InputError, match=rf"a\.npz: .*{word}"):
        read_npz(tmp_path / "a.npz", ("feat",))


def test_an_array_twice_in_an_npz_is_an_error(tmp_path):
    zipped(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive, pytest.warns(UserWarning):
        archive.writestr("feat.npy", archive.read("feat.npy"))
    with pytest.raises(InputError, match="feat is there twice"):
        read_npz(tmp_path / "a.npz", ("feat",))


def test_an_npy_where_a_pickle_is_meant(tmp_path):
    np.save((tmp_path / "in.pkl").open("wb"), np.ones(3))
    with pytest.raises(InputError, match=r"in\.pkl: .*it is an npy file"):
        read_pickle(tmp_path / "in.pkl")
