"""What `predict` writes into a folder: beside whatever lies there, and with what it wrote before."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Graph, Skipped
from groundgraph.errors import InputError
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.pretrained.pictures import at_least, predict_images


def graph(scores=(0.9, 0.8, 0.5), relations=(0.9, 0.4)):
    boxes = np.array([[1, 1, 9, 9], [5, 5, 20, 20], [2, 9, 30, 30]], np.float32)
    table = np.array([[0.05, r, 0.01] for r in relations], np.float32)
    return Graph(boxes, np.array([1, 2, 1]), np.array(scores, np.float32), np.array([[0, 1], [2, 1]]), table)


class Same(SceneGraphModel):
    """A predictor that sees the same graph in every image."""

    def __init__(self):
        self.categories, self.predicates = ("girl", "kite"), ("flying", "near")

    def graphs(self, images, skipped, progress=None):
        yield from ((image, graph()) for image in images)


@pytest.fixture
def photos(tmp_path):
    for folder, name in (("a", "beach.png"), ("a", "sea.jpg"), ("b", "beach.jpg")):
        (tmp_path / folder).mkdir(exist_ok=True)
        Image.new("RGB", (40, 40), "blue").save(tmp_path / folder / name)
    return tmp_path


def known(out):
    return json.loads((out / "graphs.json").read_text())


@pytest.mark.parametrize("kind", ["png", "svg", "pdf"])
def test_no_file_that_predict_did_not_make_is_written_over(photos, kind):
    (photos / "a" / f"sea.{kind}").write_bytes(b"mine")
    before = {path: path.read_bytes() for path in (photos / "a").iterdir()}
    images = [photos / "a" / "beach.png", photos / "a" / "sea.jpg", photos / "b" / "beach.jpg"]
    for _ in range(2):  # its own files it writes again
        predict_images(Same(), images, photos / "a", kind=kind)
        assert {path: path.read_bytes() for path in before} == before
        made = {path.name for path in (photos / "a").iterdir()} - {path.name for path in before}
        first = {"beach-2.png", "beach-3.png"} if kind == "png" else {f"beach.{kind}", f"beach-2.{kind}"}
        assert made == {*first, f"sea-2.{kind}", "graphs.json"}
    assert set(known(photos / "a")) == {str(image) for image in images}


def test_earlier_graphs_and_pictures_stay(photos, monkeypatch):
    out = photos / "out"
    monkeypatch.chdir(photos / "a")
    first = predict_images(Same(), [photos / "a" / "beach.png"], out)
    predict_images(Same(), [photos / "a" / "beach.png"], out, kind="svg")
    predict_images(Same(), [photos / "b" / "beach.jpg"], out)
    graphs = known(out)
    assert [g["pictures"] for g in graphs.values()] == [["beach.png", "beach.svg"], ["beach-2.png"]]
    assert first[str(photos / "a" / "beach.png")]["objects"] == graphs[str(photos / "a" / "beach.png")]["objects"]

    here = photos / "c"
    here.mkdir()
    (photos / "b" / "beach.jpg").rename(photos / "b" / "sea.jpg")
    for folder in "ab":  # one relative name, two images
        monkeypatch.chdir(photos / folder)
        predict_images(Same(), [Path("sea.jpg")], here)
    assert set(known(here)) == {"sea.jpg", str(photos / "b" / "sea.jpg")}


@pytest.mark.parametrize(
    "text", ['{"a.jpg": {"objects": [], "relations": []}}', '{"categories": [], "graphs": {}}', "[]", "{", "\ud800", ""]
)
def test_a_graphs_json_of_others_is_refused_and_kept(photos, text):
    file = photos / "a" / "graphs.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(InputError, match=r"graphs\.json.*--out|graphs\.json.*UTF-8"):
        predict_images(Same(), [photos / "b" / "beach.jpg"], photos / "a")
    assert file.read_bytes() == text.encode("utf-8", "surrogatepass")
    assert {p.name for p in (photos / "a").iterdir()} == {"beach.png", "sea.jpg", "graphs.json"}


def test_what_was_drawn_before_an_error_is_known(photos):
    class Broken(Same):
        def graphs(self, images, skipped, progress=None):
            yield images[0], graph()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predict_images(Broken(), [photos / "b" / "beach.jpg"], photos / "out")
    assert list(known(photos / "out")) == [str(photos / "b" / "beach.jpg")]


def test_least_scores(photos):
    whole = graph()
    for score, objects, relations in ((0, 3, 2), (0.3, 2, 1), (0.6, 2, 1), (0.85, 0, 0), (1, 0, 0)):
        kept = at_least(whole, score)
        assert (len(kept.boxes), len(kept.pairs), len(kept.predicate_scores)) == (objects, relations, relations)
    assert at_least(graph((0.1, 0.8, 0.5), (0.9, 0.9)), 0.3).pairs.tolist() == [[1, 0]]  # numbered anew
    empty = Graph(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), np.zeros((0, 2), int), np.zeros((0, 3)))
    assert len(at_least(empty, 0.5).boxes) == 0
    added = predict_images(Same(), [photos / "b" / "beach.jpg"], photos / "out", min_score=0.3, skipped=Skipped())
    (record,) = added.values()
    assert [r["predicate"] for r in record["relations"]] == ["flying"] and record["relations"][0]["score"] == 0.648
