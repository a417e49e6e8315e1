"""Files as other projects publish and read them: each is written from the public source that its test names."""

import csv
import io
import json
import tarfile

import numpy as np
import pytest
from scipy.io import savemat
from source_examples import opened, split
from test_caption_files import read
from test_graph_data import picture, write

from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.vg150 import read_image_list, read_phrases


def test_flickr30k_entities_pixels_count_from_1(tmp_path):
    # 1000092795 as quoted in READMEs of phrase grounding; flickr30k_entities_utils.py of
    # BryanPlummer/flickr30k_entities takes 1 from each coordinate. An object may have two chains, a
    # chain several boxes, or none ("nobndbox").
    places = [
        ((1,), 159, 125, 219, 335),
        ((4,), 1, 220, 211, 473),
        ((4,), 276, 215, 332, 337),
        ((1, 6), 197, 110, 261, 373),
    ]
    boxes = "".join(
        "\t<object>\n"
        + "".join(f"\t\t<name>{chain}</name>\n" for chain in chains)
        + f"\t\t<bndbox>\n\t\t\t<xmin>{a}</xmin>\n\t\t\t<ymin>{b}</ymin>\n"
        f"\t\t\t<xmax>{c}</xmax>\n\t\t\t<ymax>{d}</ymax>\n\t\t</bndbox>\n\t</object>\n"
        for chains, a, b, c, d in places
    )
    size = "\t<size>\n\t\t<width>333</width>\n\t\t<height>500</height>\n\t\t<depth>3</depth>\n\t</size>\n"
    none = "\t<object>\n\t\t<name>10</name>\n\t\t<scene>0</scene>\n\t\t<nobndbox>1</nobndbox>\n\t</object>\n"
    xml = f"<annotation>\n\t<filename>1000092795.jpg</filename>\n{size}{boxes}{none}</annotation>\n"
    write(tmp_path / "Annotations" / "1000092795.xml", xml.replace("\n", "\r\n"))
    sentences = (
        "[/EN#1/people Two young , White males] are outside near [/EN#4/scene many bushes] .\n"
        "[/EN#6/people A man] in [/EN#7/clothing a blue shirt] standing in [/EN#9/scene a garden] .\n"
        "[/EN#1/people Two friends] enjoy [/EN#10/other time] "
        "[/EN#0/notvisual what] they [/EN#6729/vehicles/scene ride] .\n"
    )
    write(tmp_path / "Sentences" / "1000092795.txt", sentences)
    write(tmp_path / "train.txt", "1000092795\n")
    picture(tmp_path / "flickr30k-images" / "1000092795.jpg", (333, 500))
    (example,), notes = split("flickr30k-entities", tmp_path)
    assert example.truth.boxes.tolist() == [[a - 1, b - 1, c - 1, d - 1] for _, a, b, c, d in places] and not notes
    assert example.captions[2] == "Two friends enjoy time what they ride ."
    assert example.truth.labels == ("people", "scene", "scene", "people")
    meant = [(example.captions[m.caption][slice(*m.span)], m.objects) for m in example.truth.mentions]
    assert meant == [
        ("Two young , White males", (0, 3)),
        ("many bushes", (1, 2)),
        ("A man", (3,)),
        ("Two friends", (0, 3)),
    ]


OPEN_IMAGES = "ImageID,LabelName1,LabelName2,XMin1,XMax1,YMin1,YMax1,XMin2,XMax2,YMin2,YMax2,"


