"""Ragged arrays on disk come back as they were, an id at a time."""

import pickle
import signal
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest

from groundgraph.data.store import (
    Ragged,
    RaggedWriter,
    RegionsWriter,
    StoredRegions,
    counts_of,
    regions_of,
    write_ragged,
    write_regions,
)
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
    for one, two in zip(written, StoredRegions(tmp_path / "r"), strict=True):
        assert two.size == (40, 30)
        for field in ("boxes", "labels", "scores", "features"):
            assert np.array_equal(getattr(one, field), getattr(two, field))
    assert len(regions_of(Ragged(tmp_path / "r"), "c")) == 2
    write_ragged(tmp_path / "other", ["a"], {"c": [np.zeros(1)]})
    with pytest.raises(ValueError, match="holds no regions"):
        StoredRegions(tmp_path / "other")


def test_features_may_lie_as_float16(tmp_path):
    random = np.random.default_rng(0)
    written = [regions(random, n) for n in (3, 0)]
    write_regions(tmp_path / "r", ["a", "b"], written, half=True)
    assert Ragged(tmp_path / "r").column("a", "features").dtype == np.float16
    read = StoredRegions(tmp_path / "r")[0]
    assert read.features.dtype == np.float32
    assert np.array_equal(read.features, written[0].features.astype(np.float16).astype(np.float32))
    assert np.array_equal(read.boxes, written[0].boxes)
    huge = Regions(*(getattr(written[0], f) for f in ("boxes", "labels", "scores")), np.full((3, 6), 7e4, "f4"), (4, 4))
    with pytest.raises(ValueError, match="too large for float16"):
        write_regions(tmp_path / "huge", ["a"], [huge], half=True)
    assert not (tmp_path / "huge").exists()


def test_a_writer_adds_shards_and_a_reader_sees_their_union(tmp_path):
    random = np.random.default_rng(0)
    names = [f"{i}" for i in range(23)]
    rows = {name: random.random((i % 4, 5)).astype(np.float32) for i, name in enumerate(names)}
    with RaggedWriter(tmp_path / "s", "rows", "label", shard=200) as writer:
        for i, name in enumerate(names[:20]):
            writer.append(name, {"rows": rows[name], "label": np.array([i])})
    assert len(list((tmp_path / "s").iterdir())) > 3
    with RaggedWriter(tmp_path / "s", "label", "rows") as writer:  # a later writer, the columns in another order
        assert "19" in writer and "20" not in writer
        for i in (20, 21, 22):
            writer.append(names[i], {"rows": rows[names[i]], "label": np.array([i])})
    store = Ragged(tmp_path / "s")
    assert store.ids == tuple(names)
    for i, name in enumerate(names):
        assert np.array_equal(store[name]["rows"], rows[name]) and store[name]["label"].tolist() == [i]
        assert np.array_equal(store.column(name, "rows"), rows[name])
    assert store.lengths("rows").tolist() == [i % 4 for i in range(23)]
    assert pickle.loads(pickle.dumps(store))["7"]["label"].tolist() == [7]
    with pytest.raises(KeyError, match="'z' is not in"):
        store["z"]


def test_every_shard_opens_with_the_public_library(tmp_path):
    from safetensors.numpy import load_file

    with RaggedWriter(tmp_path, "c", "d", dtypes={"c": np.float16}) as writer:
        writer.append("x", {"c": np.array([[1.5, 2]]), "d": np.array([True])})
        writer.append("y", {"c": np.zeros((0, 2)), "d": np.array([False, True, True])})
    (shard,) = tmp_path.iterdir()
    tensors = load_file(shard)
    assert tensors["c"].tolist() == [[1.5, 2]] and tensors["c"].dtype == np.float16
    assert tensors["d"].tolist() == [True, False, True, True] and tensors["d.offsets"].tolist() == [0, 1, 4]


@pytest.mark.parametrize(
    ("entries", "word"),
    [
        ([("x", {"c": np.zeros(1)}), ("x", {"c": np.zeros(1)})], "'x' is there already"),
        ([("x", {"d": np.zeros(1)})], r"has the columns \['d'\], not \['c'\]"),
        ([("x", {"c": np.zeros(1)}), ("y", {"c": np.zeros(1, np.int8)})], "needs one dtype"),
        ([("x", {"c": np.zeros(1)}), ("y", {"c": np.zeros((1, 1))})], "one number of axes"),
        ([("x", {"c": np.array(1.0)})], "0 axes"),
        ([("x", {"c": np.array(["text"])})], "is of dtype <U4; store one of"),
    ],
)
def test_what_a_writer_refuses(tmp_path, entries, word):
    with pytest.raises(ValueError, match=word), RaggedWriter(tmp_path, "c") as writer:
        for name, arrays in entries:
            writer.append(name, arrays)
    # The entries before the refused one are kept.
    assert Ragged(tmp_path).ids == tuple(name for name, _ in entries[:-1])


def test_a_writer_keeps_to_what_is_there(tmp_path):
    write_ragged(tmp_path / "file", ["x"], {"c": [np.zeros(1)]})
    with pytest.raises(ValueError, match="a file, where a folder of shards"):
        RaggedWriter(tmp_path / "file", "c")
    with RaggedWriter(tmp_path / "s", "c") as writer:
        writer.append("x", {"c": np.zeros(1)})
    with pytest.raises(ValueError, match="has the columns c, not d"):
        RaggedWriter(tmp_path / "s", "d")


