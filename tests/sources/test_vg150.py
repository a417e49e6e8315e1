"""VG150 from miniature files in the published formats: splits, filters, boxes, the three settings, broken files."""

import json
import subprocess
import sys
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from PIL import Image
from vg_files import image, write_coco, write_vg

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Vg150Data
from groundgraph.data.types import Skipped
from groundgraph.formats.vg150 import read_graphs


@contextmanager
def bar(what, total):
    yield lambda count: None


IMAGES = [
    image(1, coco_id=101),
    image(1592),  # corrupt: listed, without a row
    image(2, coco_id=102, half=True),
    image(3, 2, coco_id=103),
    image(4, relations=[], phrases=["a man", "A man", " ", "a horse"], coco_id=104),
    image(5, apart=True, relations=[(0, "near", 2), (0, "wearing", 1), (0, "wearing", 1)], coco_id=105),
    image(6, apart=True, relations=[(0, "near", 2)], phrases=[]),
    image(7, 2, relations=[(0, "wearing", 1), (0, "wearing", 1)]),
    image(8, 2, relations=[], coco_id=108),
    image(9),
]


def split(folder, name, setting="unlocalized_graph", **keys):
    data = Vg150Data(source="vg150", setting=setting, folder=str(folder), **({"validation": 1} | keys))
    skipped = Skipped()
    return open_source(data, folder).examples(name, skipped, bar), skipped.items


@pytest.fixture(scope="module")
def vg(tmp_path_factory):
    return write_vg(tmp_path_factory.mktemp("vg"), IMAGES)


def ids(examples):
    return [int(e.image_id) for e in examples]


def test_unlocalized_graph_follows_the_standard_split_and_filters(vg):
    # Of 1, 2, 5, 6, 9 (train, with relations) the first is held out; 6 has no relation between overlapping boxes.
    train, skipped = split(vg, "train")
    assert ids(train) == [2, 5, 9]
    assert skipped == [("6", "no relation between boxes that overlap (data.overlapping)")]
    assert train[0].captions == () and train[0].triplets == (("man", "riding", "horse"), ("man", "wearing", "hat"))
    assert train[1].triplets == (("man", "wearing", "hat"),)  # the distant pair is dropped, the double counts once
    assert ids(split(vg, "validation")[0]) == [1]
    test, _ = split(vg, "test")
    assert ids(test) == [3, 7]
    assert len(test[1].truth.relations) == 2 and len(test[1].triplets) == 1  # evaluation counts doubles as they stand
    everything, _ = split(vg, "train", overlapping=False)
    assert ids(everything) == [2, 5, 6, 9] and len(everything[1].triplets) == 2
    assert ids(split(vg, "train", train=2)[0]) == [2, 5] and ids(split(vg, "test", test=1)[0]) == [3]


def test_mentions_say_which_boxes_a_triplet_means(vg):
    example = split(vg, "train")[0][0]
    meant = {(m.caption, m.entity): m.objects for m in example.truth.mentions}
    assert meant == {(0, 0): (0,), (0, 1): (2,), (1, 0): (0,), (1, 1): (1,)}
    assert example.truth.labels == ("man", "hat", "horse")
    assert example.truth.relations == ((0, "riding", 2), (0, "wearing", 1))


def test_boxes_are_scaled_from_1024_to_the_pictures_own_pixels(tmp_path):
    objects = [("man", (11, 11, 30, 60)), ("dog", (101, 51, 99, 49)), ("hat", (1, 1, 200, 100))]
    write_vg(tmp_path, [image(1), image(2, objects=objects, relations=[(0, "near", 2)])])
    boxes = split(tmp_path, "train")[0][0].truth.boxes
    # By hand, at 5.12: the man's corner 51, 51, sides 154, 308; the dog's 512, 256, 507, 251 (odd: half a pixel less).
    wanted = np.array([[51, 51, 205, 359], [511, 255, 1018, 506], [0, 0, 1024, 512]]) / 5.12
    assert np.allclose(boxes, wanted.clip(0, [199, 99, 199, 99]), atol=1e-4)
    # The picture on disk counts, not image_data.json: at half the size, boxes are half as large.
    Image.new("RGB", (100, 50)).save(tmp_path / "VG_100K" / "2.jpg")
    assert np.allclose(split(tmp_path, "train")[0][0].truth.boxes[0], wanted[0] / 2, atol=1e-4)


