"""A folder of photos with captions is all that `groundgraph run` needs."""

import json
import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from captioned import captioned_photos
from PIL import Image
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.sources.config import PhotoData
from groundgraph.data.sources.photos import PhotoSource
from groundgraph.data.types import Skipped
from groundgraph.engine.execute import execute
from groundgraph.engine.folder import command
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.stages.examples import read_examples
from groundgraph.stages.own_photos import open_recipe
from groundgraph.stages.recipe import RecipeError, load_recipe

MINI = Path(__file__).parents[2].parent / "shared" / "data" / "coco_mini"
SMALL = [  # the experts that need no network, and next to no training
    "detector.kind=torchvision", "detector.model=bundled:detector", "text.model=bundled:text", "grounder=sgnls",
    "sgg.training.epochs=1",
]  # fmt: skip


def test_a_folder_with_captions_runs(tmp_path):
    folder = tmp_path / "my holiday"
    captioned_photos(folder, 12)
    words = ["run", str(folder), "--out", str(tmp_path / "run"), *(w for s in SMALL for w in ("--set", s))]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["counts"]["examples: train images"] == 12
    assert metrics["methods"]["sgnls"]["sgdet"]["R@50"] is None  # nobody drew a box, so there is nothing to measure
    assert metrics["notes"] == ["nothing is measured: no box is annotated"]
    assert "note nothing is measured" in result.output and "│ chance" not in result.output
    vocabulary = json.loads((tmp_path / "run" / "vocabulary" / "vocabulary.json").read_text())
    assert vocabulary["categories"] and vocabulary["predicates"]
    words = json.loads((tmp_path / "run" / "vocabulary" / "words.json").read_text())
    concepts = json.loads((tmp_path / "run" / "concepts" / "concepts.json").read_text())
    assert {row["word"] for row in concepts["nouns"]} == set(words["nouns"])
    for row in concepts["nouns"]:  # each word is told as it is used
        assert [row["category"], row["why"]] == words["nouns"][row["word"]]
    counts = concepts["counts"]
    assert counts["mapped triplets"] <= counts["triplets of two things that can be boxed"] <= counts["predicates"]
    assert "What became of the triplets" in (tmp_path / "run" / "report.html").read_text()
    assert "name: my holiday" in (tmp_path / "run" / "recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ((), "has no captions file"),
        (("a.jsonl", "annotations/captions_b.json"), r"has 2 captions files \(a.jsonl, captions_b.json\)"),
    ],
)
def test_a_folder_without_one_captions_file_is_refused(tmp_path, files, message):
    (tmp_path / "annotations").mkdir()
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(RecipeError, match=message):
        open_recipe(str(tmp_path), [])


