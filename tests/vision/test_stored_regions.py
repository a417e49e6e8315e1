"""Other people's files of regions: SGNLS's detections, bottom-up attention's TSV and HDF5, an npz an image."""

import base64
import pickle
import re
import subprocess
import sys

import h5py
import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Skipped
from groundgraph.data.vocabulary import OPENIMAGES601
from groundgraph.errors import InputError
from groundgraph.vision import load_detector
from groundgraph.vision.stored_regions import key_of

BOXES = np.array([[0, 0, 10, 10], [5, 2, 20, 12], [2, 2, 8, 9]], np.float32)
FEATURES = np.arange(12, dtype=np.float32).reshape(3, 4)


@pytest.fixture
def examples(tmp_path):
    """Two images of 20 x 16 pixels: one known by its id, one by the number that ends its name."""
    (tmp_path / "images").mkdir()
    names = {"7": "7.jpg", "val-9": "COCO_val2014_000000000009.jpg", "gone": "absent.jpg"}
    for name in list(names.values())[:2]:
        Image.new("RGB", (20, 16)).save(tmp_path / "images" / name)
    return [Example(key, str(tmp_path / "images" / name)) for key, name in names.items()]


def test_how_an_image_is_found():
    example = Example("vg/12", "x/COCO_val2014_000000000139.jpg")
    assert key_of(example, {"139"}) == "139" and key_of(example, {"vg/12", "139"}) == "vg/12"
    assert key_of(example, {"COCO_val2014_000000000139"}) and key_of(example, {"13", "000"}) is None


def detections(folder, one_hot=(3, 601, 1), **files):
    """SGNLS's folder as its own script writes it."""
    for part in ("_att", "_dists"):
        (folder / part).mkdir(parents=True)
    chance = np.zeros((3, 602), np.float32)
    chance[np.arange(3), list(one_hot)] = 1
    for key in ("7", "9"):
        np.savez_compressed(folder / "_att" / f"{key}.npz", feat=FEATURES)
        np.savez_compressed(folder / "_dists" / f"{key}.npz", feat=chance)
    np.save(folder / "box_dict.npy", {"7": BOXES, "9": BOXES + 1})
    return folder


def test_sgnls_detections(tmp_path, examples):
    folder = detections(tmp_path / "VG_detection_results_oid")
    detector, skipped = load_detector("sgnls", str(folder)), Skipped()
    seven, nine, gone = detector.detect(examples, skipped)
    assert (
        gone is None and [w for w, _ in skipped.items] == ["gone"] and "no regions of absent.jpg" in skipped.items[0][1]
    )
    # Class 3 of TensorFlow's label map, which counts from 1, is Magpie; 601 is Helmet; 1 Tortoise.
    assert [detector.categories[label] for label in seven.labels] == ["magpie", "helmet", "tortoise"]
    assert detector.categories == OPENIMAGES601.names and np.array_equal(seven.features, FEATURES)
    assert np.array_equal(seven.boxes, BOXES) and seven.scores.tolist() == [1, 1, 1] and seven.size == (20, 16)
    assert nine.boxes[1].tolist() == [6, 3, 20, 13]  # clipped to the image
    assert OPENIMAGES601.names[121] == "cat" and OPENIMAGES601.names[445] == "dog"  # ids 122 and 446 there


def test_sgnls_scores_and_boxes_in_files_of_their_own(tmp_path, examples):
    folder = detections(tmp_path / "oid")
    (folder / "box_dict.npy").unlink()
    with pytest.raises(ValueError, match=r"neither box_dict\.npy nor a folder _box"):
        load_detector("sgnls", str(folder))
    for part, array in (("_box", BOXES), ("_score", np.array([0.2, 0.9, 0.5], np.float32))):
        (folder / part).mkdir()
        np.save(folder / part / "7.npy", array)
    found, skipped = load_detector("sgnls", str(folder), count=2).detect(examples[:2], Skipped()), Skipped()
    assert found[1] is None and np.allclose(found[0].scores, [0.9, 0.5]) and np.array_equal(found[0].boxes, BOXES[1:])
    (folder / "categories.txt").write_text("cat\ndog\n")
    detector = load_detector("sgnls", str(folder))
    assert detector.detect(examples[:1], skipped) == [None]
    assert "class probabilities (3, 602) of 3 boxes and 2 categories" in skipped.items[0][1]


