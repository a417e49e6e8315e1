"""An open-vocabulary detector inside a run: its words come from the captions, and prediction keeps their meaning."""

import json
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine.run import Run
from groundgraph.stages import artifacts
from groundgraph.stages.recipe import load_recipe

sys.path.insert(0, str(Path(__file__).parents[1] / "vision"))
from tiny_open_vocabulary import owl

SMALL = [
    "data.train=8", "data.validation=2", "data.test=3", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1", "grounder=sgnls", "detector.kind=open-vocabulary", "detector.regions=6",
]  # fmt: skip


def invoke(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.mark.parametrize("asked", ["nouns", "vocabulary"])
def test_a_run_asks_for_the_captions_nouns_or_for_the_vocabulary(tmp_path, asked):
    torch.manual_seed(0)
    (tmp_path / "model").mkdir()
    owl(tmp_path / "model", "owlvit")
    settings = [*SMALL, f"detector.model={tmp_path / 'model'}", f"detector.prompt={asked}"]
    out = tmp_path / "run"
    result = invoke("demo", "--out", out, *(w for s in settings for w in ("--set", s)))
    assert result.exit_code == 0, result.output
    run = Run(load_recipe(out / "recipe.yaml"), out)
    categories, vocabulary = artifacts.detector_categories(run), artifacts.vocabulary(run)[0].names
    assert categories[: len(vocabulary)] == vocabulary
    said = {e.name for captions in artifacts.parsed(run, "train") for c in captions for e in c.entities}
    assert (set(categories) == set(vocabulary) | said) == (asked == "nouns") or said <= set(vocabulary)
    if asked == "nouns":
        for captions, regions in zip(artifacts.parsed(run, "train"), artifacts.regions(run, "train"), strict=True):
            own = {e.name for c in captions for e in c.entities}
            assert {categories[k] for k in regions.labels if k >= 0} <= own
    image = next((out / "images").glob("test-*.png"))
    result = invoke("predict", out, image, "--out", tmp_path / "drawn")
    assert result.exit_code == 0, result.output
    assert set(json.loads((tmp_path / "drawn" / "graphs.json").read_text())) == {str(image)}
