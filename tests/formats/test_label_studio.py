"""Label Studio's JSON: its own export, and labels that go there and come back."""

import json

import numpy as np
import pytest

from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.label_studio import picture_names, read_label_studio, write_label_studio


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
    (image,), _ = read(tmp_path, corrected | {"annotations": [first | {"ground_truth": True}, last]})
    assert image.labels == ("cat",)


def test_a_skipped_task_is_left_out_whatever_was_predicted(tmp_path):
    # labelstud.io/guide/export: "Skip" leaves an annotation with was_cancelled; its own converter passes over it.
    marked = {"result": [box("a", 0, 0, 9, 9, "cow")]}
    skipped = task(annotations=[marked | {"was_cancelled": True, "result": []}], predictions=[marked])
    (image,), notes = read(tmp_path, skipped, task(box("a", 0, 0, 9, 9, "cat"), image="b.jpg"))
    assert image.labels == ("cat",) and notes == ["was skipped by who was to annotate it (was_cancelled)"]


def test_further_labels_of_a_box_are_counted(tmp_path):
    (image,), notes = read(tmp_path, task(box("a", 0, 0, 9, 9, "cat", "animal"), box("b", 0, 0, 9, 9, "cat", "cat")))
    assert image.labels == ("cat", "cat") and notes == ["1 left out: label of a box that has another, the first"]


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
    with pytest.raises(InputError, match="no \"image\" nor one address of a picture, but 'front', 'back'"):
        read(tmp_path, {"data": {"front": "a.jpg", "back": "b.jpg"}})


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("/data/local-files/?d=photos/a%20b.jpg", ("photos/a b.jpg", "a b.jpg")),
        ("/data/local-files/?d=photos%5Ca.jpg", ("photos/a.jpg", "a.jpg")),
        ("http://localhost:8080/data/local-files/?d=x/y/a.jpg", ("x/y/a.jpg", "y/a.jpg", "a.jpg")),
        ("/data/upload/12/0123abcd-a.jpg", ("a.jpg", "0123abcd-a.jpg")),
        ("https://example.com/x/a.jpg?q=1", ("a.jpg", "x/a.jpg")),
        ("s3://bucket/x/0123abcd-a.jpg", ("0123abcd-a.jpg", "x/0123abcd-a.jpg")),
        ("/image1", ("image1",)),
        ("x/a.jpg", ("x/a.jpg",)),
        ("http://[", ("http://[",)),
    ],
)
def test_addresses_of_pictures(address, names):
    assert picture_names(address) == names


def test_the_documented_example(tmp_path):
    # labelstud.io/guide/task_format: no original_width, other names than "label" and "image", ids of its own.
    value = {"height": 10.458911419423693, "rectanglelabels": ["Moonwalker"], "rotation": 0, "width": 12.4}
    value |= {"x": 50.8, "y": 5.869797225186766}
    result = {"from_name": "tag", "id": "Dx_aB91ISN", "source": "$image", "to_name": "img", "type": "rectanglelabels"}
    annotation = {"id": "1001", "result": [result | {"value": value}], "was_cancelled": False, "ground_truth": False}
    data = {"image": "https://example.com/opensource/label-studio/1.jpg"}
    one = {"id": 1, "project": 83, "data": data, "annotations": [annotation]}
    (image,), notes = read(tmp_path, one)
    assert image.image_id == "1.jpg" and image.frame == (1, 1) and image.labels == ("Moonwalker",) and not notes
    assert np.allclose(image.boxes, [[0.508, 0.05869797, 0.632, 0.16328709]])
    (tmp_path / "one.json").write_text(json.dumps(one))
    assert len(read_label_studio(tmp_path / "one.json", Skipped()).images) == 1  # as its cloud storages have it