def test_sgnls_damage(tmp_path, examples):
    folder = detections(tmp_path / "oid")
    (folder / "_att" / "7.npz").write_bytes(b"PK\x03\x04 broken")
    skipped = Skipped()
    seven, nine, _ = load_detector("sgnls", str(folder)).detect(examples, skipped)
    assert seven is None and nine is not None and "7.npz: damaged" in skipped.items[0][1]
    np.save(folder / "box_dict.npy", {"7": eval})
    with pytest.raises(ValueError, match=r"box_dict\.npy: asks for builtins\.eval"):
        load_detector("sgnls", str(folder))
    np.save(folder / "box_dict.npy", np.zeros(3))
    with pytest.raises(ValueError, match="no table of boxes by image"):
        load_detector("sgnls", str(folder))
    with pytest.raises(ValueError, match="no such folder"):
        load_detector("image-files", str(tmp_path / "nowhere"))


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def line(key, boxes=BOXES, features=FEATURES, size=(20, 16)):
    return "\t".join((key, str(size[0]), str(size[1]), str(len(boxes)), encoded(boxes), encoded(features)))


def test_bottom_up_tsv(tmp_path, examples):
    rows = [line("7"), line("9", size=(40, 32)), line("9")]
    (tmp_path / "a.tsv").write_text("\n".join(rows) + "\n")
    detector, skipped = load_detector("bottom-up-tsv", str(tmp_path / "a.tsv")), Skipped()
    seven, nine, gone = detector.detect(examples, skipped)
    assert gone is None and detector.categories == () and (seven.labels == -1).all() and (seven.scores == 1).all()
    assert np.array_equal(seven.boxes, BOXES) and np.array_equal(seven.features, FEATURES)
    assert np.allclose(nine.boxes, BOXES / 2)  # found in a picture of twice the size
    assert any("has 9 twice; the first counts" in why for _, why in skipped.items)


def test_lxmert_tsv_in_a_folder_with_names(tmp_path, examples):
    (tmp_path / "f").mkdir()
    (tmp_path / "f" / "objects_vocab.txt").write_text("cat\ndog,hound\nhat\n")
    ids, confidence = np.array([2, 0, 1]), np.array([0.1, 0.3, 0.2], np.float32)
    fields = ["7", "16", "20", encoded(ids), encoded(confidence), encoded(ids), encoded(confidence), "3"]
    (tmp_path / "f" / "a.tsv").write_text("\t".join([*fields, encoded(BOXES), encoded(FEATURES)]) + "\n")
    chance = np.array([[0.1, 0.2, 0.7, 0.0], [0, 0.9, 0, 0.1], [0.5, 0, 0, 0.5]], np.float32)  # column 0 = background
    (tmp_path / "f" / "b.tsv.1").write_text(line("9") + "\t" + encoded(chance) + "\n")
    detector = load_detector("bottom-up-tsv", str(tmp_path / "f"))
    seven, nine, _ = detector.detect(examples, Skipped())
    assert [detector.categories[i] for i in seven.labels] == ["cat", "dog", "hat"]
    assert np.allclose(seven.scores, [0.3, 0.2, 0.1]) and np.array_equal(seven.features, FEATURES[[1, 2, 0]])
    assert [detector.categories[i] for i in nine.labels] == ["cat", "dog", "hat"] and nine.scores[2] == 0.5


