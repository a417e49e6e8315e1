"""Scores that mean something where no relation is annotated: by the captions of images held out from training."""

import json

import numpy as np
import pytest
from captioned import captioned_photos
from PIL import Image

import groundgraph
from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, Regions
from groundgraph.evaluation.calibration import related_predictions, right_predictions
from groundgraph.report.charts import reliability_records
from groundgraph.sgg.showing import Showing
from groundgraph.stages.held_out import HeldOut, by_names, captions_showing, held_out_figures, spoken_graph
from groundgraph.stages.missing import BY_CAPTIONS
from groundgraph.systems import SYSTEMS

NAMES = ("man", "horse", "kite"), ("riding", "holding")
BOXES = np.array([[0, 0, 10, 20], [0, 10, 30, 40], [50, 0, 60, 10], [20, 20, 40, 40]], np.float32)
PROPOSALS = Regions(BOXES, np.zeros(4, int), np.ones(4), np.zeros((4, 2)), (64, 64))


def test_what_captions_say_by_hand():
    # A man rides a horse; no word means the last region, and "holding" is withheld.
    said = spoken_graph(BOXES, (np.array([1, 2, 3, 0]), np.array([[0, 1, 1], [0, 2, -1]])), NAMES)
    np.testing.assert_array_equal(said.boxes, BOXES[:3])
    assert said.labels == ("man", "horse", "kite") and said.relations == ((0, "riding", 1),)


def test_who_says_a_man_says_a_person():
    names = ("man", "horse", "person", "animal"), ("riding",)
    said = spoken_graph(BOXES, (np.array([1, 2, 0, 3]), np.array([[0, 1, 1]])), names)
    assert said.labels == ("man", "person", "horse", "animal", "person")  # the last is no man
    np.testing.assert_array_equal(said.boxes, BOXES[[0, 0, 1, 1, 3]])
    assert said.relations == tuple((s, "riding", o) for s in (0, 1) for o in (2, 3))


def test_what_captions_do_not_say_is_unknown_by_hand():
    said = spoken_graph(BOXES, (np.array([1, 2, 3, 0]), np.array([[0, 1, 1], [0, 2, 2]])), NAMES)
    # Found: man riding horse; man riding kite, of which the captions say that he holds it; horse riding kite.
    table = np.tile(np.float32([0, 0.9, 0.1]), (3, 1))
    graph = Graph(BOXES[:3], np.array([1, 2, 3]), np.ones(3), np.array([[0, 1], [0, 2], [1, 2]]), table)
    arrays = truth_arrays([said], *NAMES), prediction_arrays([graph])
    assert right_predictions(*arrays).tolist() == [True, False, False]
    assert related_predictions(*arrays).tolist() == [True, True, False]


def test_names_alone_by_hand():
    # Two men, a horse, a kite. Found: man 0 riding horse, man 1 riding horse, man 0 holding kite, horse riding kite.
    riding, holding = np.float32([0, 0.9, 0.1]), np.float32([0, 0.2, 0.8])
    pairs = np.array([[0, 2], [1, 2], [0, 3], [2, 3]])
    graph = Graph(
        np.tile(np.float32([0, 0, 9, 9]), (4, 1)), np.array([1, 1, 2, 3]), np.ones(4), pairs,
        np.stack([riding, riding, holding, riding]),
    )  # fmt: skip
    empty = Graph(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), np.zeros((0, 2), int), np.zeros((0, 3)))
    # Nothing is said of the first image; of the second that a man rides a horse, twice, and that a man rides a kite.
    captions = [np.zeros((0, 3), int), np.array([[1, 2, 1], [1, 2, 1], [1, 3, 1]])]
    right, related, mentioned = by_names(captions.__getitem__, NAMES)(np.array([0, 1]), [], [empty, graph])
    assert right.tolist() == [True, False, False, False]
    assert related.tolist() == [True, False, True, False]
    assert mentioned == 2
    none = by_names(captions.__getitem__, NAMES)(np.array([1]), [], [empty])
    assert [len(part) for part in none[:2]] == [0, 0] and none[2] == 2