@pytest.mark.parametrize("folder", ["", "train", "train/data", "train_0"])
def test_open_images_folders_and_descriptions_without_a_header(tmp_path, folder):
    # Columns and the "is" line as quoted in public readers (voxel51/fiftyone, utils/openimages.py); the challenge of
    # 2018 calls the last column RelationLabel; class-descriptions-boxable.csv has no header. Pictures lie as CVDF's
    # archives (train_0.tar.gz) or FiftyOne (train/data) leave them.
    lines = [
        f"{OPEN_IMAGES}RelationLabel",
        "000ac95750ac7399,/m/04yx4,/m/019nj4,0.049375,0.560625,0.08427,0.999064,0.049375,0.560625,0.08427,0.999064,is",
        "000ac95750ac7399,/m/04yx4,/m/0jyfg,0.049375,0.560625,0.08427,0.999064,0.2,0.3,0.1,0.15,wears",
        "000ac95750ac7399,/m/04yx4,/m/0jyfg,0.049375,0.560625,0.08427,0.999064,0.2,0.3,0.1,0.15,wears",
        "000ac95750ac7399,/m/04yx4,/m/0jyfg,0.5,0.5,0.08427,0.999064,0.2,0.3,0.1,0.15,wears",
    ]
    write(tmp_path / "challenge-2018-train-vrd.csv", "﻿" + "\r\n".join(lines) + "\r\n")
    write(tmp_path / "class-descriptions-boxable.csv", "/m/04yx4,Man\r\n/m/0jyfg,Glasses\r\n")
    picture(tmp_path / "images" / folder / "000ac95750ac7399.jpg", (200, 100))
    names = {"train_annotations": "challenge-2018-train-vrd.csv", "names": "class-descriptions-boxable.csv"}
    (example,), notes = split("open-images", tmp_path, **names)
    assert example.truth.labels == ("man", "glasses") and example.truth.relations == ((0, "wears", 1),)
    assert np.allclose(example.truth.boxes[1], [40, 10, 60, 15], atol=1e-4)
    assert [note.split(" lines")[0] for note in notes] == ["1", "1"]
    source = opened("open-images", tmp_path, **names, validation_annotations=None, test_annotations=None)
    assert [path.exists() for path in source.pictures()] == [True]


def test_open_images_as_pysgg_splits_it(tmp_path):
    # An entry as quoted in readers of pysgg/data/datasets/open_image.py (SHTUPLUS/PySGG), with fewer categories.
    entry = {"bbox": [[53, 129, 880, 357], [0, 129, 878, 357]], "det_labels": [2, 0], "rel": [[0, 1, 1], [0, 1, 1]]}
    entry |= {"img_size": [1024, 768], "img_fn": "003e363ce1f302cd"}
    write(tmp_path / "vrd-train-anno.json", [entry, {}])
    write(tmp_path / "categories_dict.json", {"obj": ["Man", "Car", "Horse"], "rel": ["at", "inside_of"]})
    picture(tmp_path / "images" / "003e363ce1f302cd.jpg", (1024, 768))
    names = {"train_annotations": "vrd-train-anno.json", "names": "categories_dict.json"}
    (example,), notes = split("open-images", tmp_path, **names)
    assert example.triplets == (("horse", "inside of", "man"),) and len(example.truth.relations) == 1
    assert example.truth.boxes[0].tolist() == [53, 129, 880, 357] and "not PySGG's" in notes[0]
    vocabularies = opened("open-images", tmp_path, **names).vocabularies()
    assert vocabularies == (("man", "car", "horse"), ("at", "inside of"))


def test_descriptions_that_do_not_fit_are_told(tmp_path):
    line = "000ac95750ac7399,/m/04yx4,/m/0jyfg,0.1,0.5,0.1,0.9,0.2,0.3,0.1,0.15,wears"
    write(tmp_path / "oidv6-train-annotations-vrd.csv", f"{OPEN_IMAGES}RelationshipLabel\n{line}\n")
    write(tmp_path / "oidv6-class-descriptions.csv", "LabelName,DisplayName\n/m/011k07,Tortoise\n")
    with pytest.raises(InputError, match=r"no image of it can be used \(1 lines of a label without a name"):
        split("open-images", tmp_path)


