"""A run on miniature annotations of VRD, without a picture anywhere: figures by hand, and nothing tells who is who."""

import json

import numpy as np
import pytest

import groundgraph
from groundgraph.data.records import read_lines
from groundgraph.data.store import StoredRegions
from groundgraph.evaluation.files import evaluate_files
from groundgraph.terminal import Console

PERSON, SHIRT, HORSE, TREE = 0, 6, 43, 11
WEAR, RIDE, NEXT_TO = 1, 35, 3


def image(rng):
    """A rider with a shirt, one who stands apart with his own, and a horse: people wear what they overlap."""
    left, right = (rng.integers(0, 30, 2) for _ in range(2))

    def end(category, x, y, width, height):
        return {"category": category, "bbox": [int(y), int(y + height), int(x), int(x + width)]}

    rider, walker = end(PERSON, left[0], 10, 60, 120), end(PERSON, 300 + right[0], 20, 60, 120)
    shirts = [end(SHIRT, left[0] + 8, 40, 40, 50), end(SHIRT, 308 + right[0], 50, 40, 50)]
    horse = end(HORSE, left[0] - min(left[0], 10), 90 + left[1], 120, 100)
    related = [(rider, WEAR, shirts[0]), (walker, WEAR, shirts[1]), (rider, RIDE, horse), (rider, NEXT_TO, walker)]
    rows = [{"subject": s, "predicate": p, "object": o} for s, p, o in related]
    rng.shuffle(rows)
    return rows


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("vrd"), np.random.default_rng(0)
    for name, count in (("annotations_train", 40), ("annotations_test", 12)):
        content = {f"{name}-{i}.jpg": image(rng) for i in range(count)}
        (folder / f"{name}.json").write_text(json.dumps(content))
    settings = {
        "data.folder": str(folder),
        "data.validation": 4,
        "text.model": "bundled:text",
        "grounder": ["sgnls", "full"],
        "sgg.training.epochs": 2,
        "seed": 1,
    }
    return groundgraph.run("vrd-sgnls", settings, folder / "run", device="cpu", console=Console(quiet=True))


def test_the_rule_is_a_draw_among_the_candidates(run):
    metrics = run.metrics
    # Of four triplets "wears" has four candidates (two right), "rides" two, "next to" two.
    assert metrics["methods"]["sgnls"]["pairs"]["pair"] == pytest.approx((0.5 + 0.5 + 0.5) / 3)
    assert metrics["chance"]["pairs"]["pair"] == metrics["methods"]["sgnls"]["pairs"]["pair"]
    assert metrics["counts"]["triplets of several candidate pairs measured"] == 12 * 3


def test_vrds_tasks_are_measured_and_equal_what_evaluate_says(run):
    figures = run.metrics["methods"]["full"]["vrd"]
    assert set(figures) == {"predicate detection", "predicate detection, all pairs"}
    graphs, truth = run.folder / "sgg-full/predcls.safetensors", run.folder / "examples/test.jsonl"
    for task, name in (("predcls", "predicate detection"), ("sgdet", "predicate detection, all pairs")):
        measured = evaluate_files(graphs, truth, convention="vrd", task=task)
        assert figures[name]["R@50"] == pytest.approx(measured["R"]["50"])
        assert figures[name]["ngR@100"] == pytest.approx(measured["ngR"]["100"])
    assert figures["predicate detection"]["zR@50"] is None  # the test images have no triplet that training lacks


def test_no_picture_is_opened_and_the_regions_say_nothing_of_the_relations(run):
    assert not any("no such image" in why for _, why in run.skipped)
    examples = list(read_lines(run.folder / "examples/train.jsonl"))
    store = StoredRegions(run.folder / "regions/train", [record["id"] for record in examples])
    firsts = []
    for record, regions in zip(examples, store, strict=True):
        boxes = record["truth"]["boxes"]
        assert sorted(map(tuple, boxes)) == sorted(map(tuple, regions.boxes.tolist()))
        firsts.append(boxes.index(regions.boxes[0].tolist()))
    assert len(set(firsts)) > 2


def test_the_report_shows_them(run):
    page = (run.folder / "report.html").read_text(encoding="utf-8")
    assert "Right pair" in page and "Predicate detection R@50" in page
