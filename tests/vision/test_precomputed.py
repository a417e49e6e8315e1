"""Regions from a file, matched by file name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Skipped
from groundgraph.vision.detectors import load_detector

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "coco_mini"


def content():
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0] = [[0, 0, 4, 4], [1, 1, 30, 5], [0, 0, 0, 0]]
    boxes[1] = [[2, 2, 6, 6], [3, 3, 7, 7], [4, 4, 4, 8]]
    features = np.arange(12, dtype=np.float16).reshape(2, 3, 2)
    features[1, 0, 0] = np.nan
    return {
        "file_names": np.array(["a.png", "b.png"]),
        "categories": np.array(["cat", "dog"]),
        "boxes": boxes,
        "labels": np.array([[0, 1, -1], [1, 1, 0]]),
        "scores": np.array([[0.2, 0.9, 0.0], [0.9, 0.8, 0.7]], np.float32),
        "features": features,
    }


@pytest.fixture
def examples(tmp_path):
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (10, 8)).save(tmp_path / name)
    return [Example(f"id-{name}", str(tmp_path / name)) for name in ("b.png", "a.png", "c.png", "gone.png")]


def test_regions_are_matched_sorted_cleaned_and_recorded(tmp_path, examples):
    np.savez(tmp_path / "r.npz", **content())
    detector, skipped = load_detector("precomputed", str(tmp_path / "r.npz")), Skipped()
    b, a, c, gone = detector.detect(examples, skipped)
    assert detector.categories == ("cat", "dog") and c is None and gone is None
    assert a.labels.tolist() == [1, 0] and a.size == (10, 8)  # best first; the row without a region is gone
    assert a.boxes.tolist() == [[1, 1, 10, 5], [0, 0, 4, 4]]  # clipped to the image
    assert a.features.tolist() == [[2, 3], [0, 1]] and a.features.dtype == np.float32
    assert b.boxes.tolist() == [[3, 3, 7, 7]]  # one had no number, one no area
    said = dict(skipped.items)
    assert said.keys() == {"id-b.png", "id-c.png", "id-gone.png"} and said["id-b.png"].startswith("2 regions")
    assert "has no regions of c.png" in said["id-c.png"]
    top = load_detector("precomputed", str(tmp_path / "r.npz"), count=1).detect(examples[1:2], skipped)[0]
    assert top.labels.tolist() == [1]


def test_an_image_in_the_file_but_not_on_the_disk_is_skipped(tmp_path, examples):
    np.savez(tmp_path / "r.npz", **content())
    Path(examples[1].path).unlink()
    skipped = Skipped()
    assert load_detector("precomputed", str(tmp_path / "r.npz")).detect(examples[1:2], skipped) == [None]
    assert "no such image" in skipped.items[0][1]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"features": None}, "holds no array 'features'"),
        ({"scores": np.zeros((2, 4))}, "does not fit boxes"),
        ({"boxes": np.zeros((2, 3, 5))}, "boxes have the shape"),
        ({"categories": np.array(["cat"])}, "beyond the 1 categories"),
        ({"categories": np.array(["cat", 3], dtype=object)}, "no npz file of plain arrays"),
    ],
)
def test_broken_contents_are_named(tmp_path, change, word):
    arrays = {name: array for name, array in (content() | change).items() if array is not None}
    np.savez(tmp_path / "r.npz", **arrays)
    with pytest.raises(ValueError, match=word) as caught:
        load_detector("precomputed", str(tmp_path / "r.npz"))
    assert str(tmp_path / "r.npz") in str(caught.value)


def test_broken_files_are_named(tmp_path):
    path = tmp_path / "r.npz"
    with pytest.raises(ValueError, match="no such file"):
        load_detector("precomputed", str(path))
    np.savez(path, **content())
    whole = path.read_bytes()
    for data in (b"", b"text", whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"r\.npz: damaged"):
            load_detector("precomputed", str(path))
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npy: damaged"):
        load_detector("precomputed", str(tmp_path / "one.npy"))


@pytest.mark.skipif(not SHARED.is_dir(), reason="shared data are not here")
def test_real_regions_cover_what_their_readme_says():
    from groundgraph.data.sources.coco import read_coco

    notes, skipped = SHARED / "annotations", Skipped()
    examples = read_coco(
        notes / "captions_train2017.json", SHARED / "images", skipped, notes / "instances_train2017.json"
    )
    found = load_detector("precomputed", str(SHARED / "regions.npz")).detect(examples, skipped)
    assert len(found) == 80 and all(r is not None and len(r) <= 36 for r in found)
    covered = total = 0
    for example, regions in zip(examples, found, strict=True):
        a, b = example.truth.boxes[:, None], regions.boxes[None]
        sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
        both = sides.clip(0).prod(-1)
        iou = both / ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - both)
        covered += int((iou.max(1, initial=0) >= 0.5).sum())
        total += len(example.truth.boxes)
    assert total == 731 and covered / total == pytest.approx(0.595, abs=0.002)
