"""`groundgraph run FOLDER` as it stands, by tiny models of the very classes under their ids in the hub's cache."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from captioned import captioned_photos
from huggingface_hub import constants
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.ragged import Ragged
from groundgraph.errors import InputError
from groundgraph.stages.own_photos import open_recipe
from groundgraph.stages.preflight import needs

sys.path[:0] = [str(Path(__file__).parents[1] / part) for part in ("vision", "teachers")]

from test_blip import save_blip  # noqa: E402
from test_clip import save_clip  # noqa: E402
from test_transformers_detector import save_detr  # noqa: E402
from tiny_open_vocabulary import grounding_dino  # noqa: E402

QUICK = [
    "text.model=bundled:text", "vocabulary.minimum=1", "detector.regions=6", "grounding.dimension=16",
    "grounding.epochs=1", "sgg.training.epochs=1",
]  # fmt: skip
FULL = {
    "IDEA-Research/grounding-dino-tiny": grounding_dino,
    "Salesforce/blip-itm-base-coco": save_blip,
    "openai/clip-vit-base-patch32": save_clip,
}
FAST = {"facebook/detr-resnet-50": save_detr}


@pytest.fixture
def photos(tmp_path):
    """Eight pictures with captions."""
    captioned_photos(tmp_path / "photos", 8)
    return tmp_path / "photos"


def fill_cache(folder, models, monkeypatch):
    """The hub's cache with these models and no other."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    for name, save in models.items():
        model = folder / f"models--{name.replace('/', '--')}"
        (model / "snapshots" / "abc").mkdir(parents=True)
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("abc")
        torch.manual_seed(0)
        save(model / "snapshots" / "abc")


def invoke(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def teachers(run):
    """The interaction-aware teacher's scores of each image's entities."""
    stored = Ragged(run / "teachers" / "train")
    return [stored[photo.name]["scores"] for photo in sorted((run.parent / "photos").glob("*.png"))]


@pytest.mark.parametrize("fast", [False, True])
def test_a_folder_needs_no_more_than_the_models_that_the_recipe_names(photos, tmp_path, monkeypatch, fast):
    fill_cache(tmp_path / "hub", FAST if fast else FULL, monkeypatch)
    settings = [word for setting in QUICK for word in ("--set", setting)]
    words = ["--fast"] if fast else []
    assert "nothing is missing" in invoke("data", "check", photos, "--no-count", *words, *settings)
    run = tmp_path / "run"
    invoke("run", photos, "--out", run, *words, *settings)
    assert list(json.loads((run / "metrics.json").read_text())["methods"]) == ["pairs", "two-teachers", "sgnls"]
    names = json.loads((run / "regions" / "categories.json").read_text())
    assert (names == ["cat", "dog", "hat"]) == fast  # else what these captions speak of
    assert (run / "teachers").is_dir() == (run / "reliability").is_dir() == (not fast)
    if not fast:
        assert any(np.ptp(scores, axis=1).max(initial=0) for scores in teachers(run))  # it looks somewhere
    invoke("predict", run, next(photos.glob("*.png")), "--out", tmp_path / "drawn graphs")
    assert list((tmp_path / "drawn graphs").glob("*.png"))


def test_fast_asks_for_one_model_of_the_hub_and_is_for_folders(photos):
    for fast, models in ((False, FULL), (True, FAST)):
        asked = {need.source for need in needs(open_recipe(str(photos), [], fast)) if need.source}
        assert asked == set(models)
    with pytest.raises(InputError, match=r"demo: a recipe, and --fast is for a folder of photos"):
        open_recipe("demo", [], fast=True)