def test_gqa_as_its_page_shows_it(tmp_path):
    # cs.stanford.edu/people/dorarad/gqa/download.html: there an object's relations are an object, in the files a list.
    chair = {"name": "chair", "x": 220, "y": 310, "w": 50, "h": 80, "attributes": ["brown", "wooden", "small"]}
    graph = {"width": 640, "height": 480, "location": "living room", "weather": None, "objects": {}}
    graph["objects"]["271881"] = chair | {"relations": {"32452": {"name": "on", "object": "275312"}}}
    graph["objects"]["275312"] = chair | {"name": "rug", "relations": [{"name": "under", "object": 271881}]}
    write(tmp_path / "train_sceneGraphs.json", {"2407890": graph})
    keys = {"images": None, "train_annotations": "train_sceneGraphs.json", "test_annotations": None}
    (example,), notes = split("gqa", tmp_path, **keys)
    assert example.truth.relations == ((0, "on", 1), (1, "under", 0)) and not notes
    assert example.truth.boxes[0].tolist() == [220, 310, 270, 390] and example.size == (640, 480)


def test_psg_says_a_relation_once_and_takes_crowds(tmp_path):
    # openpsg/datasets/psg.py of Jingkang50/OpenPSG: relations that are there twice are one; crowds are boxes.
    segments = [
        {"id": 8546, "category_id": 0, "iscrowd": 1, "isthing": 1, "area": 1200},
        {"id": 27, "category_id": 1, "iscrowd": 0, "isthing": 0, "area": 5000},
    ]
    boxes = [{"bbox": [20, 10, 40, 40], "bbox_mode": 0, "category_id": 0}]
    boxes += [{"bbox": [0, 30, 100, 80], "bbox_mode": 0, "category_id": 1}]
    entry = {"file_name": "train2017/000000390555.jpg", "height": 80, "width": 100, "image_id": "2315538"}
    entry |= {"pan_seg_file_name": "panoptic_train2017/000000390555.png", "segments_info": segments}
    entry |= {"annotations": boxes, "relations": [[0, 1, 0], [0, 1, 0]]}
    content = {"data": [entry, entry], "test_image_ids": [], "predicate_classes": ["over"]}
    write(tmp_path / "psg.json", content | {"thing_classes": ["person"], "stuff_classes": ["grass"]})
    (example,), notes = split("psg", tmp_path, images=None)
    assert example.image_id == "2315538" and example.truth.relations == ((0, "over", 1),)
    assert notes == ["an image of this id stands before it in the file; the first counts"]


# The first entries of instances_test2015.json of fredzzhang/hicodet; its size, filenames, objects and verbs shortened.
HICODET = {
    "annotation": [
        {
            "boxes_h": [[302.0, 182.0, 322.0, 236.0]], "boxes_o": [[234.0, 85.0, 444.0, 298.0]],
            "hoi": [1], "object": [1], "verb": [2],
        },
        {
            "boxes_h": [[320.0, 306.0, 359.0, 349.0], [270.0, 303.0, 311.0, 350.0], [270.0, 303.0, 311.0, 350.0]],
            "boxes_o": [[148.0, 345.0, 376.0, 414.0]] * 3,
            "hoi": [0, 0, 2],
            "object": [0, 0, 0],
            "verb": [0, 0, 1],
        },
        {"boxes_h": [], "boxes_o": [], "hoi": [], "object": [], "verb": []},
    ],
    "filenames": [f"HICO_test2015_0000000{k}.jpg" for k in (3, 1, 2)],
    "size": [[640, 427], [640, 480], [480, 640]],
    "correspondence": [[0, 0, 0], [1, 1, 2], [2, 0, 1]],
    "empty": [2],
    "objects": ["dining_table", "bicycle"],
    "verbs": ["sit_at", "no_interaction", "ride"],
}  # fmt: skip