def test_boxes_512_serve_where_there_are_no_finer_ones(vg, tmp_path):
    write_vg(tmp_path, IMAGES)
    with h5py.File(tmp_path / "VG-SGG-with-attri.h5", "a") as file:
        del file["boxes_1024"]
    fine, coarse = split(vg, "test")[0][0].truth.boxes, split(tmp_path, "test")[0][0].truth.boxes
    assert np.abs(fine - coarse).max() < 2 * 200 / 512 and not np.array_equal(fine, coarse)


def test_vg_captions_are_the_region_descriptions_of_all_training_images(vg):
    train, skipped = split(vg, "train", "vg_caption")
    assert ids(train) == [2, 4, 5, 9]
    assert skipped == [("6", "an image without a region description")]
    assert train[1].captions == ("a man", "a horse") and train[1].triplets == ()
    assert train[1].truth.mentions == () and len(train[1].truth.boxes) == 3
    assert split(vg, "validation", "vg_caption")[0][0].captions == ("man riding horse", "a hat on a man")
    test, _ = split(vg, "test", "vg_caption")
    assert ids(test) == [3, 7] and test[0].captions == () and test[0].truth.mentions


def test_coco_captions_leave_out_vgs_test_images(vg, tmp_path):
    pictures = [("train2017", 101 + i, [f"caption {i}"]) for i in range(8)] + [("val2017", 200, ["a dog", "a cat"])]
    coco = {"folder": str(write_coco(tmp_path / "coco", pictures))}
    train, _ = split(vg, "train", "coco_caption", coco=coco)
    # 103 and 108 are in VG's test split, whether they have relations or not; 101 is VG's validation image 1.
    assert ids(train) == [102, 104, 105, 106, 107, 200]
    assert train[-1].captions == ("a dog", "a cat") and train[-1].truth is None
    held, _ = split(vg, "validation", "coco_caption", coco=coco)
    assert ids(held) == [1] and held[0].captions == ("caption 0",) and len(held[0].truth.boxes) == 3
    assert ids(split(vg, "test", "coco_caption", coco=coco)[0]) == [3, 7]
    with pytest.raises(ValueError, match="2 captions files for 1 image folders"):
        split(vg, "train", "coco_caption", coco=coco | {"images": "train2017"})


def test_published_triplets_stand_in_place_of_cocos_captions(vg, tmp_path):
    pictures = [("train2017", 101 + i, [f"caption {i}"]) for i in range(8)] + [("val2017", 200, ["a dog"])]
    coco = {"folder": str(write_coco(tmp_path / "coco", pictures))}
    graphs = {
        str(number): {"objects": ["men", "hat"], "triplets": [["men", "wearing", "hat"]]}
        for number in (102, 103, 106, 200, 999)  # 103 is in VG's test split, 999 is none of COCO's here
    }
    place = tmp_path / "aligned_triplet_info_vg.json"
    place.write_text(json.dumps({"text_scene_graph": graphs}))
    keys = {"coco": coco, "triplets": str(place)}
    train, skipped = split(vg, "train", "coco_caption", **keys)
    assert ids(train) == [102, 106, 200]
    assert {e.captions for e in train} == {()} and {e.triplets for e in train} == {(("men", "wearing", "hat"),)}
    name = "aligned_triplet_info_vg.json"
    assert (name, "3 images of the data without a triplet in it") in skipped
    assert (name, "2 images in it that are not trained on") in skipped
    assert ids(split(vg, "train", "coco_caption", train=2, **keys)[0]) == [102, 106]
    assert split(vg, "validation", "coco_caption", **keys)[0][0].captions == ("caption 0",)
    place.write_text(json.dumps({"text_scene_graph": {"999": graphs["999"]}}))
    with pytest.raises(ValueError, match=r"aligned_triplet_info_vg.json: its images \(such as '999'\) are none"):
        split(vg, "train", "coco_caption", **keys)
    with pytest.raises(ValueError, match=r"set data.setting to coco_caption"):
        split(vg, "train", "vg_caption", triplets=str(place))


