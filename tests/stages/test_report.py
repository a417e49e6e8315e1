"""The report of a run: what its cases say is what the run's own stages would, and predictions as vector files."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import groundgraph
from groundgraph.cli import app
from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.engine.run import Run
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.stages import artifacts, cases
from groundgraph.stages import report as summary
from groundgraph.stages.recipe import load_recipe

SMALL = [
    "data.train=30", "data.validation=6", "data.test=20", "grounding.dimension=32", "grounding.epochs=2",
    "sgg.training.epochs=1", "grounder=[two-teachers, sgnls]",
]  # fmt: skip


def demo(folder, *settings):
    words = ["demo", "--out", str(folder), *(w for s in [*SMALL, *settings] for w in ("--set", s))]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    return Run(load_recipe(folder / "recipe.yaml"), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    demo(folder)
    return folder


def content(folder):
    page = (folder / "report.html").read_text(encoding="utf-8")
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1]), page


def test_cases_of_the_measured_images_with_all_that_was_asked_about_them(folder):
    run = demo(folder)
    shown, page = content(folder)
    assert 0 < len(shown["cases"]) <= 2 * cases.EACH and "asked about them for this page only" in page
    captions = {c for e in artifacts.examples(run, "test") for c in e.captions}
    for case in shown["cases"]:
        words = len(case["words"])
        assert case["caption"] in captions and set(case["answers"]) == {"truth", "two-teachers", "sgnls"}
        assert case["good"] == all(case["correct"]["two-teachers"]) and len(case["correct"]["sgnls"]) == words
        assert not (case["good"] and all(case["correct"]["sgnls"]))  # then it would tell nothing apart
        assert len(case["maps"]) == words and len(case["labels"]) == len(case["regions"])
        for target, weights in zip(case["targets"]["object"], case["weights"], strict=True):
            assert weights == [0, 1] if not target else sum(weights) == pytest.approx(1, abs=2e-3)
    shares = [w[0] for case in shown["cases"] for w in case["weights"] if w[0]]
    assert np.std(shares) > 0.01  # the image-text model has something to say
    assert len(shown["graphs"]) > 0 and shown["graphs"][0]["caption"] in captions


def test_asked_about_a_taught_split_the_teachers_say_what_is_stored(folder, monkeypatch):
    run = demo(folder)
    # Validation images were taught during the run, by the same models: the page's figures must be those.
    monkeypatch.setattr(type(run.recipe), "measured", "validation")
    monkeypatch.setattr(type(run.recipe), "taught_splits", ("train", "validation"))
    run.cache.clear()
    listed = artifacts.examples(run, "validation")
    images = artifacts.grounding_images(run, "validation", "expert")
    monkeypatch.setattr(cases, "scores", lambda run, split, method: [np.zeros_like(image.object) for image in images])
    chosen = cases._chosen(run, ["two-teachers"])
    assert chosen
    for one, taught in zip(chosen, cases.teach_cases(run, chosen), strict=True):
        stored = images[one.image]
        assert one.case.caption in listed[one.image].captions
        np.testing.assert_array_equal(taught.object, stored.object[one.rows])
        np.testing.assert_allclose(taught.interaction, stored.interaction[one.rows], atol=1e-4)
        says = np.column_stack([taught.object.any(1), np.ones(len(taught.object))])  # a map says something always
        weights = stored.reliability[one.rows] * says
        weights = weights / weights.sum(1, keepdims=True)
        np.testing.assert_allclose(taught.weights, weights, atol=1e-3)
        fused = weights[:, :1] * taught.object + weights[:, 1:] * taught.interaction
        np.testing.assert_allclose(taught.fused, fused, atol=1e-5)


def test_cases_of_photos_whose_true_boxes_nobody_knows(folder, monkeypatch):
    run = demo(folder)
    unknown = [replace(e, truth=None) for e in artifacts.examples(run, "test")]
    monkeypatch.setattr(cases, "examples", lambda run, split: unknown)
    shown, note = cases.choose_cases(run)
    assert len(shown) == 20 and "Nobody knows" in note
    for case in shown:
        assert case.good is None and not case.correct and set(case.answers) == {"two-teachers", "sgnls"}
        assert len(case.spans) >= 2 and len(case.teaching.maps) == len(case.spans)


def test_other_ways_of_fusing(folder):
    for how in ("average", "product", "self"):
        demo(folder, f"grounding.fusing={how}")
        weights = [w for case in content(folder)[0]["cases"] for w in case["weights"] if w[0]]
        assert weights and (how != "self") == all(w == [0.5, 0.5] for w in weights)
    demo(folder, "teachers.interaction=null")
    case = content(folder)[0]["cases"][0]
    assert case["maps"] is case["weights"] is case["targets"]["fused"] is None and case["targets"]["object"]


def test_each_predicate_s_recall_averages_to_mean_recall(folder):
    run = demo(folder)
    figures = summary.predicate_recall(run)
    assert figures.counts == sorted(figures.counts, reverse=True) and set(figures.recall) == {"two-teachers", "sgnls"}
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    truth = truth_arrays([e.truth for e in artifacts.examples(run, "test")], objects, predicates)
    for method, values in figures.recall.items():
        mean = sgdet_recall(truth, prediction_arrays(artifacts.graphs(run, method)), (50,))["mR@50"]
        assert sum(values) / len(predicates) == pytest.approx(mean)


def test_the_report_shows_what_predict_does(folder):
    run, model = demo(folder), groundgraph.load(folder)
    examples = artifacts.examples(run, "test")
    shown = list(artifacts.shown_graphs(run, "two-teachers"))
    for graph, own in zip(model.predict([e.path for e in examples]), shown, strict=True):
        assert graph.graph.labels.tolist() == own.labels.tolist() and graph.graph.pairs.tolist() == own.pairs.tolist()
        np.testing.assert_allclose(graph.graph.relation_scores, own.relation_scores, atol=1e-4)
    pictures, _ = summary.picture_graphs(run)
    assert len(pictures) == min(summary.GRAPHS, sum(len(graph.pairs) > 0 for graph in shown))


@pytest.mark.parametrize("kind, start", [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_predictions_as_vectors(folder, tmp_path, kind, start):
    demo(folder)
    image = sorted((folder / "images").glob("test-*.png"))[0]
    words = ["predict", str(folder), str(image), "--out", str(tmp_path), "--format", kind]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert (tmp_path / f"{image.stem}.{kind}").read_bytes().startswith(start)
    words[-1] = "bmp"
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and "png, svg, pdf" in result.output