def test_hicodet_as_upt_reads_it(tmp_path):
    write(tmp_path / "instances_test2015.json", HICODET)
    for name in HICODET["filenames"]:
        picture(tmp_path / "images" / "test2015" / name, (640, 480))  # the authors' archive has a folder a split
    keys = {"train_annotations": "instances_test2015.json", "test_annotations": None}
    examples, _ = split("hico-det", tmp_path, **keys)
    assert [e.image_id for e in examples] == ["HICO_test2015_00000001"]  # the other's picture is of another shape
    source = opened("hico-det", tmp_path, **keys)
    assert source.vocabularies() == (("dining table", "bicycle"), ("sit at", "ride"))
    assert len(source.needs()) == 2  # the verbs are in the file
    (example,) = examples
    assert example.truth.labels == ("person", "dining table", "person")
    assert example.truth.boxes[0].tolist() == [319, 305, 359, 349]
    assert example.truth.relations == ((0, "sit at", 1), (2, "sit at", 1))


def structures(rows):
    """Dicts as MATLAB's array of structures, 1 x N."""
    array = np.empty((1, len(rows)), [(key, object) for key in rows[0]])
    for k, row in enumerate(rows):
        array[0, k] = tuple(row.values())
    return array


def test_hico_dets_own_matlab_file(tmp_path, monkeypatch):
    # Fields of anno_bbox.mat as public readers have them (ho-rcnn's hico_det.py and others): coordinates and numbers
    # count from 1; a structure that is alone comes back without its array, and an invisible interaction has [].
    def box(*corners):
        return dict(zip(("x1", "x2", "y1", "y2"), corners, strict=True))

    empty = np.zeros((0, 0))
    people = structures([box(320, 359, 306, 349), box(270, 311, 303, 350)])
    table = structures([box(148, 376, 345, 414)])
    hois = [
        {"id": 1, "bboxhuman": people, "bboxobject": table, "connection": np.array([[1, 1], [2, 1]]), "invis": 0},
        {"id": 2, "bboxhuman": people, "bboxobject": table, "connection": np.array([[1, 1]]), "invis": 0},
        {"id": 3, "bboxhuman": empty, "bboxobject": empty, "connection": empty, "invis": 1},
    ]
    alone = {"id": 3, "bboxhuman": structures([box(1, 30, 1, 40)]), "bboxobject": structures([box(5, 60, 5, 60)])}
    alone |= {"connection": np.array([[1, 1]]), "invis": 0}
    size = structures([{"width": 640, "height": 480, "depth": 3}])
    parts = [("HICO_train2015_00000001.jpg", structures(hois)), ("HICO_train2015_00000002.jpg", structures([alone]))]
    images = structures([{"filename": name, "size": size, "hoi": hoi} for name, hoi in parts])
    words = [("dining_table", "sit_at"), ("dining_table", "no_interaction"), ("bicycle", "ride")]
    actions = structures([{"nname": noun, "vname": verb, "vname_ing": verb + "ing"} for noun, verb in words]).T
    savemat(tmp_path / "anno_bbox.mat", {"bbox_train": images, "bbox_test": images, "list_action": actions})
    keys = {"images": None, "train_annotations": "anno_bbox.mat", "test_annotations": "anno_bbox.mat"}
    first, second = split("hico-det", tmp_path, **keys)[0]
    assert first.truth.labels == ("person", "dining table", "person") and first.size == (640, 480)
    assert first.truth.boxes[:2].tolist() == [[319, 305, 358, 348], [147, 344, 375, 413]]
    assert first.truth.relations == ((0, "sit at", 1), (2, "sit at", 1))
    assert second.triplets == (("person", "ride", "bicycle"),)
    assert len(split("hico-det", tmp_path, "test", **keys)[0]) == 2
    assert opened("hico-det", tmp_path, **keys).vocabularies()[1] == ("sit at", "ride")
    with monkeypatch.context() as patch:  # as a damaged file can end SciPy's reader
        patch.setattr("groundgraph.formats.mat._TRIAL", "import os; os.abort()")
        with pytest.raises(InputError, match="reading it crashes"):
            split("hico-det", tmp_path, **keys)
    (tmp_path / "anno_bbox.mat").write_bytes(b"MATLAB 5.0 MAT-file" * 20)
    with pytest.raises(InputError, match="no MATLAB file that can be read"):
        split("hico-det", tmp_path, **keys)