def test_a_box_with_a_choice_of_its_own_and_older_names(tmp_path):
    # HumanSignal/label-studio-converter, tests/data/test_export_yolo/data.json: a region's "choices" repeat its box;
    # test/fixtures/completions: what annotations were called before 1.0.
    place = {"x": 37.15846994535519, "y": 70.67395264116576, "width": 4.189435336976321, "height": 4.735883424408015}
    entry = {"original_width": 2800, "original_height": 2800, "image_rotation": 0, "id": "C7oHaRDVVC"}
    entry |= {"to_name": "image", "origin": "manual"}
    choice = entry | {"value": place | {"rotation": 0, "choices": ["uncertain"]}, "from_name": "choices"}
    marked = entry | {"value": place | {"rotation": 0, "rectanglelabels": ["parasites"]}, "from_name": "label"}
    results = [choice | {"type": "choices"}, marked | {"type": "rectanglelabels"}]
    old = {"id": 1, "completions": [{"id": 1, "result": results}], "data": {"photo": "a/b.PNG", "text": "of a cell"}}
    (image,), notes = read(tmp_path, old)
    assert image.file_name == "a/b.PNG" and image.labels == ("parasites",) and not notes
    assert np.allclose(image.boxes[0, :2], [0.3715846994535519 * 2800, 0.7067395264116576 * 2800])


def test_predictions_without_ids_and_shapes_that_are_no_rectangles(tmp_path):
    # labelstud.io/guide/predictions: a result's id may be left out; other shapes have points.
    first, second = box("", 0, 0, 10, 10, "cat"), box("", 50, 50, 10, 10, "dog")
    shape = {"type": "polygonlabels", "id": "p", "value": {"points": [[0, 0], [5, 5], [0, 5]], "polygonlabels": ["x"]}}
    results = [{k: v for k, v in entry.items() if k != "id"} for entry in (first, second)]
    (image,), notes = read(tmp_path, {"data": {"image": "a.jpg"}, "predictions": [{"result": [*results, shape]}]})
    assert image.labels == ("cat", "dog") and notes == ["1 left out: polygonlabels, which are no rectangles"]


def test_pictures_of_one_name_in_two_folders_are_two_images(tmp_path):
    marked = box("a", 0, 0, 9, 9, "cat")
    images, notes = read(tmp_path, *(task(marked, image=f"s3://bucket/{folder}/1.jpg") for folder in "xyx"))
    assert [image.image_id for image in images] == ["1.jpg", "y/1.jpg"] and images[0].other_names == ("x/1.jpg",)
    assert "two tasks" in notes[0]


def test_what_a_person_changed_comes_back_changed_and_the_rest_with_its_scores(tmp_path):
    boxes = np.array([[10, 10, 50, 60], [20.25, 30.5, 90, 100], [0, 0, 30, 30]], np.float32)
    relations, scores = np.array([[0, 1, 1], [2, 1, 2]]), np.array([0.9, 0.8, 0.7], np.float32)
    own = AnnotatedImage(
        "7", str(tmp_path / "7.jpg"), (97, 113), boxes, np.array([1, 2, 1]), scores, relations, np.float32([0.5, 0.25])
    )
    path = tmp_path / "tasks.json"
    write_label_studio(path, [own], (("man", "horse"), ("riding", "near")))
    (one,) = json.loads(path.read_text())
    results = one.pop("predictions")[0]["result"]
    results[0]["value"]["x"] += 10  # moved
    results[1]["value"]["rectanglelabels"] = ["cow"]  # called something else
    results = [result for result in results if result.get("to_id") != "box1" or result["from_id"] != "box2"]
    drawn = box("new_1", 50, 50, 25, 25, "dog") | {"original_width": 97, "original_height": 113}
    results += [drawn, relation("new_1", "box0", "behind")]
    (image,), notes = read(tmp_path, one | {"annotations": [{"result": results}]})
    assert image.labels == ("man", "cow", "man", "dog") and not notes
    assert np.allclose(image.boxes[:3], boxes + np.array([[9.7, 0, 9.7, 0], [0] * 4, [0] * 4]), atol=1e-5)
    assert image.relations == ((0, "riding", 1), (3, "behind", 0))
    assert image.scores == pytest.approx((0.9, np.nan, 0.7, np.nan), nan_ok=True)
    assert image.relation_scores == pytest.approx((0.5, np.nan), nan_ok=True)


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