def test_files_without_attributes_are_found_by_their_own_names(tmp_path):
    write_vg(tmp_path, IMAGES, attributes=False)
    assert ids(split(tmp_path, "test")[0]) == [3, 7]
    places = [need.place for need in open_source(Vg150Data(source="vg150", folder=str(tmp_path)), tmp_path).needs()]
    assert str(tmp_path / "VG-SGG.h5") in places and str(tmp_path / "VG-SGG-dicts.json") in places


def test_missing_and_broken_pictures_are_left_out(tmp_path):
    write_vg(tmp_path, IMAGES)
    (tmp_path / "VG_100K" / "9.jpg").unlink()
    (tmp_path / "VG_100K_2" / "2.jpg").write_bytes(b"\xff\xd8 cut off")
    train, skipped = split(tmp_path, "train", overlapping=False)
    assert ids(train) == [5, 6]
    assert [what for what, _ in skipped] == ["2", "9"] and "VG_100K_2" in skipped[1][1]


def _cut(folder):
    path = folder / "VG-SGG-with-attri.h5"
    path.write_bytes(path.read_bytes()[:-900])


def _text(folder):
    (folder / "VG-SGG-with-attri.h5").write_text("no HDF5")


def _without_predicates(folder):
    with h5py.File(folder / "VG-SGG-with-attri.h5", "a") as file:
        del file["predicates"]


def _high_label(folder):
    with h5py.File(folder / "VG-SGG-with-attri.h5", "a") as file:
        file["labels"][0] = 6


def _foreign_box(folder):
    with h5py.File(folder / "VG-SGG-with-attri.h5", "a") as file:
        file["relationships"][0] = [0, 5]


def _short_list(folder):
    path = folder / "image_data.json"
    path.write_text(json.dumps(json.loads(path.read_text())[:-1]))


def _gap(folder):
    path = folder / "VG-SGG-dicts-with-attri.json"
    content = json.loads(path.read_text())
    content["label_to_idx"]["man"] = 9
    path.write_text(json.dumps(content))


def _no_ids(folder):
    (folder / "image_data.json").write_text('[{"url": "x"}]')


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "truncated or no HDF5 file"),
        (_text, "truncated or no HDF5 file"),
        (_without_predicates, "holds no predicates"),
        (_high_label, "a label is beyond the dictionary"),
        (_foreign_box, "a box of another image"),
        (_short_list, "9 images, but .* lists 8"),
        (_gap, "does not number its names 1 to 5"),
        (_no_ids, "no whole number as image_id"),
    ],
)
def test_broken_files_are_named(tmp_path, damage, message):
    damage(write_vg(tmp_path, IMAGES))
    with pytest.raises(ValueError, match=message) as caught:
        split(tmp_path, "train")
    assert str(tmp_path) in str(caught.value)


def test_missing_files_and_too_few_images_are_named(tmp_path, vg):
    with pytest.raises(ValueError, match=r"VG-SGG-dicts-with-attri\.json: no such file"):
        split(tmp_path, "train")
    with pytest.raises(ValueError, match="5 training images have relations, and 5000 are to be held out"):
        split(vg, "train", validation=5000)
    with pytest.raises(ValueError, match="no such image folder"):
        split(vg, "train", images=["elsewhere"])