def test_hico_det_with_numbers_as_text(tmp_path):
    # An entry of test_hico.json as quoted in public readers; src/lib/datasets/hico.py of YueLiao/PPDM strips line ends
    # from category ids; hico_list_vb.txt begins with two lines that its readers pass over.
    entry = {"file_name": "HICO_test2015_00000006.jpg"}
    entry["hoi_annotation"] = [{"subject_id": 0, "object_id": 1, "category_id": "2\n"}]
    entry["annotations"] = [{"bbox": [31, 114, 638, 427], "category_id": "1\n"}]
    entry["annotations"] += [{"bbox": [28, 213, 636, 477], "category_id": "15"}]
    write(tmp_path / "trainval_hico.json", [entry])
    write(tmp_path / "hico_list_vb.txt", " verb_id    verb_name\n---------------------\n   1  adjust\n   2  lie_on\n")
    picture(tmp_path / "images" / "test2015" / "HICO_test2015_00000006.jpg", (640, 480))
    (example,), _ = split("hico-det", tmp_path)
    assert example.triplets == (("person", "lie on", "bench"),)
    assert example.truth.boxes.tolist() == [[31, 114, 638, 427], [28, 213, 636, 477]]


def test_ppdms_training_file_counts_pixels_from_0(tmp_path):
    # One image as both quote it: README of fredzzhang/hicodet has the authors' 208, 33, 427, 300; readers of PPDM's
    # trainval_hico.json have 207, 32, 426, 299.
    pair = {"boxes_h": [[208.0, 33.0, 427.0, 300.0]], "boxes_o": [[59.0, 98.0, 572.0, 405.0]]}
    pair |= {"hoi": [152], "object": [0], "verb": [0]}
    content = {"annotation": [pair], "filenames": ["HICO_train2015_00000001.jpg"], "size": [[640, 480]]}
    content |= {"objects": ["motorcycle"], "verbs": ["race"]}
    write(tmp_path / "instances_train2015.json", content)
    entry = {"file_name": "HICO_train2015_00000001.jpg", "img_id": 1}
    entry["annotations"] = [{"bbox": [207, 32, 426, 299], "category_id": 1}]
    entry["annotations"] += [{"bbox": [58, 97, 571, 404], "category_id": 4}]
    entry["hoi_annotation"] = [{"subject_id": 0, "object_id": 1, "category_id": 1, "hoi_category_id": 153}]
    write(tmp_path / "trainval_hico.json", [entry])
    write(tmp_path / "hico_list_vb.txt", "  1  race\n")
    keys = {"images": None, "test_annotations": None}
    first, second = (
        split("hico-det", tmp_path, **keys, train_annotations=name)[0][0]
        for name in ("instances_train2015.json", "trainval_hico.json")
    )
    assert first.triplets == second.triplets == (("person", "race", "motorcycle"),)
    assert first.truth.boxes[:, :2].tolist() == second.truth.boxes[:, :2].tolist() == [[207, 32], [58, 97]]


