"""Files of torch.save are read as torch reads them, and hold nothing that runs or reaches beyond its record."""

import io
import pickle
import sys
import types
import zipfile
from collections import OrderedDict

import pytest
import torch

from groundgraph.errors import InputError
from groundgraph.formats.torch_file import BoxList, OtherTensor, read_torch, tensors_of

BASE = torch.arange(24.0)
TENSORS = {
    "plain": torch.arange(12.0).reshape(3, 4),
    "view": BASE[3:9].reshape(2, 3).t(),
    "same storage": BASE,
    "expanded": BASE.expand(3, 24),
    "empty": torch.zeros(0, 4),
    "scalar": torch.tensor(5),
    "truths": torch.tensor([True, False]),
    "half": torch.ones(3, dtype=torch.float16),
    "bfloat16": torch.ones(3, dtype=torch.bfloat16),
    "parameter": torch.nn.Parameter(torch.ones(2)),
    "bytes": torch.tensor([1, 255], dtype=torch.uint8),
}


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_come_back_as_torch_reads_them(tmp_path, zipped):
    path = tmp_path / "a.pth"
    network = torch.nn.Linear(2, 2)
    content = {"model": OrderedDict(TENSORS), "epoch": 3, "type": torch.float16, "state": network.state_dict()}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    found, theirs = read_torch(path), torch.load(path, weights_only=True)
    for name, tensor in theirs["model"].items():
        assert torch.equal(found["model"][name], tensor) and found["model"][name].dtype == tensor.dtype, name
    assert found["epoch"] == 3 and found["type"] == torch.float16
    assert torch.equal(found["state"]["weight"], network.weight)
    found["model"]["plain"] += 1  # memory of its own: the file stays as it is
    assert torch.equal(read_torch(path)["model"]["plain"], TENSORS["plain"])
    assert tensors_of(path).keys() == TENSORS.keys()


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_may_be_as_large_as_their_file(tmp_path, zipped):
    weights = {"model": {"weight": torch.arange(12_000_000.0)}}  # 48 MB; the pickle beside them is some hundred bytes
    torch.save(weights, tmp_path / "a.pth", _use_new_zipfile_serialization=zipped)
    assert torch.equal(tensors_of(tmp_path / "a.pth")["weight"], weights["model"]["weight"])


@pytest.mark.parametrize("package", ["maskrcnn_benchmark", "pysgg", "sgg_benchmark", "my.own_fork"])
def test_a_boxlist_under_any_packages_name(tmp_path, monkeypatch, package):
    name = f"{package}.structures.bounding_box"
    theirs = type("BoxList", (), {"__module__": name, "__qualname__": "BoxList"})
    for end in range(1, name.count(".") + 2):
        part = ".".join(name.split(".")[:end])
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    sys.modules[name].BoxList = theirs
    one = theirs()
    one.bbox, one.size, one.extra_fields = torch.ones(1, 4), (4, 5), {"labels": torch.tensor([1])}
    torch.save([one], tmp_path / "a.pth")
    (found,) = read_torch(tmp_path / "a.pth")
    assert type(found) is BoxList and found.size == (4, 5) and found.mode is None
    assert torch.equal(found.bbox, one.bbox) and found.extra_fields["labels"].tolist() == [1]


def test_other_tensors_are_told_apart(tmp_path):
    torch.save([torch.eye(3).to_sparse()], tmp_path / "a.pth")
    assert read_torch(tmp_path / "a.pth") == [OtherTensor("_rebuild_sparse_tensor")]


class Call:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


class Stored:
    """A storage that claims a number of elements."""

    def __init__(self, kind, key, count):
        self.key = ("storage", kind, key, "cpu", count)


class Pickler(pickle.Pickler):
    def persistent_id(self, value):
        return value.key if isinstance(value, Stored) else None


def forged(path, content, records=(("0", bytes(16)),), kind=zipfile.ZIP_STORED):
    """A file in torch's zip form by hand."""
    file = io.BytesIO()
    Pickler(file, 2).dump(content)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", file.getvalue())
        for key, data in records:
            archive.writestr(f"a/data/{key}", data, kind)


def tensor(offset=0, sizes=(4,), strides=(1,), count=4, key="0", kind=torch.FloatStorage):
    return Call(torch._utils._rebuild_tensor_v2, Stored(kind, key, count), offset, sizes, strides, False, OrderedDict())


@pytest.mark.parametrize(
    "content",
    [
        tensor(count=5),
        tensor(count=-4),
        tensor(count=2**61),
        tensor(sizes=(5,)),
        tensor(offset=1),
        tensor(offset=-1),
        tensor(strides=(2,)),
        tensor(strides=(-1,)),
        tensor(sizes=(2, 2), strides=(2**62, 1)),
        tensor(sizes=(-1,)),
        tensor(sizes=(2**40, 0), strides=(1, 1)),
        tensor(sizes=(2**40,), strides=(0,)),
        tensor(sizes=(4, 4)),
        tensor(sizes=4),
        tensor(key="1"),
        tensor(key=("0",)),
        tensor(kind=len),
        Call(torch._utils._rebuild_tensor_v2, 1, 0, (4,), (1,), False, OrderedDict()),
        Call(torch.Tensor, 10**10),
        Call(bytearray, 10**10),
        Call(torch.Size, 10**10),
        Call(torch.load, "other"),
        Stored("x", "0", 4),
    ],
)
def test_forged_tensors_are_refused(tmp_path, content):
    forged(tmp_path / "a.pth", [content])
    with pytest.raises(InputError, match=r"a\.pth: (damaged|asks for)"):
        read_torch(tmp_path / "a.pth")


def test_the_forgers_tools_make_what_torch_reads(tmp_path):
    forged(
        tmp_path / "a.pth",
        [tensor(), tensor(kind=torch.BoolStorage, key="1", count=4)],
        (("0", bytes(16)), ("1", b"\x00\x01\x7f\xff")),
    )
    floats, truths = read_torch(tmp_path / "a.pth")
    assert floats.tolist() == [0] * 4 and truths.view(torch.uint8).tolist() == [0, 1, 1, 1]


def test_records_are_stored_as_torch_stores_them(tmp_path):
    forged(tmp_path / "a.pth", [tensor()], kind=zipfile.ZIP_DEFLATED)
    with pytest.raises(InputError, match=r"a\.pth: .*record 0 is compressed"):
        read_torch(tmp_path / "a.pth")
    for data in (b"", b"PK\x03\x04", b"text"):
        (tmp_path / "a.pth").write_bytes(data)
        with pytest.raises(InputError, match=r"a\.pth: damaged"):
            read_torch(tmp_path / "a.pth")
    torch.save({"a": torch.ones(1000)}, tmp_path / "b.pth", _use_new_zipfile_serialization=False)
    (tmp_path / "b.pth").write_bytes((tmp_path / "b.pth").read_bytes()[:-8])
    with pytest.raises(InputError, match=r"b\.pth: .*ends before its tensors do"):
        read_torch(tmp_path / "b.pth")
