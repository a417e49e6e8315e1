"""Runs with the third teacher: by the run's own regions, and by a tiny detector that reads phrases."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from demo_runs import run_demo

from groundgraph.errors import InputError
from groundgraph.stages import artifacts
from groundgraph.stages.cases import choose_cases
from groundgraph.stages.recipe import find_recipe, load_recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "vision"))

from tiny_open_vocabulary import grounding_dino

SMALL = [
    "data.train=12", "data.validation=4", "data.test=6", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1", "grounder=[two-teachers, pairs, sgnls]",
]  # fmt: skip


def demo(out, *settings):
    return run_demo(out, *SMALL, *settings)


def test_three_teachers_teach(tmp_path):
    two, _ = demo(tmp_path / "run")
    before = [image.copy() for image in artifacts.scores(two, "train", "two-teachers")]
    run, done = demo(tmp_path / "run", "teachers.phrase={}")
    assert {"reliability", "grounding-two-teachers", "grounding-pairs"} <= done
    assert not {"teachers", "crops", "text", "phrases", "grounding-sgnls"} & done
    after = list(artifacts.scores(run, "train", "two-teachers"))
    assert any(not np.allclose(a, b, atol=1e-3) for a, b in zip(before, after, strict=True))
    spoken = 0
    for image, teachers in zip(
        artifacts.grounding_images(run, "train", "expert"), artifacts.targets(run, "train"), strict=True
    ):
        assert image.targets.shape[1] == len(teachers) == 3
        assert image.reliability.sum(1) == pytest.approx(np.ones(len(image.reliability)), abs=1e-4)
        # It names regions that the object-aware teacher names, and no others.
        assert not teachers[2][teachers[0] == 0].any()
        assert set(np.round(teachers[2].sum(1), 4)) <= {0, 1}
        spoken += int(teachers[2].any(1).sum())
    assert spoken > 20
    cases, _ = choose_cases(run)
    assert any(case.teaching.phrase.any() for case in cases)
    assert all(case.teaching.weights.shape[1] == 3 and case.teaching.fused is not None for case in cases)
    assert "third teacher" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")


def test_a_detector_that_reads_phrases_is_asked_once(tmp_path):
    model = tmp_path / "detector"
    model.mkdir()
    torch.manual_seed(0)
    grounding_dino(model)
    # Its seven words are none of MiniGenome's: that it answers at all is what is seen here.
    settings = [f"teachers.phrase.model={model}", "teachers.interaction=null", "grounding.fusing=average"]
    run, done = demo(tmp_path / "run", *settings, "grounder=two-teachers")
    assert "phrases" in done and not {"teachers", "reliability"} & done
    counts = run.record("phrases")["counts"]["entities"]
    targets = artifacts.targets(run, "train")
    assert counts > sum(len(own[2]) for own in targets)  # the validation images' too
    for (object_, interaction, phrase), own in zip(targets, artifacts.regions(run, "train"), strict=True):
        assert phrase.shape == object_.shape == (len(object_), len(own)) and not interaction.any()
        assert set(np.round(phrase.sum(1), 4)) <= {0, 1}
    _, again = demo(tmp_path / "run", *settings, "grounder=two-teachers", "grounding.fusing=product")
    assert "phrases" not in again and "grounding-two-teachers" in again
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["methods"]["two-teachers"]["sgdet"]


def test_what_it_needs_is_said_before():
    recipe = load_recipe(find_recipe("demo"), ["teachers.phrase.model=nobody/nothing", "grounder=sgnls"])
    assert recipe.phrase is None  # nobody is taught
    with pytest.raises(InputError, match=r"teachers\.phrase"):
        load_recipe(find_recipe("demo"), ["teachers.phrase.kind=x"])