def test_sgg_benchmarks_bare_predicates(tmp_path):
    # sgg_benchmark/data/datasets/data.py of Maelic/SGG-Benchmark: rel_categories may be names, whose places are ids.
    content = {"images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}]}
    content["categories"] = [{"id": 1, "name": "person", "supercategory": "none"}, {"id": 2, "name": "horse"}]
    content["annotations"] = [
        {"id": k, "image_id": 5, "category_id": 1 + k, "bbox": [10 * k, 10, 20, 30], "iscrowd": 0} for k in (0, 1)
    ]
    content["rel_categories"] = ["above", "riding"]
    content["rel_annotations"] = [{"id": 0, "subject_id": 0, "predicate_id": 1, "object_id": 1, "image_id": 5}]
    write(tmp_path / "train.json", content)
    (example,), notes = split("coco-relations", tmp_path, images=None)
    assert example.triplets == (("person", "riding", "horse"),) and not notes


def test_visual_genomes_versions(tmp_path):
    # homes.cs.washington.edu/~ranjay/visualgenome: image_data.json has "image_id", in version 1.0 "id"; a region has
    # its image's id or the entry alone has it.
    size = {"width": 500, "height": 281, "coco_id": 547168, "flickr_id": 8505158818}
    url = {"url": "https://cs.stanford.edu/people/rak248/VG_100K/2370463.jpg"}
    region = {"x": 117, "y": 79, "width": 249, "height": 107, "phrase": "a cat sitting on a table."}
    entries = (
        {"image_id": 2407890, "regions": [region | {"region_id": 1353, "synsets": []}]},
        {"id": 2407890, "regions": [region | {"id": 1353, "image": 2407890}]},
        {"regions": [region | {"region_id": 1353, "image_id": 2407890}]},
    )
    for key, entry in zip(("image_id", "id", "image_id"), entries, strict=True):
        (image,) = read_image_list(write(tmp_path / "image_data.json", [{key: 2407890} | url | size]))
        assert (image.id, image.coco_id, image.size) == (2407890, 547168, (500, 281))
        path, skipped = write(tmp_path / "region_descriptions.json", [entry]), Skipped()
        assert read_phrases(path, {2407890}, {2407890}, skipped) == {2407890: (region["phrase"],)} and not skipped.items


@pytest.mark.parametrize("name", ["results_20130124.token", "Flickr8k.token.txt"])
def test_flickrs_token_files(tmp_path, name):
    # Lines of Flickr8k.token.txt as quoted in many tutorials; Flickr30k's have the same form.
    (tmp_path / name).write_text(
        "1000268201_693b08cb0e.jpg#0\tA child in a pink dress , with hair , is climbing up a set of stairs .\n"
        "1000268201_693b08cb0e.jpg#1\tA girl going into a wooden building .\n"
        '101654506_8eb26cfb60.jpg#0\t\tA "dog" is running in the snow\n\n'
    )
    for own in ("1000268201_693b08cb0e.jpg", "101654506_8eb26cfb60.jpg"):
        picture(tmp_path / "Images" / own)
    rows, _, notes = read("table", tmp_path / name, tmp_path, images=str(tmp_path / "Images"))
    assert [(own, len(texts)) for own, texts in rows] == [
        ("1000268201_693b08cb0e.jpg", 2),
        ("101654506_8eb26cfb60.jpg", 1),
    ]
    assert rows[1][1] == ('A "dog" is running in the snow',) and not notes


def test_conceptual_captions_in_all_its_orders(tmp_path):
    # google-research-datasets: 3M is caption, address; 12M address, caption; img2dataset's guides add a header to both.
    for key in ("000000000", "000000001"):
        picture(tmp_path / "images" / f"{key}.jpg")
    captions = ('"big" dogs, cats, and a "red, red', "a man's hat")
    for name, header, turned in (
        ("a.tsv", "", 1),
        ("b.txt", "", -1),
        ("c.tsv", "caption\turl\n", 1),
        ("d.tsv", "url\tcaption\n", -1),
    ):
        rows = ["\t".join((caption, f"http://x.org/{k}.jpg")[::turned]) for k, caption in enumerate(captions)]
        (tmp_path / name).write_text(header + "\n".join(rows) + "\n")
        own, _, notes = read("table", tmp_path / name, tmp_path, images=str(tmp_path / "images"))
        assert own == [("000000000", captions[:1]), ("000000001", captions[1:])] and not notes, name


def test_laions_own_table_is_told_to_fetch_its_pictures(tmp_path):
    # LAION-400M's columns (laion.ai), and DataComp's (mlfoundations/datacomp): addresses, and no picture's name.
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    laion = {"SAMPLE_ID": [1.0], "URL": ["http://x.org/1.jpg"], "TEXT": ["a dog"], "HEIGHT": [9], "WIDTH": [9]}
    datacomp = {"uid": ["c0ffee"], "url": ["http://x.org/1.jpg"], "text": ["a dog"], "sha256": ["00"]}
    for k, table in enumerate((laion, datacomp)):
        pq.write_table(pa.table(table), tmp_path / f"{k}.parquet")
        with pytest.raises(InputError, match=r"its pictures are addresses .* fetch them by img2dataset"):
            read("table", tmp_path / f"{k}.parquet", tmp_path, images=str(tmp_path))


def test_tables_that_pandas_wrote(tmp_path):
    # pandas quotes a cell that has quotes, with any delimiter; flickr's own files have bare quotes.
    picture(tmp_path / "a.jpg")
    for delimiter in ",\t|":
        target = io.StringIO()
        csv.writer(target, delimiter=delimiter).writerows([("image", "caption"), ("a.jpg", 'a "big, big" dog')])
        (tmp_path / "t.csv").write_bytes(target.getvalue().encode("utf-8-sig"))
        assert read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))[0] == [
            ("a.jpg", ('a "big, big" dog',))
        ]


