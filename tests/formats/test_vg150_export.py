"""VG150-style files: what the readers of Visual Genome's own files make of them."""

import json

import numpy as np
import pytest
from formats_world import VOCABULARIES, world

from groundgraph.data.types import AnnotatedImage
from groundgraph.formats.vg150 import read_graphs, read_image_list, write_vg150
from groundgraph.grounding.annotations import annotations_of

NAMES = "VG-SGG-with-attri.h5", "VG-SGG-dicts-with-attri.json", "image_data.json"


def exported(folder, images):
    counts = write_vg150(folder, images, VOCABULARIES)
    return counts, read_graphs(folder / NAMES[0], folder / NAMES[1]), json.loads((folder / NAMES[2]).read_text())


def test_round_trip(tmp_path):
    images = [annotations_of(name, str(tmp_path / f"{name}.png"), p, r) for name, r, p in world()]
    (tmp_path / "12.png").write_bytes(b"a picture")
    counts, graphs, listed = exported(tmp_path / "vg", images)
    assert counts == {"images": 2, "boxes": 3, "relations": 3, "images without a box": 1}
    assert (graphs.categories, graphs.predicate_names) == VOCABULARIES
    assert [(e["image_id"], e["width"], e["height"]) for e in listed] == [(12, 640, 480), (7, 100, 200)]
    assert [image.id for image in read_image_list(tmp_path / "vg" / NAMES[2])] == [12, 7]
    for row, image in enumerate(images):
        boxes, usable, labels, relations = graphs.image(row)
        assert usable.all()
        side = max(image.size)
        # Off by half a unit of 1/1024 of the longer side; a side of less than a unit becomes one.
        assert np.abs(boxes * side - image.boxes).max(initial=0) <= side / 1024
        whole = np.rint(image.boxes * (1024 / side))
        assert np.array_equal(
            boxes * 1024, np.concatenate([whole[:, :2], np.maximum(whole[:, 2:], whole[:, :2] + 1)], 1)
        )
        assert labels.tolist() == (image.labels - 1).tolist()
        assert relations.tolist() == (image.relations - [0, 0, 1]).tolist()
    assert graphs.test.tolist() == [False, False] and graphs.related.tolist() == [True, False]
    assert (tmp_path / "vg" / "images" / "12.jpg").read_bytes() == b"a picture"
    write_vg150(tmp_path / "vg", images, VOCABULARIES)  # again, over what is there
    assert not [p for p in (tmp_path / "vg").rglob("*") if p.name.endswith(".tmp")]


def test_names_dtypes_and_conventions_of_the_published_file(tmp_path):
    import h5py

    images = [annotations_of(name, name, p, r) for name, r, p in reversed(world())]  # the empty image first
    write_vg150(tmp_path, images, VOCABULARIES)
    with h5py.File(tmp_path / NAMES[0]) as file:
        arrays = {name: file[name][()] for name in file}
    kinds = {name: (a.shape, a.dtype.name) for name, a in arrays.items()}
    assert kinds == {
        "active_object_mask": ((3, 1), "bool"),
        "attributes": ((3, 10), "int64"),
        "boxes_1024": ((3, 4), "int32"),
        "boxes_512": ((3, 4), "int32"),
        "labels": ((3, 1), "int64"),
        "relationships": ((3, 2), "int32"),
        "predicates": ((3, 1), "int64"),
        "split": ((2,), "int32"),
        **{f"img_to_{end}_{what}": ((2,), "int32") for end in ("first", "last") for what in ("box", "rel")},
    }
    assert arrays["img_to_first_box"].tolist() == [-1, 0] and arrays["img_to_last_box"].tolist() == [-1, 2]
    assert arrays["img_to_first_rel"].tolist() == [-1, 0] and arrays["img_to_last_rel"].tolist() == [-1, 2]
    # Region 0 is 10.25, 20, 100, 80.5 of 640: 16, 32, 160, 129 of 1024; width 144, height 97.
    assert arrays["boxes_1024"][0].tolist() == [16 + 72, 32 + 49, 144, 97]
    assert (arrays["boxes_1024"][:, 2:] > 0).all() and (arrays["boxes_512"] >= 0).all()
    names = json.loads((tmp_path / NAMES[1]).read_text())
    assert names["label_to_idx"] == {"dog": 1, "hat": 2, "man": 3} and names["idx_to_predicate"] == {
        "1": "has",
        "2": "on",
    }
    assert names["object_count"] == {"dog": 1, "hat": 1, "man": 1} and names["predicate_count"] == {"has": 2, "on": 1}
    assert names["attribute_to_idx"] == {}


@pytest.mark.parametrize("ids", [["a/b", "c"], ["1592", "3"], ["01", "1"], ["²", "1"]])
def test_ids_that_the_readers_cannot_use_are_numbered(tmp_path, ids):
    image = annotations_of(*next(("x", "x", p, r) for _, r, p in world()))
    write_vg150(tmp_path, [AnnotatedImage(**{**vars(image), "image_id": name}) for name in ids], VOCABULARIES)
    listed = json.loads((tmp_path / NAMES[2]).read_text())
    assert [(e["image_id"], e["name"]) for e in listed] == [(1, ids[0]), (2, ids[1])]


def test_nothing_to_export(tmp_path):
    with pytest.raises(ValueError, match="no image to export"):
        write_vg150(tmp_path, [], VOCABULARIES)