def test_of_several_files_one_is_named(tmp_path):
    for name in ("captions.json", "instances.json", "instances_val.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(RecipeError, match=r"has 2 instances files \(instances\.json, instances_val\.json\)"):
        open_recipe(str(tmp_path), [])
    for value, data in (("b.json", "b.json"), ("null", None)):
        given = open_recipe(str(tmp_path), [f"data.instances={value}"]).data.instances
        assert (given and Path(given).name) == data
    (tmp_path / "more.jsonl").write_text("{}")
    recipe = open_recipe(str(tmp_path), [f"data.captions={tmp_path / 'more.jsonl'}", "data.instances=null"])
    assert (recipe.data.source, Path(recipe.data.captions).name) == ("jsonl", "more.jsonl")


def test_a_recipes_name_means_the_recipe_whatever_folder_lies_there(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert open_recipe("demo", []).data.source == "minigenome"
    with pytest.raises(RecipeError, match="has no captions file"):
        open_recipe("./demo", [])


def test_settings_come_after_what_the_folder_says_and_names_are_recipes_too(tmp_path):
    (tmp_path / "captions.json").write_text("{}")
    recipe = open_recipe(str(tmp_path), ["name=mine", "seed=3"])
    assert (recipe.name, recipe.seed, recipe.data.source, recipe.data.instances) == ("mine", 3, "coco", None)
    assert recipe.vocabulary.name == "induced" and recipe.data.images == str(tmp_path)
    assert open_recipe("demo", ["seed=3"]).name == "demo"


@pytest.mark.skipif(not MINI.is_dir(), reason="shared data are not here")
def test_cocos_own_layout_is_understood():
    data = open_recipe(str(MINI), []).data
    assert (data.source, Path(data.images), Path(data.captions).name) == (
        "coco",
        MINI / "images",
        "captions_train2017.json",
    )
    assert Path(data.instances).name == "instances_train2017.json"


def test_images_of_one_name_in_two_slices_share_no_regions(tmp_path):
    from groundgraph.engine.run import Run
    from groundgraph.stages import stages
    from groundgraph.stages.regions import RegionFinder

    names = ["a/1.png", "b/1.png", "2.png"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    lines = (json.dumps({"image": name, "captions": ["a man riding a horse"]}) for name in names)
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    boxes, ones = np.tile(np.array([0, 0, 5, 5], np.float32), (2, 1, 1)), np.ones((2, 1))
    arrays = {"boxes": boxes, "labels": np.zeros((2, 1), int), "scores": ones, "features": ones[..., None]}
    np.savez(tmp_path / "r.npz", file_names=["1.png", "2.png"], categories=["dog"], **arrays)
    settings = ["detector.kind=precomputed", f"detector.model={tmp_path / 'r.npz'}", "text.model=bundled:text"]
    run = Run(open_recipe(str(tmp_path), settings), tmp_path / "run")
    execute(run, [stage for stage in stages(run.recipe) if stage.name == "examples"])
    run.assist(tmp_path / "run" / "regions.part")
    (tmp_path / "run" / "regions.part").mkdir()
    finder = RegionFinder(run, tmp_path / "run" / "regions.part")
    assert [finder("train", slice(i, i + 1))[0] is not None for i in range(3)] == [False, False, True]


def spoken(folder, captions):
    folder.mkdir()
    for number, _ in enumerate(captions):
        Image.new("RGB", (32, 32)).save(folder / f"{number}.png")
    lines = [{"image": f"{number}.png", "captions": [text]} for number, text in enumerate(captions)]
    (folder / "captions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        (["a man", "a horse"], "no training caption has a relation: write what is related to what"),
        (["running", "standing"], "no training caption has a thing"),
        (
            ["a lizard on a violin", "a harp under a lamp"],  # nothing that the detector knows
            r"words for a thing none is said in 2 images or more .*minimum to 1",
        ),
        (["a dog on a mat", "a dog under a tree"], r"2 words for a relation none is said in 2 images or more"),
        (["a picture of a day", "a view of a trick"], r"none of the 4 nouns .*names what a box can be drawn around"),
    ],
)
def test_why_there_is_no_vocabulary_is_said(tmp_path, captions, message):
    folder = spoken(tmp_path / "photos", captions)
    words = ["run", str(folder), "--out", str(tmp_path / "run"), *(w for s in SMALL for w in ("--set", s))]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 2 and re.search(message, result.output), result.output


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("holliday", r"/holliday: no such folder or recipe file; did you mean holiday\?"),
        ("vg-captoin-ours", "did you mean vg-caption-ours or"),
        ("sub/holliday", "/sub/holliday: no such folder or recipe file; `groundgraph recipes` lists"),
        ("zzzzzz", "/zzzzzz: no such folder or recipe file; `groundgraph recipes` lists"),
        ("holiday/0.png", "not text in UTF-8 .* give a recipe"),
        ("run", "a run's folder, not one of photos; go on with the run: groundgraph run run/recipe.yaml"),
    ],
)
def test_a_mistyped_folder_or_recipe_is_told_by_its_place_and_names_like_it(tmp_path, monkeypatch, name, message):
    spoken(tmp_path / "holiday", ["a man"])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.yaml").write_text("name: x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message) as caught:
        open_recipe(name, [])
    assert len(str(caught.value)) < 400  # not a list of all that there are


def test_no_example_that_is_left_says_why(tmp_path):
    listed = tmp_path / "c.jsonl"
    source = PhotoSource(PhotoData(source="jsonl", images=str(tmp_path), captions=str(listed)), tmp_path)
    for text, message in (
        ("", "is left: the data lists none"),
        ('{"image": "no.png", "captions": ["a man"]}', r"is left: no.png: .*no such image"),
    ):
        listed.write_text(text)
        with pytest.raises(InputError, match=message):
            read_examples(source, "train", Skipped(), Run(None, tmp_path).progress)


def test_a_run_is_finished_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spoken(tmp_path / "photos", ["a man on a horse"] * 3)
    words = ["--set", "data.images=photos", *(w for s in SMALL for w in ("--set", s))]
    assert CliRunner().invoke(app, ["run", "photos", "--out", "r", *words]).exit_code == 0
    monkeypatch.chdir("/")
    told = CliRunner().invoke(app, ["status", str(tmp_path / "r")]).output
    assert re.search(r"(\d+) of \1 stages done", told), told
    run = Run(load_recipe(tmp_path / "r" / "recipe.yaml"), Path(os.path.relpath(tmp_path / "r")))
    words = shlex.split(command(run.folder))
    monkeypatch.chdir(tmp_path / "photos")
    assert "nothing had changed" in CliRunner().invoke(app, words[1:]).output