def test_latin_1_and_packed_files_are_told(tmp_path):
    (tmp_path / "t.csv").write_bytes("image,caption\na.jpg,un café\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"t\.csv: not text in UTF-8 .* save it as UTF-8"):
        read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))
    (tmp_path / "t.csv").write_bytes(b"\x1f\x8b\x08\x00packed")
    with pytest.raises(InputError, match=r"t\.csv: packed by gzip; unpack it \(gunzip\)"):
        read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path))


def test_webdataset_members_in_folders_and_of_two_endings(tmp_path):
    # Members as `tar cf x.tar ./folder` writes them; webdataset's key ends at the first dot of the file's name.
    content = io.BytesIO()
    picture(tmp_path / "p.jpg")
    with tarfile.open(fileobj=content, mode="w") as tar:
        for name, data in {
            "./a/0.img.jpg": (tmp_path / "p.jpg").read_bytes(),
            "./a/0.json": json.dumps({"key": "0", "caption": "un café", "url": "u"}).encode(),
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    (tmp_path / "x.tar").write_bytes(content.getvalue())
    rows, examples, notes = read("webdataset", tmp_path / "x.tar", tmp_path)
    assert rows == [("x/a/0.img.jpg", ("un café",))] and not notes and examples[0].path.endswith(".jpg")


def test_what_img2dataset_wrote_as_files(tmp_path):
    # img2dataset, output_format "files": a picture's .jpg, .txt and .json in a folder a shard, a parquet beside it.
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    picture(tmp_path / "out" / "00000" / "000000000.jpg")
    write(tmp_path / "out" / "00000" / "000000000.txt", "a dog")
    write(tmp_path / "out" / "00000" / "000000000.json", {"caption": "a dog", "key": "000000000", "status": "success"})
    write(tmp_path / "out" / "00000_stats.json", {"count": 2, "successes": 1})
    rows = {
        "caption": ["a dog", "a cat"],
        "url": ["http://x.org/1", "http://x.org/2"],
        "key": ["000000000", "000000001"],
    }
    pq.write_table(pa.table(rows | {"status": ["success", "failed_to_download"]}), tmp_path / "out" / "00000.parquet")
    own, _, notes = read("table", tmp_path / "out", tmp_path, images=str(tmp_path / "out"))
    assert own == [("000000000", ("a dog",))] and "not there" in notes[0]


def test_cocos_pictures_named_without_their_folder(tmp_path):
    # yerevann/coco-karpathy and others on the hub: "filename" alone, the pictures in COCO's train2014 and val2014.
    for part in ("train2014", "val2014"):
        picture(tmp_path / "coco" / part / f"COCO_{part}_000000000042.jpg")
    (tmp_path / "t.csv").write_text(
        "filename,caption\nCOCO_train2014_000000000042.jpg,a\nCOCO_val2014_000000000042.jpg,b\n"
    )
    own, examples, notes = read("table", tmp_path / "t.csv", tmp_path, images=str(tmp_path / "coco"))
    assert len(own) == 2 and examples[1].path.endswith("coco/val2014/COCO_val2014_000000000042.jpg") and not notes


def test_sentences_as_the_hub_has_karpathys_files(tmp_path):
    # HuggingFaceM4/COCO: a sentence a row, {"raw", "tokens"}; others have a list of them.
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    picture(tmp_path / "a.jpg")
    one = {"raw": "A dog .", "tokens": ["a", "dog"], "sentid": 1}
    for sentences in (one, [one]):
        pq.write_table(pa.Table.from_pylist([{"filename": "a.jpg", "sentences": sentences}]), tmp_path / "x.parquet")
        assert read("table", tmp_path / "x.parquet", tmp_path, images=str(tmp_path))[0] == [("a.jpg", ("A dog .",))]


def test_boxes_beyond_their_picture_end_at_its_sides(tmp_path):
    # As SGG-Benchmark (data.py: clip_to_image) and maskrcnn-benchmark read boxes; one that has nothing in the picture
    # is none there either. Where most boxes lie beyond, they are corners where sides were meant, and fall as before.
    content = {"images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}]}
    content["categories"] = [{"id": 1, "name": "person"}, {"id": 2, "name": "horse"}]
    boxes = [[-20, -20, 50, 50], [60, 40, 80, 60], [120, 10, 20, 20], [10, 10, 20, 20], [40, 10, 20, 20], [1, 1, 9, 9]]
    content["annotations"] = [
        {"id": k, "image_id": 5, "category_id": 1 + k % 2, "bbox": box, "iscrowd": 0} for k, box in enumerate(boxes)
    ]
    content["rel_categories"] = [{"id": 0, "name": "riding"}, {"id": 1, "name": "near"}]
    pairs = [(0, 1, 0), (2, 1, 1), (3, 1, 1)]
    content["rel_annotations"] = [
        {"id": k, "subject_id": s, "object_id": o, "predicate_id": p, "image_id": 5}
        for k, (s, o, p) in enumerate(pairs)
    ]
    write(tmp_path / "train.json", content)
    picture(tmp_path / "images" / "a.jpg", (200, 160))  # twice as large as it was annotated
    for images, scale in ((None, 1), ("images", 2)):
        (example,), notes = split("coco-relations", tmp_path, images=images)
        assert example.truth.labels == ("person", "horse", "horse", "person", "horse")
        expected = np.array([[0, 0, 30, 30], [60, 40, 100, 80], [10, 10, 30, 30]]) * scale
        assert example.truth.boxes[:3].tolist() == expected.tolist()
        assert example.truth.relations == ((0, "riding", 1), (2, "near", 1))
        size = "100 x 80" if images is None else "200 x 160"
        assert notes == [
            f"2 boxes that reach beyond the image of {size} pixels end at its sides",
            f"1 boxes left out that reach beyond the image of {size} pixels, with 1 relations",
        ]
    for note in content["annotations"]:
        note["bbox"] = [60, 50, 90, 75]  # corners
    write(tmp_path / "train.json", content)
    examples, notes = split("coco-relations", tmp_path, images=None)
    assert not examples and "6 boxes left out that reach beyond" in notes[0]


@pytest.mark.parametrize("images", [None, "images"])
def test_boxes_that_are_shares_are_told(tmp_path, images):
    content = {"images": [{"id": 5, "file_name": "a.jpg", "width": 100, "height": 80}]}
    content["categories"] = [{"id": 1, "name": "person"}]
    content["annotations"] = [
        {"id": k, "image_id": 5, "category_id": 1, "bbox": [0.1 * k, 0.1, 0.3, 0.3]} for k in (0, 1)
    ]
    content["rel_categories"], relation = ["near"], {"subject_id": 0, "object_id": 1, "predicate_id": 0, "image_id": 5}
    write(tmp_path / "train.json", content | {"rel_annotations": [relation]})
    picture(tmp_path / "images" / "a.jpg", (100, 80))
    examples, (note,) = split("coco-relations", tmp_path, images=images)
    assert not examples and "boxes are shares of 0..1, not pixels: multiply them" in note
