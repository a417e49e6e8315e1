"""Many images: listed, written as JSON lines and what is made of them, and gone on with."""

import json
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Graph, Skipped
from groundgraph.errors import InputError
from groundgraph.formats import FILE_NAMES, PREDICTION_WRITERS
from groundgraph.formats.coco import coco_predictions
from groundgraph.pretrained.batches import listed_images, predict_batch


class Same:
    """A model that finds the same graph in every image, and counts those it was asked about."""

    batch_size, identity, categories, predicates = 2, "1", ["girl", "kite"], ["flying", "near"]

    def __init__(self):
        self.asked = []

    def graphs(self, images, skipped, progress=None):
        for image in images:
            self.asked.append(image.name)
            boxes = np.array([[1, 1, 9, 9], [5, 5, 20, 20]], np.float32)
            scores = np.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1]], np.float32)
            pairs = np.array([[0, 1], [1, 0]])
            yield image, Graph(boxes, np.array([1, 2]), np.array([0.8, 0.5], np.float32), pairs, scores)


@pytest.fixture
def photos(tmp_path):
    for name in ("a.png", "b.jpg", "deep/c.png"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(tmp_path / "photos" / name)
    (tmp_path / "photos" / "notes.md").write_text("no image")
    return tmp_path / "photos"


def lines(out):
    return [json.loads(line) for line in (out / "graphs.jsonl").read_text().splitlines()]


def test_folders_lists_and_files_each_image_once(photos):
    (photos / "some.txt").write_text("a.png\n\ndeep/c.png\n")
    every = listed_images([photos])
    assert [path.name for path in every] == ["a.png", "b.jpg", "c.png"]
    assert listed_images([photos, photos / "a.png"]) == every
    assert [path.name for path in listed_images([photos / "some.txt", "gone.jpg"])] == ["a.png", "c.png", "gone.jpg"]
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="no image in this folder"):
        listed_images([photos / "empty"])


def test_lines_are_gone_on_with(photos, tmp_path):
    images, out, model = listed_images([photos]), tmp_path / "out", Same()
    target, counts = predict_batch(model, images[:2], out, "jsonl")
    assert target == out / "graphs.jsonl" and counts == {"images": 2, "images done before": 0}
    with target.open("a") as file:
        file.write('{"image": "half')  # as a call that was killed leaves it
    _, counts = predict_batch(model, images, out, "jsonl")
    assert counts == {"images": 1, "images done before": 2} and model.asked == ["a.png", "b.jpg", "c.png"]
    first, *_ = records = lines(out)
    assert [record["image"] for record in records] == [str(path) for path in images]
    assert (first["width"], first["height"]) == (40, 30)
    assert first["objects"][1] == {"category": "kite", "score": 0.5, "box": [5, 5, 20, 20]}
    assert first["relations"][0] == {"subject": 0, "predicate": "flying", "object": 1, "score": 0.2}


def test_least_score_and_other_settings(photos, tmp_path):
    images, out = listed_images([photos]), tmp_path / "out"
    predict_batch(Same(), images, out, "jsonl", min_score=0.1)
    assert [len(record["relations"]) for record in lines(out)] == [1, 1, 1]
    with pytest.raises(InputError, match=r"made with other min_score; give another folder to --out"):
        predict_batch(Same(), images, out, "jsonl")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "graphs.jsonl").write_text("{}\n")
    with pytest.raises(InputError, match="not written by"):
        predict_batch(Same(), images, tmp_path / "mine", "jsonl")
    with pytest.raises(InputError, match=r"graphs are written as json, graphml, .*label-studio, not csv"):
        predict_batch(Same(), images, out, "csv")


def test_coco_with_relations(photos, tmp_path):
    target, _ = predict_batch(Same(), listed_images([photos]), tmp_path / "out", "coco")
    content = json.loads(target.read_text())
    assert [(i["id"], i["file_name"], i["width"]) for i in content["images"]][2] == (3, "deep/c.png", 40)
    assert content["relations"][0] | {"id": 0} == {
        **{"id": 0, "image_id": 1, "subject_id": 1, "object_id": 2, "predicate_id": 1, "score": 0.2}
    }
    read = coco_predictions(content, target)
    assert read.vocabularies == (("girl", "kite"), ("flying", "near")) and len(read.images) == 3


def test_graphml_is_made_of_all_that_was_found(photos, tmp_path):
    images, model = listed_images([photos]), Same()
    predict_batch(model, images, tmp_path / "out", "jsonl")
    target, counts = predict_batch(model, images, tmp_path / "out", "graphml", skipped=Skipped())
    assert counts["images"] == 0 and len(model.asked) == 3
    (file,) = target.glob("a*.graphml")
    edges = ElementTree.parse(file).getroot().findall(".//{*}edge")
    assert len(edges) == 2 and {data.text for data in edges[0]} >= {"flying"}


@pytest.mark.parametrize("form", [form for form in PREDICTION_WRITERS if form != "jsonl"])
def test_every_format_of_predictions_is_written_again_as_more_images_come(photos, tmp_path, form):
    if form == "rdf":
        pytest.importorskip("rdflib")
    images, out, model = listed_images([photos]), tmp_path / "out", Same()
    for upto in (1, 3):
        target, _ = predict_batch(model, images[:upto], out, form)
        files = [target] if form in FILE_NAMES else list(target.iterdir())
        text = "".join(file.read_text() for file in files)
        assert "kite" in text and "flying" in text
        assert [name in text or any(name in f.name for f in files) for name in ("a.png", "b.jpg", "c.png")] == [
            place < upto for place in range(3)
        ]
    assert len(model.asked) == 3 and len({*FILE_NAMES.values()}) == len(FILE_NAMES)


def test_images_that_cannot_be_used_are_left_out(tmp_path):
    _, counts = predict_batch(Same(), [], tmp_path / "out", "coco")
    assert counts == {"images": 0, "images done before": 0} and not (tmp_path / "out" / "graphs.coco.json").exists()
