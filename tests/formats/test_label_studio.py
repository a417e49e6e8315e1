"""Label Studio's JSON: its own export, and labels that go there and come back."""

import json

import numpy as np
import pytest

from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.label_studio import picture_name, read_label_studio, write_label_studio


def box(key, x, y, width, height, *labels, **more):
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0, "rectanglelabels": list(labels)}
    size = {"original_width": 200, "original_height": 100, "image_rotation": 0}
    entry = {"id": key, "type": "rectanglelabels", "from_name": "tag", "to_name": "img", "origin": "manual"}
    return entry | size | {"value": value} | more


def relation(first, second, *labels, direction="right"):
    return {"from_id": first, "to_id": second, "type": "relation", "direction": direction, "labels": list(labels)}


def read(tmp_path, *tasks):
    path, skipped = tmp_path / "tasks.json", Skipped()
    path.write_text(json.dumps(list(tasks)))
    return read_label_studio(path, skipped).images, [why for _, why in skipped.items]


def task(*results, image="/data/upload/3/0a1b2c3d-a.jpg", **more):
    annotation = {"id": 1001, "result": list(results), "was_cancelled": False, "ground_truth": False}
    return {"id": 1, "data": {"image": image}, "annotations": [annotation], "predictions": []} | more


def test_an_export_with_relations(tmp_path):
    man, horse, dog = box("Dx", 10, 20, 30, 40, "man"), box("t5", 50, 0, 25, 100, "horse"), box("q", 0, 0, 1, 1, "dog")
    related = [
        relation("Dx", "t5", "riding", "on"),
        relation("t5", "Dx", "under", direction="left"),
        relation("q", "t5", "near", direction="bi"),
        relation("q", "t5"),
        relation("gone", "t5", "near"),
    ]
    (image,), notes = read(tmp_path, task(man, horse, dog, *related))
    assert image.image_id == image.file_name == "a.jpg" and image.frame == (200, 100)
    assert np.allclose(image.boxes[:2], [[20, 20, 80, 60], [100, 0, 150, 100]])
    assert image.labels == ("man", "horse", "dog") and image.scores is None
    assert image.relations == ((0, "riding", 1), (0, "on", 1), (0, "under", 1), (2, "near", 1), (1, "near", 2))
    assert notes == ["2 left out: relation without a label, or of what is no box"]


def test_the_last_annotation_counts_else_the_prediction(tmp_path):
    first, last = ({"result": [box("a", 0, 0, 9, 9, name)]} for name in ("cat", "dog"))
    cancelled = {"result": [box("a", 0, 0, 9, 9, "cow")], "was_cancelled": True}
    corrected = task(annotations=[first, last, cancelled], predictions=[first])
    (image,), _ = read(tmp_path, corrected)
    assert image.labels == ("dog",)
    (image,), _ = read(tmp_path, corrected | {"annotations": []})
    assert image.labels == ("cat",)


def test_a_turned_box_is_the_upright_one_around_it(tmp_path):
    turned = box("a", 50, 50, 10, 20, "cat")  # 20 x 20 pixels at (100, 50)
    turned["value"]["rotation"] = 90
    (image,), _ = read(tmp_path, task(turned))
    assert np.allclose(image.boxes, [[80, 50, 100, 70]])


def test_box_and_label_may_be_two_entries(tmp_path):
    shape = box("a", 0, 0, 10, 10)
    shape["type"] = "rectangle"
    label = {"id": "a", "type": "labels", "value": {"labels": ["cat"]}, "from_name": "l", "to_name": "img"}
    (image,), _ = read(tmp_path, task(shape, label))
    assert image.labels == ("cat",)


def test_what_is_no_export_is_told(tmp_path):
    with pytest.raises(InputError, match="export from Label Studio as JSON, not JSON-MIN"):
        read(tmp_path, {"image": "a.jpg", "label": []})
    with pytest.raises(InputError, match="no \"image\", but 'picture'"):
        read(tmp_path, {"data": {"picture": "a.jpg"}})


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/local-files/?d=photos/a%20b.jpg", "photos/a b.jpg"),
        ("/data/upload/12/0123abcd-a.jpg", "a.jpg"),
        ("https://example.com/x/a.jpg?q=1", "a.jpg"),
        ("s3://bucket/x/a.jpg", "a.jpg"),
        ("x/a.jpg", "x/a.jpg"),
    ],
)
def test_addresses_of_pictures(address, name):
    assert picture_name(address) == name


@pytest.mark.parametrize("kept", [True, False])
def test_there_and_back_every_box_label_relation_and_score_is_the_same(tmp_path, kept):
    rng, images = np.random.default_rng(0), []
    for i in range(3):
        corners = rng.uniform(0, 40, (5, 2))
        boxes = np.hstack([corners, corners + rng.uniform(1, 50, (5, 2))]).astype(np.float32)
        path = str(tmp_path / "photos" / f"{i}.jpg")
        relations, scores = np.array([[0, 1, 1], [3, 2, 2]]), rng.random(2).astype(np.float32)
        labels = rng.integers(1, 4, 5)
        images.append(
            AnnotatedImage(
                f"id-{i}", path, (97, 113), boxes, labels, rng.random(5).astype(np.float32), relations, scores
            )
        )
    vocabularies = (("cat", 'a "dog"', "cow"), ("on", "near <to>"))
    path = tmp_path / "tasks.json"
    assert write_label_studio(path, images, vocabularies) == {"images": 3, "boxes": 15, "relations": 6}
    tasks = json.loads(path.read_text())
    for one in tasks:  # as Label Studio gives it back, without the scores it does not know
        results = one.pop("predictions")[0]["result"]
        if not kept:
            results = [{key: value for key, value in result.items() if key != "score"} for result in results]
        one["annotations"] = [{"result": results}]
    again, notes = read(tmp_path, *tasks)
    assert not notes and "&lt;to&gt;" in path.with_suffix(".xml").read_text()
    for image, own in zip(images, again, strict=True):
        assert own.image_id == image.image_id and own.file_name == image.path.rpartition("/")[2]
        assert own.frame == image.size and np.allclose(own.boxes, image.boxes, atol=1e-4)
        assert own.labels == tuple(vocabularies[0][k - 1] for k in image.labels)
        assert own.relations == tuple((s, vocabularies[1][p - 1], o) for s, o, p in image.relations.tolist())
        assert own.scores == pytest.approx(tuple(image.scores.tolist()))
        assert own.relation_scores == pytest.approx(tuple(image.relation_scores.tolist()))
