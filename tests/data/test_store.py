"""Ragged arrays on disk come back as they were, an id at a time."""

import pickle

import numpy as np
import pytest

from groundgraph.data.store import Ragged, read_regions, regions_of, write_ragged, write_regions
from groundgraph.data.types import Regions


def arrays(random, lengths, tail=(), dtype=np.float32):
    return [random.random((n, *tail)).astype(dtype) for n in lengths]


def test_round_trip(tmp_path):
    random = np.random.default_rng(0)
    columns = {
        "rows": arrays(random, [3, 0, 2], (4,)),
        "numbers": [np.array([1, 2]), np.array([], np.int64), np.array([3])],
        "uneven": [random.random((2, 3)), random.random((0, 5)), random.random((1, 1))],
        "nothing": arrays(random, [0, 0, 0], (7,)),
    }
    path = tmp_path / "deep" / "a.safetensors"
    write_ragged(path, ["x", "y y", "ä"], columns)
    store = Ragged(path)
    assert store.ids == ("x", "y y", "ä") == tuple(store) and len(store) == 3 and store.path == path
    assert "x" in store and "z" not in store
    for row, name in enumerate(store.ids):
        found = store[name]
        for column, values in columns.items():
            assert found[column].shape == values[row].shape and found[column].dtype == values[row].dtype
            assert np.array_equal(found[column], values[row])
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]  # no temporary file is left
    with pytest.raises(KeyError, match=r"'z' is not in .*a\.safetensors"):
        store["z"]


def test_the_file_is_what_its_docstring_says(tmp_path):
    from safetensors.numpy import load_file

    write_ragged(tmp_path / "a", ["x", "y"], {"c": [np.array([[1, 2]]), np.array([[3, 4], [5, 6]])]})
    tensors = load_file(tmp_path / "a")
    assert tensors["c"].tolist() == [[1, 2], [3, 4], [5, 6]] and tensors["c.offsets"].tolist() == [0, 1, 3]
    write_ragged(tmp_path / "b", ["x", "y"], {"c": [np.array([[1, 2]]), np.array([[3], [5]])]})
    tensors = load_file(tmp_path / "b")
    assert tensors["c"].tolist() == [1, 2, 3, 5] and tensors["c.shapes"].tolist() == [[1, 2], [2, 1]]


def test_no_ids_at_all(tmp_path):
    write_ragged(tmp_path / "a", [], {"c": []})
    assert len(Ragged(tmp_path / "a")) == 0


def test_a_store_travels_to_a_worker(tmp_path):
    write_ragged(tmp_path / "a", ["x"], {"c": [np.arange(3)]})
    assert pickle.loads(pickle.dumps(Ragged(tmp_path / "a")))["x"]["c"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("ids", "columns", "word"),
    [
        (["x", "x"], {"c": [np.zeros(1), np.zeros(1)]}, "'x'; ids must be unique"),
        (["x"], {"c": []}, "0 arrays for 1 ids"),
        (["x", "y"], {"c": [np.zeros(1), np.zeros((1, 1))]}, "one number of axes"),
        (["x", "y"], {"c": [np.zeros(1), np.zeros(1, np.float32)]}, "one dtype"),
        (["x"], {"c": [np.array(1.0)]}, "0 axes"),
        (["x"], {"c.d": [np.zeros(1)]}, "dot"),
    ],
)
def test_what_cannot_be_written(tmp_path, ids, columns, word):
    with pytest.raises(ValueError, match=word):
        write_ragged(tmp_path / "a", ids, columns)
    assert not list(tmp_path.iterdir())


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "a.safetensors"
    with pytest.raises(ValueError, match="not there"):
        Ragged(path)
    write_ragged(path, ["x"], {"c": [np.arange(1000)]})
    data = path.read_bytes()
    for cut in (0, 4, 60, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(ValueError, match=r"a\.safetensors: truncated .*delete it"):
            Ragged(path)


def regions(random, count):
    low = random.random((count, 2)) * 10
    boxes = np.concatenate([low, low + 5], 1).astype(np.float32)
    scores = random.random(count).astype(np.float32)
    features = random.random((count, 6)).astype(np.float32)
    return Regions(boxes, np.arange(count) - 1, scores, features, (40, 30))


def test_regions_round_trip(tmp_path):
    random = np.random.default_rng(0)
    written = [regions(random, n) for n in (3, 0, 2)]
    write_regions(tmp_path / "r", ["a", "b", "c"], written)
    for one, two in zip(written, read_regions(tmp_path / "r"), strict=True):
        assert two.size == (40, 30)
        for field in ("boxes", "labels", "scores", "features"):
            assert np.array_equal(getattr(one, field), getattr(two, field))
    assert len(regions_of(Ragged(tmp_path / "r"), "c")) == 2
    write_ragged(tmp_path / "other", ["a"], {"c": [np.zeros(1)]})
    with pytest.raises(ValueError, match="holds no regions"):
        read_regions(tmp_path / "other")