def test_regions_are_read_as_a_stream(tmp_path, monkeypatch):
    from groundgraph.formats import json_stream

    monkeypatch.setattr(json_stream, "CHUNK", 7)  # every object spans several reads
    path = tmp_path / "list.json"
    rows = [{"id": i, "text": 'a "quoted" {brace} é'} for i in range(20)]
    path.write_text(" " + json.dumps(rows, indent=1, ensure_ascii=False), encoding="utf-8")
    assert list(json_stream.read_objects(path)) == rows
    for text, word in (
        ('{"id": 1}', "not a JSON list"),
        ('[{"id": 1}, {"id"', "truncated"),
        ("[1]", "no object"),
        ("[", "truncated"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=word):
            list(json_stream.read_objects(path))
    path.write_text("[]")
    assert list(json_stream.read_objects(path)) == []


def test_ranges_cover_images_without_boxes_or_relations(tmp_path):
    write_vg(tmp_path, [image(1, objects=[], relations=[]), *IMAGES])
    graphs = read_graphs(tmp_path / "VG-SGG-with-attri.h5", tmp_path / "VG-SGG-dicts-with-attri.json")
    assert graphs.related.tolist() == [False, True, True, True, False, True, True, True, False, True]
    boxes, usable, labels, relations = graphs.image(0)
    assert boxes.shape == (0, 4) and len(usable) == len(labels) == 0 and relations.shape == (0, 3)


H5, NAMES, LIST, PHRASES = (
    "VG-SGG-with-attri.h5",
    "VG-SGG-dicts-with-attri.json",
    "image_data.json",
    "region_descriptions.json",
)


def rewritten(folder, name, change):
    """A JSON file of the folder as `change` makes it from its content."""
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(change(content)))
    return folder


def stored(folder, **datasets):
    """The h5 file with some datasets replaced: arrays, or functions of the array that is there."""
    with h5py.File(folder / H5, "a") as file:
        for name, value in datasets.items():
            value = value(file[name][()]) if callable(value) else value
            del file[name]
            file.create_group(name) if value is None else file.create_dataset(name, data=value)
    return folder


def at_both(**columns):
    """Both datasets of boxes, some of their rows (by number) replaced."""

    def changed(boxes):
        boxes = boxes.astype(float)
        for row, box in columns.items():
            boxes[int(row[1:])] = box
        return boxes

    return {"boxes_1024": changed, "boxes_512": changed}


@pytest.mark.parametrize(
    "bad", [[50, 50, -10, 10], [50, 50, 0, 10], [50, 50, 10, np.nan], [np.inf] * 4, [5000, 9, 9, 9]]
)
def test_bad_boxes_and_their_relations_are_left_out_and_recorded(tmp_path, bad):
    # Rows 9-11 are test image 3's man, hat and horse: without the hat, "wearing" goes; without the man, the image.
    write_vg(tmp_path, IMAGES)
    test, skipped = split(stored(tmp_path, **at_both(r7=bad)), "test")
    (three,) = (e for e in test if e.image_id == "3")
    assert three.truth.labels == ("man", "horse") and three.truth.relations == ((0, "riding", 1),)
    assert three.triplets == (("man", "riding", "horse"),) and {m.objects for m in three.truth.mentions} == {(0,), (1,)}
    assert [what for what, _ in skipped] == ["3"] and "1 boxes left out" in skipped[0][1]
    test, skipped = split(stored(tmp_path, **at_both(r6=bad)), "test")
    assert ids(test) == [7] and [what for what, _ in skipped] == ["3"]
    train, _ = split(stored(tmp_path, **at_both(r3=bad, r4=bad, r5=bad)), "train", "vg_caption")
    assert ids(train) == [2, 4, 5, 9] and len(train[0].truth.boxes) == 0  # its captions are as good as before


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda b: b / 1024, "27 of 27 boxes are shares of 0..1"),
        (lambda b: b * [1, 1, -1, 1], "27 of 27 boxes are no numbers, have no area or lie outside"),
        (lambda b: b + np.array([1000, 1000, 0, 0]), "boxes are no numbers, have no area or lie outside"),
        (lambda b: b.astype("S8"), "boxes_1024 holds texts, not numbers"),
        (lambda b: b[:, :3], r"boxes are not \[boxes, 4\]"),
    ],
)
def test_boxes_that_cannot_be_the_published_ones_name_the_file(tmp_path, change, word):
    with pytest.raises(ValueError, match=word) as caught:
        split(stored(write_vg(tmp_path, IMAGES), boxes_1024=change), "test")
    assert H5 in str(caught.value)


