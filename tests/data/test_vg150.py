"""VG150 from miniature files in the published formats: splits, filters, boxes, the three settings, broken files."""

import json
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from PIL import Image
from vg_files import image, write_coco, write_vg

from groundgraph.data.sources import open_source
from groundgraph.data.sources.config import Vg150Data
from groundgraph.data.sources.vg150_files import read_graphs
from groundgraph.data.types import Skipped


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
    from groundgraph.data import json_stream

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
    boxes, labels, relations = graphs.image(0)
    assert boxes.shape == (0, 4) and len(labels) == 0 and relations.shape == (0, 3)