@pytest.mark.parametrize(
    "broken",
    [line("7")[:-40], line("7", features=FEATURES[:2].ravel()[:7]), line("7").replace("\t3\t", "\t-3\t"), "7\t"],
)
def test_damaged_lines_cost_their_image_alone(tmp_path, examples, broken):
    (tmp_path / "a.tsv").write_text(line("9") + "\n" + broken + "\n")
    skipped = Skipped()
    seven, nine, _ = load_detector("bottom-up-tsv", str(tmp_path / "a.tsv")).detect(examples, skipped)
    assert seven is None and nine is not None and "the line of image 7: damaged" in skipped.items[0][1]


def test_what_is_no_tsv(tmp_path):
    (tmp_path / "a.tsv").write_text("a,b,c\n")
    (tmp_path / "empty.tsv").write_text("")
    (tmp_path / "folder").mkdir()
    for name, word in (
        ("a.tsv", "line 1: 1 columns"),
        ("empty.tsv", "is empty"),
        ("folder", "no such TSV"),
        ("no", "no such"),
    ):
        with pytest.raises(ValueError, match=word):
            load_detector("bottom-up-tsv", str(tmp_path / name))


SHARES = np.concatenate([BOXES / [20, 16, 20, 16], np.zeros((3, 2))], 1).astype(np.float32)


def even(file):
    file["image_features"], file["image_bb"] = np.stack([FEATURES, FEATURES + 1]), np.stack([BOXES, BOXES])
    file["spatial_features"] = np.stack([SHARES, SHARES])


def uneven(file):
    file["image_features"] = np.concatenate([FEATURES, FEATURES + 1])
    file["image_bb"], file["pos_boxes"] = np.concatenate([BOXES, BOXES]), np.array([[0, 3], [3, 6]], np.int32)


def padded(file):
    blank = np.zeros((1, 4), np.float32)
    file["features"] = np.stack([np.concatenate([f, blank]) for f in (FEATURES, FEATURES + 1)])
    file["boxes"] = np.stack([np.concatenate([BOXES, blank])] * 2)
    file["num_boxes"] = [3, 3]


def groups(file):
    for key, features in (("7", FEATURES), ("9", FEATURES + 1)):
        file[f"{key}/features"], file[f"{key}/boxes"] = features, BOXES


@pytest.mark.parametrize("write", [even, uneven, padded, groups])
@pytest.mark.parametrize("inside", [True, False])
def test_bottom_up_h5(tmp_path, examples, write, inside):
    with h5py.File(tmp_path / "train36.hdf5", "w") as file:
        write(file)
        if inside and write is not groups:
            file["image_id"] = [7, 9]
    (tmp_path / "train36_imgid2idx.pkl").write_bytes(pickle.dumps({7: 0, 9: 1}, 2))
    skipped = Skipped()
    seven, nine, gone = load_detector("bottom-up-h5", str(tmp_path / "train36.hdf5")).detect(examples, skipped)
    assert gone is None and len(skipped.items) == 1
    assert np.allclose(seven.boxes, BOXES, atol=1e-5) and np.array_equal(seven.features, FEATURES)
    assert np.array_equal(nine.features, FEATURES + 1) and (nine.labels == -1).all()