@pytest.mark.parametrize("name", ["split", "labels", "relationships", "predicates", "img_to_first_box", "boxes_1024"])
@pytest.mark.parametrize("value", [None, np.int32(2), b"words", np.array([b"man"] * 9), [0.5, np.nan] * 5])
def test_datasets_that_are_no_numbers_are_named(tmp_path, name, value):
    with pytest.raises(ValueError, match=rf"{H5}: {name} (is|holds|has)|{H5}: boxes are not|not \[relations"):
        split(stored(write_vg(tmp_path, IMAGES), **{name: value}), "test")


@pytest.mark.parametrize("values", [lambda s: (s == 2).astype(int), lambda s: s == 2, lambda s: s / 2])
def test_a_split_of_other_numbers_is_no_split(tmp_path, values):
    with pytest.raises(ValueError, match=r"split holds .*, but 0 is training and 2 is test"):
        split(stored(write_vg(tmp_path, IMAGES), split=values), "train")


def test_a_file_that_is_open_elsewhere_is_read(tmp_path):
    write_vg(tmp_path, IMAGES)
    script = "import h5py, sys; f = h5py.File(sys.argv[1], 'a'); print('open', flush=True); sys.stdin.read()"
    words = [sys.executable, "-c", script, str(tmp_path / H5)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        assert ids(split(tmp_path, "test")[0]) == [3, 7]
        other.stdin.close()


@pytest.mark.parametrize("form", [float, str, lambda i: f"{i}.0", lambda i: f"{i:09d}"])
def test_ids_are_one_however_they_are_written(tmp_path, form):
    write_vg(tmp_path, IMAGES)
    pictures = [("train2017", 101 + i, [f"caption {i}"]) for i in range(8)]
    coco = {"folder": str(write_coco(tmp_path / "coco", pictures)), "images": "train2017"}
    coco["captions"] = "annotations/captions_train2017.json"

    def listed(content):
        for entry in content:
            coco_id = entry["coco_id"]
            entry |= {
                "image_id": form(entry["image_id"]),
                "coco_id": float("nan") if coco_id is None else form(coco_id),
            }
        return content

    rewritten(tmp_path, LIST, listed)
    rewritten(tmp_path, PHRASES, lambda content: [e | {"id": form(e["id"])} for e in content])
    rewritten(tmp_path, NAMES, lambda c: c | {"label_to_idx": {k: form(v) for k, v in c["label_to_idx"].items()}})
    assert ids(split(tmp_path, "train", "vg_caption")[0]) == [2, 4, 5, 9]
    assert ids(split(tmp_path, "train", "coco_caption", coco=coco)[0]) == [102, 104, 105, 106, 107]


def test_coco_images_that_cannot_be_told_from_vgs_test_images_are_an_error(tmp_path):
    write_vg(tmp_path, IMAGES)
    coco = {"folder": str(write_coco(tmp_path / "coco", [("train2017", 901, ["a"])])), "images": "train2017"}
    coco["captions"] = "annotations/captions_train2017.json"
    with pytest.raises(ValueError, match=r"image_data\.json: no coco_id is one of COCO's images here"):
        split(tmp_path, "train", "coco_caption", coco=coco)
    rewritten(tmp_path, LIST, lambda content: [{k: v for k, v in e.items() if k != "coco_id"} for e in content])
    with pytest.raises(ValueError, match=r"image_data\.json: no entry has a coco_id"):
        split(tmp_path, "train", "coco_caption", coco=coco)
    rewritten(tmp_path, LIST, lambda content: [e | {"coco_id": "x1"} for e in content])
    with pytest.raises(ValueError, match="entry 0 has a coco_id that is no whole number"):
        split(tmp_path, "train", "vg_caption")


def test_two_images_with_one_coco_id_are_both_kept_out(tmp_path):
    write_vg(tmp_path, [image(1), image(2, 2, coco_id=102), image(3, coco_id=102), image(4, coco_id=103)])
    coco = {"folder": str(write_coco(tmp_path / "coco", [("train2017", 102, ["a"]), ("train2017", 103, ["b"])]))}
    coco |= {"images": "train2017", "captions": "annotations/captions_train2017.json"}
    assert ids(split(tmp_path, "train", "coco_caption", coco=coco)[0]) == [103]


@pytest.mark.parametrize(
    ("numbers", "word"),
    [
        (lambda n: {k: v - 1 for k, v in n.items()}, "number 0 in `label_to_idx` is 'dog', but 0 stands for the back"),
        (lambda n: {k: [v] for k, v in n.items()}, "the number of 'dog' in `label_to_idx` is none"),
        (lambda n: {k: None for k in n}, "the number of 'dog' in `label_to_idx` is none"),
        (lambda n: n | {"cat": 1}, "does not number its names 1 to 6"),
        (list, "has no `label_to_idx`"),
    ],
)
def test_dictionaries_that_number_otherwise_are_named(tmp_path, numbers, word):
    rewritten(write_vg(tmp_path, IMAGES), NAMES, lambda c: c | {"label_to_idx": numbers(c["label_to_idx"])})
    with pytest.raises(ValueError, match=word) as caught:
        split(tmp_path, "test")
    assert NAMES in str(caught.value)


def test_a_background_in_the_dictionary_is_passed_over(vg, tmp_path):
    rewritten(
        write_vg(tmp_path, IMAGES), NAMES, lambda c: c | {"label_to_idx": {"__background__": 0} | c["label_to_idx"]}
    )
    assert split(tmp_path, "test")[0][0].truth.labels == split(vg, "test")[0][0].truth.labels


def test_an_image_list_in_another_order_is_noticed(tmp_path):
    # Each image has a box that fills it, so that a wide one does not fit into a tall one's row.
    shapes = [image(i, size=(200, 100) if i % 2 else (100, 200)) for i in range(1, 9)]
    for one in shapes:
        one["objects"] = [("man", (1, 1, *one["size"])), ("hat", (9, 9, 20, 20)), ("horse", (9, 9, 40, 40))]
    write_vg(tmp_path, shapes)
    assert ids(split(tmp_path, "train")[0]) == [2, 3, 4, 5, 6, 7, 8]
    rewritten(tmp_path, LIST, lambda content: content[::-1])
    with pytest.raises(ValueError, match=r"image_data\.json: boxes of 8 of its 8 images lie outside .* its order"):
        split(tmp_path, "train")
    rewritten(tmp_path, LIST, lambda content: [*content[:-1], content[0]])
    with pytest.raises(ValueError, match=r"image_data\.json: lists image 8 twice"):
        split(tmp_path, "train")


def test_region_descriptions_of_other_images_are_noticed(tmp_path):
    write_vg(tmp_path, IMAGES)

    def mixed(content):
        content[2]["regions"][0]["image_id"] = 99  # image 2
        content[4]["regions"] = None  # image 4
        content[5]["regions"][0]["phrase"] = float("nan")  # image 5
        return content

    train, skipped = split(rewritten(tmp_path, PHRASES, mixed), "train", "vg_caption")
    assert ids(train) == [5, 9] and train[0].captions == ("a hat on a man",)
    told = dict(skipped[:3])
    assert "the images' ids 2, 99" in told[f"{PHRASES}[2]"] and "no list" in told[f"{PHRASES}[4]"]
    assert "1 regions without a phrase that is text" in told["5"]
    rewritten(tmp_path, PHRASES, lambda c: [{"id": 1000 + i, "regions": []} for i in range(9)])
    with pytest.raises(ValueError, match=r"region_descriptions\.json: none of its images is one of image_data"):
        split(tmp_path, "train", "vg_caption")


def test_pictures_that_exif_turns_and_pictures_of_another_shape(tmp_path):
    write_vg(tmp_path, IMAGES)
    (straight,) = (e for e in split(tmp_path, "test")[0] if e.image_id == "3")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (200, 100)).save(tmp_path / "VG_100K" / "3.jpg", exif=exif.tobytes())
    (turned,) = (e for e in split(tmp_path, "test")[0] if e.image_id == "3")
    x1, y1, x2, y2 = straight.truth.boxes.T
    assert np.allclose(turned.truth.boxes, np.stack([100 - y2, x1, 100 - y1, x2], 1).clip(0, [99, 199] * 2), atol=1e-3)
    Image.new("RGB", (100, 200)).save(tmp_path / "VG_100K" / "3.jpg")
    test, skipped = split(tmp_path, "test")
    assert ids(test) == [7] and "in a frame of 200 x 100 pixels, the upright image has 100 x 200" in skipped[0][1]


