"""Regions from a file, matched by file name."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Skipped
from groundgraph.vision import load_detector

SHARED = Path(__file__).parents[2].parent / "shared" / "data" / "coco_mini"


def content():
    boxes = np.zeros((2, 3, 4), np.float32)
    boxes[0] = [[0, 0, 4, 4], [1, 1, 11, 5], [0, 0, 0, 0]]
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
        ({"labels": np.full((2, 3), "cat")}, "labels holds texts, not numbers"),
        ({"labels": np.full((2, 3), 0.5)}, "labels holds numbers that are not whole"),
        ({"labels": np.full((2, 3), np.nan)}, "labels holds numbers that are not whole"),
        ({"labels": np.full((2, 3), -2)}, "a label is beyond"),
        ({"boxes": np.full((2, 3, 4), "1")}, "boxes holds texts, not numbers"),
        ({"scores": np.full((2, 3), 1j)}, "scores holds values of complex128, not numbers"),
        ({"categories": np.array([1, 2])}, "categories holds no texts"),
        ({"file_names": np.array(["a.png", ""])}, "file_names: image 1 is called '', which is no id or file name"),
        ({"file_names": np.array([1.0, np.nan])}, "image 1 is called 'nan'"),
        ({"categories": np.array(["cat", 3], dtype=object)}, "not an npz file of plain arrays"),
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


def of_names(folder, names, **changes):
    """An npz of regions of images of 10 x 8 pixels that are called so; each one's features are its number."""
    arrays = {
        "file_names": np.array(names),
        "categories": np.array(["cat"]),
        "boxes": np.tile(np.array([[0, 0, 4, 4], [1, 1, 9, 7]], np.float32), (len(names), 1, 1)),
        "labels": np.zeros((len(names), 2), int),
        "scores": np.ones((len(names), 2), np.float32),
        "features": np.tile(np.arange(len(names), dtype=np.float32)[:, None, None], (1, 2, 1)),
    }
    np.savez(folder / "r.npz", **(arrays | changes))
    return load_detector("precomputed", str(folder / "r.npz"))


def pictures(folder, names, orientation=1, ids=None):
    """Examples of pictures of 10 x 8 stored pixels; their ids are their names, as of JSON lines, or given."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 8)).save(folder / name, exif=exif.tobytes())
    return [Example(i, str(folder / name)) for i, name in zip(ids or names, names, strict=True)]


def numbers_of(detector, examples):
    skipped = Skipped()
    found = detector.detect(examples, skipped)
    return [None if r is None else int(r.features[0, 0]) for r in found], skipped.items


def test_images_of_one_name_are_told_apart_by_their_paths_or_left_out(tmp_path):
    examples = pictures(tmp_path, ["a/1.png", "b/1.png", "b/2.png"])
    found, skipped = numbers_of(of_names(tmp_path, ["1.png", "2.png"]), examples)
    assert found == [None, None, 1] and [what for what, _ in skipped] == ["a/1.png", "b/1.png"]
    assert "fits both" in skipped[0][1] and "a/1.png" in skipped[0][1] and "b/1.png" in skipped[0][1]
    for names in (["b/1.png", "a/1.png"], ["b\\\\1.PNG".replace("\\\\", "\\"), "./a/1.png"], [b"b/1.png", b"a/1"]):
        assert numbers_of(of_names(tmp_path, names), examples)[0] == [1, 0, None]


def test_images_of_one_name_are_noticed_beyond_one_batch(tmp_path):
    one, two = pictures(tmp_path, ["a/1.png", "b/1.png"])
    detector = of_names(tmp_path, ["1.png"])
    detector.expect([one, two])
    assert numbers_of(detector, [one])[0] == [None]
    same = Example("other id", one.path)  # one picture under two ids is no doubt
    assert numbers_of(of_names(tmp_path, ["1.png"]), [one, same])[0] == [0, 0]


@pytest.mark.parametrize("names", [[7, 8], [7.0, 8.0], ["7", "8"], ["000000000007", "8.0"], [b"7", b"8"]])
def test_ids_are_one_however_they_are_written(tmp_path, names):
    examples = pictures(tmp_path, ["x.png", "COCO_val2014_000000000008.png"], ids=["7", "8"])
    assert numbers_of(of_names(tmp_path, names), examples)[0] == [0, 1]


def test_where_ids_and_names_disagree_nothing_is_taken(tmp_path):
    examples = pictures(tmp_path, ["8.png", "COCO_val2014_000000000008.png", "p8.png"], ids=["7", "7", "7"])
    for example, found in zip(examples, (None, None, 0), strict=True):
        answer, skipped = numbers_of(of_names(tmp_path, [7, 8]), [example])
        assert answer == [found] and (found == 0 or "under its id 7 and under its file's name 8" in skipped[0][1])
    assert numbers_of(of_names(tmp_path, ["7.png", "8.png"]), examples[:1])[0] == [1]


@pytest.mark.parametrize(
    ("boxes", "orientation", "word"),
    [
        ([[0, 0, 0.5, 0.5], [0.1, 0.1, 1, 1]], 1, "boxes are shares of 0..1"),
        ([[0, 0, 4, 4], [0, 0, 20, 16]], 1, "boxes reach to 20, 16 in an image of 10 x 8 pixels"),
        ([[0, 0, 4, 4], [1, 1, 5, 5]], 6, "nothing says whether its boxes are turned"),
        ([[0, 0, 4, 4], [1, 1, 9, 7]], 3, "nothing says whether its boxes are turned"),
    ],
)
def test_boxes_of_another_frame_or_unit_are_left_out(tmp_path, boxes, orientation, word):
    detector = of_names(tmp_path, ["a.png"], boxes=np.array([boxes]))
    found, skipped = numbers_of(detector, pictures(tmp_path, ["a.png"], orientation))
    assert found == [None] and word in skipped[0][1] and "r.npz" in skipped[0][1]


def test_boxes_turn_with_a_photo_where_only_the_stored_one_holds_them(tmp_path):
    detector = of_names(tmp_path, ["a.png"], boxes=np.array([[[0, 0, 4, 4], [1, 1, 40, 20]]]))
    (example,) = pictures(tmp_path, ["a.png"])
    exif = Image.Exif()
    exif[0x0112] = 8
    Image.new("RGB", (40, 20)).save(example.path, exif=exif.tobytes())
    (regions,) = detector.detect([example], Skipped())
    assert regions.size == (20, 40) and regions.boxes.tolist() == [[0, 36, 4, 40], [1, 0, 20, 39]]


@pytest.mark.parametrize("bad", [[9, 9, 1, 1], [0, 0, np.inf, 4], [np.nan] * 4, [0, 0, 0, 4]])
def test_boxes_that_are_none_are_left_out_alone(tmp_path, bad):
    detector = of_names(tmp_path, ["a.png"], boxes=np.array([[bad, [1, 1, 9, 7]]]))
    skipped = Skipped()
    (regions,) = detector.detect(pictures(tmp_path, ["a.png"]), skipped)
    assert regions.boxes.tolist() == [[1, 1, 9, 7]] and skipped.items[0][1].startswith("1 regions")


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