def test_broken_h5(tmp_path, examples):
    path = tmp_path / "a.h5"
    with pytest.raises(ValueError, match="no such file"):
        load_detector("bottom-up-h5", str(path))
    with h5py.File(path, "w") as file:
        uneven(file)
    with pytest.raises(ValueError, match=r"says not which image is which; put a_imgid2idx\.pkl beside it"):
        load_detector("bottom-up-h5", str(path))
    (tmp_path / "a_imgid2idx.pkl").write_bytes(pickle.dumps({"7": 0, "9": 1}))
    with h5py.File(path, "a") as file:
        file["pos_boxes"][1] = [5, 2]
    skipped = Skipped()
    seven, nine = load_detector("bottom-up-h5", str(path)).detect(examples[:2], skipped)
    assert seven is not None and nine is None and "image 9: rows 5 to 2" in skipped.items[0][1]
    for table, word in (
        ({"7": 0, "9": 5}, "a row is beyond the 2 images"),
        ({"7": 0, "9": -1}, "a row is beyond the 2 images"),
        ({"7": 0, 7: 1}, "gives an image two rows"),
        ({"7": 0, "9": 0}, "or two images one"),
        ({"7": "0"}, "not a table of image ids and rows"),
        ({None: 0}, "is no id or file name"),
    ):
        (tmp_path / "a_imgid2idx.pkl").write_bytes(pickle.dumps(table))
        with pytest.raises(ValueError, match=word):
            load_detector("bottom-up-h5", str(path))
    (tmp_path / "a_imgid2idx.pkl").write_bytes(pickle.dumps(["7"]))
    with pytest.raises(ValueError, match="not a table of image ids and rows"):
        load_detector("bottom-up-h5", str(path))
    whole = path.read_bytes()
    for data in (b"", b"text", whole[:300]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.h5: (damaged|holds nothing)"):
            load_detector("bottom-up-h5", str(path))


def test_an_npz_an_image(tmp_path, examples):
    folder = tmp_path / "f"
    folder.mkdir()
    np.savez(folder / "7.npz", boxes=BOXES, features=FEATURES, classes=[1, 0, 1], scores=[0.1, 0.9, 0.5])
    np.savez(folder / "9.npz", bbox=BOXES, x=FEATURES, image_w=40, image_h=32, info=np.array({"a": 1}, object))
    detector = load_detector("image-files", str(folder))
    seven, nine, _ = detector.detect(examples, Skipped())
    assert (seven.labels == -1).all() and np.array_equal(seven.boxes, BOXES[[1, 2, 0]]) and detector.categories == ()
    assert np.allclose(nine.boxes, BOXES / 2) and np.array_equal(nine.features, FEATURES)
    (folder / "categories.txt").write_text("cat\ndog\n")
    assert load_detector("image-files", str(folder)).detect(examples[:1], Skipped())[0].labels.tolist() == [0, 1, 1]
    (folder / "categories.txt").write_text("cat\n")
    np.savez(folder / "9.npz", boxes=BOXES)
    skipped = Skipped()
    assert load_detector("image-files", str(folder)).detect(examples[:2], skipped) == [None, None]
    said = dict(skipped.items)
    assert "label 1 or 0 is none of the 1 categories" in said["7"] and "no boxes and features" in said["val-9"]


def exif(path, size, orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    Image.new("RGB", size).save(path, exif=tags.tobytes())


def as_files(folder, boxes, size):
    (folder / "f").mkdir()
    np.savez(folder / "f" / "7.npz", boxes=boxes, features=FEATURES, image_w=size[0], image_h=size[1])
    return load_detector("image-files", str(folder / "f"))


def as_tsv(folder, boxes, size):
    (folder / "a.tsv").write_text(line("7", boxes, size=size) + "\n")
    return load_detector("bottom-up-tsv", str(folder / "a.tsv"))


@pytest.mark.parametrize("write", [as_files, as_tsv])
@pytest.mark.parametrize("scale", [1, 2])
def test_boxes_turn_with_a_photo_that_exif_turns(tmp_path, examples, write, scale):
    exif(examples[0].path, (20, 16), 6)
    (stored,) = write(tmp_path, BOXES * scale, (20 * scale, 16 * scale)).detect(examples[:1], Skipped())
    x1, y1, x2, y2 = BOXES.T
    assert stored.size == (16, 20) and np.allclose(stored.boxes, np.stack([16 - y2, x1, 16 - y1, x2], 1))


@pytest.mark.parametrize("write", [as_files, as_tsv])
def test_upright_boxes_of_such_a_photo_stay_and_other_shapes_are_left_out(tmp_path, examples, write):
    exif(examples[0].path, (20, 16), 6)
    (tmp_path / "x").mkdir()
    boxes = BOXES * np.array([0.8, 1, 0.8, 1], np.float32)
    (upright,) = write(tmp_path / "x", boxes, (16, 20)).detect(examples[:1], Skipped())
    assert np.allclose(upright.boxes, boxes)
    skipped = Skipped()
    assert write(tmp_path, BOXES, (40, 20)).detect(examples[:1], skipped) == [None]
    assert "in a frame of 40 x 20 pixels, the upright image has 16 x 20" in skipped.items[0][1]


def test_shares_of_a_turned_photo_are_left_out(tmp_path, examples):
    exif(examples[0].path, (20, 16), 6)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        even(file)
        file["image_id"] = ["7", "9"]
    skipped = Skipped()
    seven, nine = load_detector("bottom-up-h5", str(tmp_path / "a.h5")).detect(examples[:2], skipped)
    assert seven is None and nine is not None and "nothing says whether its boxes are turned" in skipped.items[0][1]


@pytest.mark.parametrize(
    ("write", "name"),
    [
        *((even, name) for name in ("image_features", "spatial_features", "image_id")),
        *((uneven, name) for name in ("image_features", "image_bb", "pos_boxes")),
        *((padded, name) for name in ("features", "boxes", "num_boxes")),
        *((groups, name) for name in ("7/features", "7/boxes")),
    ],
)
@pytest.mark.parametrize("value", [None, 3.0, "words", ["man", "dog"]])
def test_h5_of_other_things_than_numbers_is_named(tmp_path, examples, write, name, value):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        write(file)
        if write is not groups:
            file["image_id"] = [7, 9]
        del file[name]
        file.create_group(name) if value is None else file.create_dataset(name, data=value)
    skipped = Skipped()
    try:
        load_detector("bottom-up-h5", str(tmp_path / "a.h5")).detect(examples[:2], skipped)
    except InputError as error:
        skipped.add("", str(error))
    if (name, value) == ("image_id", ["man", "dog"]):  # names, and none of them is asked for
        assert [why.split("/")[-1] for _, why in skipped.items] == [
            "a.h5 has no regions of 7.jpg",
            "a.h5 has no regions of COCO_val2014_000000000009.jpg",
        ]
    else:
        assert any("a.h5" in why and name.split("/")[-1] in why for _, why in skipped.items), skipped.items


def test_ids_in_h5_are_one_for_each_image(tmp_path, examples):
    for ids, word in (([7], "not one id for each of the 2"), ([[7, 9]], "not one id"), (["7", ""], "is no id")):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            even(file)
            file["image_id"] = ids
        with pytest.raises(ValueError, match=word):
            load_detector("bottom-up-h5", str(tmp_path / "a.h5"))
    for ids in ([7.0, 9.0], ["7", "000000000009"], [b"7.jpg", b"images/COCO_val2014_000000000009.JPG"]):
        with h5py.File(tmp_path / "a.h5", "w") as file:
            even(file)
            file["image_id"] = ids
        found = load_detector("bottom-up-h5", str(tmp_path / "a.h5")).detect(examples[:2], Skipped())
        assert [int(r.features[0, 0]) for r in found] == [0, 1]


def test_an_h5_that_is_open_elsewhere_is_read(tmp_path, examples):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        even(file)
        file["image_id"] = [7, 9]
    script = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, str(tmp_path / "a.h5")]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        assert load_detector("bottom-up-h5", str(tmp_path / "a.h5")).detect(examples[:1], Skipped()) != [None]
        other.stdin.close()


def test_files_in_folders_are_told_apart(tmp_path, examples):
    for name in ("a/2019", "b/2019"):
        for place in (tmp_path / "r", tmp_path / "pictures"):
            (place / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 16)).save(tmp_path / "pictures" / f"{name}.jpg")
        np.savez(tmp_path / "r" / name, boxes=BOXES, features=FEATURES + len(name[:1]) * (name[0] == "b"))
    two = [Example(name, str(tmp_path / "pictures" / f"{name}.jpg")) for name in ("a/2019", "b/2019")]
    found = load_detector("image-files", str(tmp_path / "r")).detect(two, Skipped())
    assert [r.features[0, 0] for r in found] == [0, 1]
    (tmp_path / "r" / "a" / "2019.npz").rename(tmp_path / "r" / "2019.npz")
    (tmp_path / "r" / "b" / "2019.npz").unlink()
    skipped = Skipped()
    assert load_detector("image-files", str(tmp_path / "r")).detect(two, skipped) == [None, None]
    assert all("fits both" in why for _, why in skipped.items) and len(skipped.items) == 2