def test_an_id_in_two_shards_is_named(tmp_path):
    one, two = RaggedWriter(tmp_path, "c"), RaggedWriter(tmp_path, "c")  # neither sees the other's
    for writer in (one, two):
        writer.append("x", {"c": np.zeros(1)})
        writer.close()
    with pytest.raises(ValueError, match=r"00000.*: an id is in another shard too"):
        Ragged(tmp_path)


def add(folder, worker):
    with RaggedWriter(folder, "c", shard=400) as writer:
        for i in range(25):
            writer.append(f"{worker}-{i}", {"c": np.full((3, 2), 100 * worker + i)})


def test_many_processes_write_one_store(tmp_path):
    with ProcessPoolExecutor(3, mp_context=get_context("fork")) as pool:
        list(pool.map(add, [tmp_path] * 3, range(3)))
    store = Ragged(tmp_path)
    assert set(store) == {f"{worker}-{i}" for worker in range(3) for i in range(25)}
    assert all(store[f"2-{i}"]["c"].tolist() == [[200 + i] * 2] * 3 for i in range(25))
    assert [name for name in store if name.startswith("1-")] == [f"1-{i}" for i in range(25)]


def test_a_killed_writer_leaves_whole_shards_alone(tmp_path):
    code = """
import os, signal, sys
import numpy as np
from groundgraph.data.store import RaggedWriter

writer, replace = RaggedWriter(sys.argv[1], "c", shard=800), os.replace
def killed(*args):  # the third shard is written, and not yet named
    if writer._number == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(*args)
os.replace = killed
for i in range(1000):
    writer.append(str(i), {"c": np.full(50, i)})
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], timeout=120)
    assert done.returncode == -signal.SIGKILL
    hidden = [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    assert len(hidden) == 1 and hidden[0].stat().st_size > 800
    store = Ragged(tmp_path)
    assert store.ids == tuple(map(str, range(4))) and store["3"]["c"].tolist() == [3] * 50
    with RaggedWriter(tmp_path, "c") as writer:  # the work goes on where it was
        for i in range(6):
            if str(i) not in writer:
                writer.append(str(i), {"c": np.full(50, i)})
    assert Ragged(tmp_path).ids == tuple(map(str, range(6)))


def test_a_shard_cut_short_is_named(tmp_path):
    with RaggedWriter(tmp_path, "c") as writer:
        writer.append("x", {"c": np.arange(1000)})
    (shard,) = tmp_path.iterdir()
    shard.write_bytes(shard.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"000000-.*truncated"):
        Ragged(tmp_path)


def test_regions_stream_in_and_out(tmp_path):
    random = np.random.default_rng(0)
    names = list("abcdef")
    written = [None, regions(random, 3), regions(random, 0), None, regions(random, 2), regions(random, 1)]
    with RegionsWriter(tmp_path / "r", shard=300) as writer:
        for name, found in zip(names, written, strict=True):
            writer.append(name, found)
    assert len(list((tmp_path / "r").iterdir())) > 1
    stored = StoredRegions(tmp_path / "r")
    assert stored.ids == tuple(names) and stored.counts().tolist() == [0, 3, 0, 0, 2, 1]
    assert [len(r) for r in stored] == [0, 3, 0, 0, 2, 1] == [len(r) for r in StoredRegions(tmp_path / "r")]
    assert counts_of(stored).tolist() == counts_of(list(stored)).tolist() == [0, 3, 0, 0, 2, 1]
    assert [len(labels) for labels in stored.labels()] == stored.counts().tolist() == [0, 3, 0, 0, 2, 1]
    assert stored[0].features.shape == (0, 6) and stored[0].size == (1, 1)  # of the others' width
    assert (
        np.array_equal(stored[4].features, written[4].features)
        and stored[-1].boxes.tolist() == written[5].boxes.tolist()
    )
    assert [r.size for r in stored[1:3]] == [(40, 30)] * 2
    picked = StoredRegions(tmp_path / "r", ["e", "b"])
    assert [len(r) for r in picked] == [2, 3] and picked.counts().tolist() == [2, 3]
    with pytest.raises(ValueError, match="has no regions of 'z'"):
        StoredRegions(tmp_path / "r", ["z"])
    with RegionsWriter(tmp_path / "r") as writer:
        writer.append("g", None)
    assert StoredRegions(tmp_path / "r")[-1].features.shape == (0, 6)


def test_no_image_with_regions_is_said(tmp_path):
    with pytest.raises(ValueError, match="no image gave a region, such as 'a'"), RegionsWriter(tmp_path) as writer:
        writer.append("a", None)


def test_more_shards_than_open_files_are_allowed(tmp_path):
    with RaggedWriter(tmp_path / "s", "x", shard=1) as writer:
        for i in range(100):
            writer.append(str(i), {"x": np.full(1, i)})
    code = """
import sys
from groundgraph.data.ragged import Ragged
import torch, resource  # opening one file imports torch
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
print(sum(int(arrays["x"][0]) for arrays in map(Ragged(sys.argv[1]).__getitem__, map(str, range(100)))))
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "s")], capture_output=True, text=True, check=True)
    assert done.stdout == "4950\n"
