"""Other people's files of regions: SGNLS's detections, bottom-up attention's TSV and HDF5, an npz an image."""

import base64
import pickle

import h5py
import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Skipped
from groundgraph.data.vocabulary import OPENIMAGES601
from groundgraph.vision.detectors import load_detector
from groundgraph.vision.stored import key_of

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
    (tmp_path / "a_imgid2idx.pkl").write_bytes(pickle.dumps({"7": 0, "9": 5}))
    skipped = Skipped()
    seven, nine = load_detector("bottom-up-h5", str(path)).detect(examples[:2], skipped)
    assert seven is not None and nine is None and "image 9: damaged" in skipped.items[0][1]
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