@pytest.mark.parametrize(
    "changes", [{"boxes": np.full((3, 4), "a")}, {"boxes": [[1, 2], [3]]}, {"features": np.array([None] * 3)},
                {"classes": ["cat", "dog", "cat"]}, {"classes": [0.5, 1, 1]}, {"scores": [b"1"] * 3},
                {"image_w": "wide", "image_h": 3}, {"image_w": [1, 2], "image_h": 3}, {"image_w": 0, "image_h": 0}],
)  # fmt: skip
def test_an_npz_of_other_things_than_numbers_costs_its_image_alone(tmp_path, examples, changes):
    (tmp_path / "categories.txt").write_text("cat\ndog\n")
    for key, more in (("7", changes), ("9", {})):
        arrays = {"boxes": BOXES, "features": FEATURES} | more
        arrays = {n: np.array(a, object) if n == "boxes" and isinstance(a, list) else a for n, a in arrays.items()}
        np.savez(tmp_path / key, **arrays)
    skipped = Skipped()
    seven, nine = load_detector("image-files", str(tmp_path)).detect(examples[:2], skipped)
    assert seven is None and nine is not None and [what for what, _ in skipped.items] == ["7"]


def test_labels_count_the_lines_of_their_names(tmp_path, examples):
    folder = tmp_path / "f"
    folder.mkdir()
    np.savez(folder / "7.npz", boxes=BOXES, features=FEATURES, classes=[1, 2, 1])
    chance = np.array([[0.1, 0.9, 0.0], [0, 0.2, 0.8], [0.3, 0.7, 0]], np.float32)  # column 0 = background
    (folder / "a.tsv").write_text(line("7") + "\t" + encoded(chance) + "\n")
    for names, labels, best in (
        ("__background__\ncat\ndog\n\n", ["cat", "dog", "cat"], ["cat", "dog", "cat"]),
        ("cat\ndog\ncow", ["dog", "cow", "dog"], None),
        ("cat\ndog", None, ["cat", "dog", "cat"]),
    ):
        for kind, source, file, expected in (
            ("image-files", folder, "categories.txt", labels),
            ("bottom-up-tsv", folder / "a.tsv", "objects_vocab.txt", best),
        ):
            (folder / file).write_text(names)
            detector = load_detector(kind, str(source))
            (regions,) = detector.detect(examples[:1], Skipped())
            by_feature = None if regions is None else np.argsort(regions.features[:, 0])
            assert expected == (
                None if regions is None else [detector.categories[k] for k in regions.labels[by_feature]]
            )
    (folder / "categories.txt").write_text("cat\n\ndog\n")
    with pytest.raises(ValueError, match=r"categories\.txt, line 2: holds no name"):
        load_detector("image-files", str(folder))


@pytest.mark.parametrize("boxes", [5, "word", None, {}, [[1, 2], [3]], np.zeros(4), np.array("word")])
def test_sgnls_boxes_that_are_none(tmp_path, boxes):
    for part in ("_att", "_dists"):
        (tmp_path / part).mkdir()
        np.savez(tmp_path / part / "1.npz", feat=np.ones((2, 602)))
    np.save(tmp_path / "box_dict.npy", {1: boxes})
    skipped = Skipped()
    assert load_detector("sgnls", str(tmp_path)).detect([Example("1", "1.png")], skipped) == [None]
    assert re.search("boxes of image 1|no regions of 1.png", dict(skipped.items)["1"])