def test_a_name_that_is_wider_is_said_too():
    names = ("man", "horse", "person"), ("riding",)
    graph = Graph(BOXES[:2], np.array([3, 2]), np.ones(2), np.array([[0, 1]]), np.float32([[0, 1]]))
    for subject, right in ((1, True), (3, True), (2, False)):
        compared = by_names(lambda _, subject=subject: np.array([[subject, 2, 1]]), names)(np.array([0]), [], [graph])
        assert compared[0].tolist() == [right]


@pytest.fixture
def held():
    """Of 3,000 images a relation each: scores are true probabilities, and captions speak of 60 % of what is so."""
    rng = np.random.default_rng(0)
    scores = rng.random(3000) ** 0.25
    true = rng.random(3000) < scores
    spoken = true & (rng.random(3000) < 0.6)
    return HeldOut(scores, spoken, spoken, np.arange(3001), np.arange(3000) % 3, int(spoken.sum()))


def test_probabilities_are_of_what_is_so_not_of_what_is_said(held):
    curve = captions_showing(held).calibration
    assert curve.source == "captions" and curve.spoken == pytest.approx(0.65, abs=0.06)  # .6 and its standard error
    for score in (0.5, 0.75):
        assert curve(np.array([score]))[0] == pytest.approx(score, abs=0.1)
    figures = held_out_figures(held, curve)
    assert figures["ECE"] < 0.1 and figures["by"] == "captions"
    assert figures["recall"] is figures["F1"] is None
    assert figures["precision"] == pytest.approx(held.right.mean() / curve.spoken, abs=0.03)  # all are shown


def test_where_nothing_is_right_as_much_is_shown_as_people_mention(held):
    showing = captions_showing(held._replace(right=np.zeros(3000, bool), mentioned=40))
    assert showing.calibration is None and (held.scores >= showing.min_score).sum() == 40
    assert Showing.of_names(showing.record()) == showing


def test_photos_without_annotation_have_a_threshold_and_blank_ones_no_graph(tmp_path):
    captioned_photos(tmp_path / "photos", 24)
    settings = {
        **{"detector.kind": "torchvision", "detector.model": "bundled:detector", "text.model": "bundled:text"},
        **{"teachers.interaction": None, "teachers.expert": None, "vocabulary.minimum": 1, "grounder": "pairs"},
        **{"grounding.dimension": 16, "grounding.epochs": 2, "sgg.training.epochs": 8},
    }
    run = groundgraph.run(tmp_path / "photos", settings, tmp_path / "run")
    extra = json.loads((run.folder / "sgg-pairs" / "config.json").read_text())["extra"]
    assert extra["calibration"]["source"] == "captions" and 0 < extra["calibration"]["spoken"] <= 1
    own = run.metrics["methods"]["pairs"]["calibration"]
    assert own["by"] == "captions" and own["min_score"] == extra["calibration"]["min_score"] > 0
    assert BY_CAPTIONS in run.metrics["notes"]
    (record, *_) = reliability_records(run.metrics["methods"], {})
    assert record["points"] and "estimated by the captions" in record["figures"]
    model = groundgraph.load(run.folder)
    assert len(model.predict(Image.new("RGB", (64, 64), "white")).graph.boxes) == 0
    groundgraph.pack(run.folder, tmp_path / "packed")
    assert groundgraph.load(tmp_path / "packed").min_score == model.min_score
    assert "estimated from what their captions say" in (tmp_path / "packed" / "README.md").read_text()


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_system_without_annotation_has_a_threshold_too(tmp_path, system):
    captioned_photos(tmp_path / "photos", 24)
    settings = {
        **{"detector.kind": "torchvision", "detector.model": "bundled:detector", "text.model": "bundled:text"},
        **{"teachers.interaction": None, "teachers.expert": None, "vocabulary.minimum": 1, "system": system},
        f"systems.{system}.training.epochs": 8,
    }
    run = groundgraph.run(tmp_path / "photos", settings, tmp_path / "run")
    extra = json.loads((run.folder / f"sgg-{system}" / "config.json").read_text())["extra"]
    own = run.metrics["methods"][system].get("calibration")
    if extra["calibration"]:
        assert extra["calibration"]["source"] == own["by"] == "captions" and 0 < extra["calibration"]["spoken"] <= 1
        assert own["min_score"] == extra["calibration"]["min_score"] and BY_CAPTIONS in run.metrics["notes"]
    else:  # so few epochs may teach nothing that a caption says
        assert own is None and extra["least score"] > 0
    assert groundgraph.load(run.folder).min_score > 0
