"""Pickles and NumPy's files from elsewhere: plain data come in, nothing runs."""

import pickle
import zipfile
from collections import OrderedDict, defaultdict

import numpy as np
import pytest

from groundgraph.data import unpickle
from groundgraph.data.unpickle import read_npy, read_npz, read_pickle

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


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
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
    arrays = read_npz(tmp_path / "a.npz")
    assert np.array_equal(arrays["feat"], np.eye(3)) and arrays["info"][0] == {"n": 2}


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
    "data", [forged(b"O8", b"S'" + b"A" * 16 + b"'\n", (9,)), forged(b"f4", b"S'AAAA'\n"), forged(b"V8", b"S'AA'\n")]
)
def test_forged_arrays_fail_without_touching_memory(tmp_path, data):
    (tmp_path / "a.pkl").write_bytes(data)
    with pytest.raises(ValueError, match=r"a\.pkl"):
        read_pickle(tmp_path / "a.pkl")


def test_damage_and_bombs_are_named(tmp_path, monkeypatch):
    whole = pickle.dumps(PLAIN)
    for data in (b"", b"text", whole[:-20], b"(" * 100_000 + b"."):
        (tmp_path / "a.pkl").write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.pkl: damaged"):
            read_pickle(tmp_path / "a.pkl")
    with pytest.raises(ValueError, match="no such file"):
        read_npy(tmp_path / "none.npy")
    np.save(tmp_path / "a.npy", np.zeros(10))
    data = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(data.replace(b"(10,)", b"(9999999999,)"[:5].ljust(5)))
    with pytest.raises(ValueError, match=r"a\.npy: damaged"):
        read_npy(tmp_path / "a.npy")
    np.savez_compressed(tmp_path / "bomb.npz", feat=np.zeros(100_000, np.float32))
    assert zipfile.ZipFile(tmp_path / "bomb.npz").infolist()[0].compress_size < 2000
    monkeypatch.setattr(unpickle, "MEMBER_LIMIT", 100_000)
    with pytest.raises(ValueError, match=r"unpacks to 400,128 bytes"):
        read_npz(tmp_path / "bomb.npz")