def test_byte_order_marks_are_passed_over(vg, tmp_path):
    write_vg(tmp_path, IMAGES)
    for name, encoding in ((NAMES, "utf-8-sig"), (LIST, "utf-16"), (PHRASES, "utf-8-sig")):
        (tmp_path / name).write_text((tmp_path / name).read_text(), encoding=encoding)
    assert ids(split(tmp_path, "train", "vg_caption")[0]) == ids(split(vg, "train", "vg_caption")[0])


def test_two_pictures_of_one_image_are_left_out_and_two_equal_ones_are_not(vg, tmp_path):
    write_vg(tmp_path, IMAGES)
    (tmp_path / "VG_100K_2" / "3.jpg").write_bytes((tmp_path / "VG_100K" / "3.jpg").read_bytes())
    assert ids(split(tmp_path, "test")[0]) == [3, 7]
    Image.new("RGB", (200, 100), "red").save(tmp_path / "VG_100K_2" / "3.jpg")
    test, skipped = split(tmp_path, "test")
    assert ids(test) == [7] and "two different ones are in VG_100K, VG_100K_2" in skipped[0][1]


def test_a_coco_image_in_two_files_is_one(vg, tmp_path):
    coco = write_coco(
        tmp_path / "coco", [("train2017", 150, ["one"]), ("val2017", 150, ["two"]), ("val2017", 102, ["b"])]
    )
    train, skipped = split(vg, "train", "coco_caption", coco={"folder": str(coco)})
    assert [(e.image_id, e.captions) for e in train] == [("150", ("one",)), ("102", ("b",))]
    assert [what for what, _ in skipped] == ["150"]


def test_names_that_no_file_can_hold_are_made_plain(tmp_path):
    def odd(content):
        numbers = content["label_to_idx"]
        return content | {"label_to_idx": {"ma\ud800n\x1b" if k == "man" else k: v for k, v in numbers.items()}}

    test, _ = split(rewritten(write_vg(tmp_path, IMAGES), NAMES, odd), "test")
    assert test[0].truth.labels[0] == "ma?n"


def test_coco_images_numbered_anew_are_an_error(vg, tmp_path):
    coco = write_coco(tmp_path / "coco", [("train2017", 103, ["one"]), ("train2017", 104, ["two"])])
    path = coco / "annotations" / "captions_train2017.json"
    path.write_text(path.read_text().replace('"id": 103,', '"id": 1,').replace('"image_id": 103,', '"image_id": 1,'))
    with pytest.raises(ValueError, match=r"captions_train2017\.json: image 1 is 000000000103\.jpg; ids must be COCO's"):
        split(vg, "train", "coco_caption", coco={"folder": str(coco)})
