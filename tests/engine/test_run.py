"""A run from captions to scene graphs on a few dozen images, what it leaves behind, and what it says of bad input."""

import json
import shutil

import numpy as np
import pytest
from captioned import captioned_photos
from nearly import assert_same_json
from PIL import Image
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine import lock
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.sgg.training import train_sgg
from groundgraph.stages import artifacts, sgg_training
from groundgraph.stages.recipe import RecipeError, bundled_recipes, find_recipe, load_recipe

SMALL = [
    "data.train=40", "data.validation=8", "data.test=16", "grounding.dimension=32",
    "grounding.epochs=2", "sgg.training.epochs=1",
]  # fmt: skip


def invoke(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "run"
    result = invoke("demo", "--out", folder, *(w for s in SMALL for w in ("--set", s)))
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_every_artifact_is_there(demo):
    folder, output = demo
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["methods"]) == {"pairs", "two-teachers", "sgnls"} and set(metrics) == {
        "methods",
        "chance",
        "counts",
    }
    for figures in metrics["methods"].values():
        assert set(figures["grounding"]) == {"all", "ambiguous", "unseen"}
        assert {"R@20", "R@50", "R@100", "mR@50", "ngR@50"} <= set(figures["sgdet"])
        for value in (*figures["grounding"].values(), *figures["sgdet"].values(), figures["mAP50"]):
            assert 0 <= value <= 1
    assert 0 < metrics["chance"]["all"] < 0.5
    assert metrics["counts"]["grounding-pairs: precision"] == metrics["counts"]["sgg-two-teachers: precision"] == "fp32"
    assert "MiniGenome" in output and "SGDet" in output
    assert (folder / "report.html").stat().st_size > 10_000
    run = Run(load_recipe(folder / "recipe.yaml"), folder)
    assert len(artifacts.examples(run, "test")) == 16
    for scores, found, captions in zip(
        artifacts.scores(run, "test", "two-teachers"),
        artifacts.regions(run, "test"),
        artifacts.parsed(run, "test"),
        strict=True,
    ):
        assert scores.shape == (len(artifacts.entities(captions)), len(found)) and len(found) <= 36
    for image in artifacts.grounding_images(run, "train", "expert"):
        for rows in (image.object.sum(1), image.interaction.sum(1)):
            assert ((abs(rows - 1) < 1e-4) | (rows == 0)).all()
        assert (abs(image.reliability.sum(1) - 1) < 1e-5).all()
    weights = np.concatenate([image.reliability for image in artifacts.grounding_images(run, "train", "expert")])
    assert weights.std() > 0.01  # the image-text model has something to say
    for best, found, captions in zip(
        artifacts.pairs(run, "train", "pairs"),
        artifacts.regions(run, "train"),
        artifacts.parsed(run, "train"),
        strict=True,
    ):
        assert len(best.regions) == len(artifacts.triplet_rows(captions)) and best.regions.max(initial=-1) < len(found)
        assert (best.regions[..., 0] != best.regions[..., 1])[best.real].all()
        assert (np.exp(best.scores) * best.real).sum(1).max(initial=0) < 1 + 1e-4
    quality = metrics["methods"]["two-teachers"]["pseudo labels"]
    assert quality["entities"] > 50 and quality["box recall@1"] <= quality["box recall@3"] <= quality["best region"]
    assert 0 < quality["better teacher"] <= quality["best region"] and 0 <= quality["triplet precision"] <= 1


def test_a_second_run_does_nothing_and_a_change_only_what_it_touches(demo):
    folder, _ = demo
    stamp = (folder / "regions" / "train").stat().st_mtime_ns
    again = invoke("demo", "--out", folder, *(w for s in SMALL for w in ("--set", s)))
    assert again.exit_code == 0 and "nothing had changed" in again.output
    changed = invoke("demo", "--out", folder, *(w for s in [*SMALL, "pseudo_labels.top=2"] for w in ("--set", s)))
    assert changed.exit_code == 0 and "done pseudo-two-teachers" in changed.output
    assert "done regions" not in changed.output and "done grounding-two-teachers" not in changed.output
    assert (folder / "regions" / "train").stat().st_mtime_ns == stamp


def test_predict_draws_and_writes(demo, tmp_path):
    folder, _ = demo
    images = sorted((folder / "images").glob("test-*.png"))[:2]
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    result = invoke(
        "predict", folder, *images, tmp_path / "broken.jpg", tmp_path / "absent.png", "--out", tmp_path / "out"
    )
    assert result.exit_code == 0, result.output
    graphs = json.loads((tmp_path / "out" / "graphs.json").read_text())
    assert set(graphs) == {str(i) for i in images} and result.output.count("skipped") == 2
    for path, graph in graphs.items():
        assert f"{path}: {len(graph['relations'])} relations" in result.output
        assert all(f"  {relation['score']:.2g}" in result.output for relation in graph["relations"])
    everything = invoke("predict", folder, images[0], "--out", tmp_path / "out", "--min-score", "1")
    assert everything.exit_code == 0 and json.loads((tmp_path / "out" / "graphs.json").read_text()) == graphs | {
        str(images[0]): graphs[str(images[0])] | {"objects": [], "relations": []}
    }
    assert Image.open(tmp_path / "out" / f"{images[0].stem}.png").width >= 600
    result = invoke("predict", folder, images[0], "--method", "magic")
    assert result.exit_code == 2 and "two-teachers" in result.output


def test_names_in_brackets_are_no_markup(demo, tmp_path):
    folder = tmp_path / "[red]runs[" / "[bold]x"
    shutil.copytree(demo[0], folder)
    image = tmp_path / "[blink]b.png"
    image.write_bytes(next((folder / "images").glob("test-*.png")).read_bytes())
    settings = [w for s in SMALL for w in ("--set", s)]
    for words, shown in (
        (("demo", "--out", folder, *settings), f"{folder}/report.html"),
        (("run", "demo", "--out", folder, *settings, "--dry-run"), "[bold]x"),
        (("status", folder), "[bold]x"),
        (("predict", folder, image, tmp_path / "[/]", "--out", tmp_path / "[u]out"), f"{image}: "),
        (("export", folder, tmp_path / "[i]g.json", "--what", "predictions", "--format", "json"), "[i]g.json"),
        (("export", tmp_path / "[/red]", "x", "--what", "predictions", "--format", "json"), "[/red]"),
    ):
        output = invoke(*words).output
        assert shown.replace(" ", "") in "".join(output.split()) and "bug" not in output, output


def test_soft_labels_and_fusing_without_an_expert(demo):
    folder, _ = demo
    changes = [
        "pseudo_labels.kind=soft",
        "pseudo_labels.top=null",
        "grounding.fusing=self",
        "teachers.expert=null",
        "grounder=two-teachers",
    ]
    result = invoke("demo", "--out", folder, *(w for s in [*SMALL, *changes] for w in ("--set", s)))
    assert result.exit_code == 0, result.output
    assert "done grounding-two-teachers" in result.output and "done teachers" not in result.output
    line = json.loads((folder / "pseudo-two-teachers" / "train.jsonl").read_text().splitlines()[0])
    shares = [sum(e["weights"]) for e in line["entities"]]
    assert all(0.9 < share < 1.0001 for share in shares) and len(line["entities"][0]["regions"]) > 3


def test_uniter_full_supervision_and_given_boxes(demo):
    folder, _ = demo
    changes = ["sgg.model=uniter", "sgg.tasks=[predcls, sgcls]", "grounder=[sgnls, full]", "sgg.training.patience=1"]
    result = invoke("demo", "--out", folder, *(w for s in [*SMALL, *changes] for w in ("--set", s)))
    assert result.exit_code == 0, result.output
    metrics = json.loads((folder / "metrics.json").read_text())["methods"]
    assert metrics["full"]["grounding"]["all"] is None and 0 <= metrics["full"]["sgdet"]["R@50"] <= 1
    for figures in metrics.values():
        assert figures["predcls"]["R@100"] >= figures["sgcls"]["R@100"] >= 0
    run = Run(load_recipe(folder / "recipe.yaml"), folder)
    for example, graph in zip(artifacts.examples(run, "test"), artifacts.graphs(run, "full", "predcls"), strict=True):
        np.testing.assert_allclose(graph.boxes, example.truth.boxes, atol=1e-3)
        names = artifacts.vocabulary(run)[0].names
        assert [names[k - 1] for k in graph.labels] == list(example.truth.labels) and (graph.scores == 1).all()


def test_a_training_that_is_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    whole = tmp_path / "whole"
    words = [w for s in [*SMALL, "grounder=sgnls", "sgg.training.epochs=2"] for w in ("--set", s)]
    assert invoke("demo", "--out", whole, *words).exit_code == 0
    broken = tmp_path / "broken"
    epochs = []

    def train(*arguments, **options):
        def stop(done, total, losses):
            epochs.append(done)
            if len(epochs) == 4:
                raise KeyboardInterrupt

        return train_sgg(*arguments, **options | {"progress": stop})

    monkeypatch.setattr(sgg_training, "train_sgg", train)
    assert invoke("demo", "--out", broken, *words).exit_code != 0
    assert (broken / "sgg-sgnls.part" / "scratch" / "training.pt").exists() and not (broken / "sgg-sgnls").exists()
    result = invoke("demo", "--out", broken, *words)
    assert result.exit_code == 0 and len(epochs) < 4 + 6 and not (broken / "sgg-sgnls.part").exists()
    assert_same_json(broken / "metrics.json", whole / "metrics.json")


def test_unlocalized_triplets_and_longer_captions_run_too(tmp_path):
    for recipe in ("minigenome-unlocalized", "minigenome-coco"):
        words = [w for s in [*SMALL, "grounder=sgnls"] for w in ("--set", s)]
        result = invoke("run", recipe, "--out", tmp_path / recipe, *words)
        assert result.exit_code == 0, result.output
        metrics = json.loads((tmp_path / recipe / "metrics.json").read_text())
        assert metrics["counts"]["all entities measured"] > 10


@pytest.fixture
def photos(tmp_path):
    """A folder of captioned pictures, as JSONL, with everything that can be wrong with one."""
    folder = tmp_path / "photos"
    bad = [
        {"image": "corrupt.jpg", "captions": ["a man riding a horse"]},
        {"image": "absent.png", "captions": ["a dog under a table"]},
        {"image": "dull.png", "captions": ["", "running quickly"]},
    ]
    captioned_photos(folder, 12, more=bad)
    (folder / "corrupt.jpg").write_bytes(b"\xff\xd8\xff\xe0 cut off")
    Image.new("RGB", (112, 112), (20, 20, 20)).save(folder / "dull.png")
    return folder, folder / "captions.jsonl"


OWN = [
    "data.source=jsonl", "detector.kind=torchvision", "detector.model=bundled:detector", "text.model=bundled:text",
    "vocabulary.minimum=1", "grounding.dimension=32", "grounding.epochs=2", "sgg.training.epochs=1",
    "grounder=two-teachers", "teachers.interaction=null",
]  # fmt: skip


def test_own_photos_skip_count_and_lose_nothing_else(photos, tmp_path):
    folder, captions = photos
    settings = [*OWN, f"data.images={folder}", f"data.captions={captions}"]
    result = invoke(
        "run", "recipes/own-photos.yaml", "--out", tmp_path / "run", *(w for s in settings for w in ("--set", s))
    )
    assert result.exit_code == 0, result.output
    run = Run(load_recipe(tmp_path / "run" / "recipe.yaml"), tmp_path / "run")
    whole = [r for r in artifacts.regions(run, "train") if len(r)]
    assert len(whole) >= 12
    skipped = [tuple(s) for stage in ("examples", "parsed", "regions") for s in run.record(stage)["skipped"]]
    said = " ".join(f"{what} {why}" for what, why in skipped)
    assert "corrupt" in said and "absent" in said and "dull" in said
    assert "skipped" in result.output
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["methods"]["two-teachers"]["mAP50"] is None


def test_invalid_json_names_file_and_line(photos, tmp_path):
    folder, captions = photos
    captions.write_text('{"image": "a.png", "captions": ["a dog"]}\n{"image": \n')
    settings = [*OWN, f"data.images={folder}", f"data.captions={captions}"]
    result = invoke("run", "own-photos", "--out", tmp_path / "run", *(w for s in settings for w in ("--set", s)))
    assert result.exit_code == 2
    assert "captions.jsonl" in result.output and "2" in result.output and "Traceback" not in result.output


def test_every_bundled_recipe_loads_and_spells_itself_out(tmp_path):
    assert {"demo", "minigenome", "own-photos", "coco-mini"} <= set(bundled_recipes())
    for name in bundled_recipes():
        recipe = load_recipe(find_recipe(name))
        (tmp_path / "again.yaml").write_text(recipe.yaml())
        assert load_recipe(tmp_path / "again.yaml") == recipe
    assert find_recipe("recipes/own-photos.yaml") == bundled_recipes()["own-photos"]


@pytest.mark.parametrize(
    "setting, message",
    [
        ("grouding.dimension=3", "did you mean `grounding`"),
        ("data.trian=3", "did you mean `train`"),
        ("data.train=many", "data.train"),
        ("data.train=5000", "4000"),
        ("grounder=magic", "grounder"),
        ("grounder=[two-teachers, ours]", "named twice"),
        ("teachers.expert=null", "fuse by average"),
        ("data.train", "key=value"),
        ("seed: [", "key=value"),
    ],
)
def test_a_wrong_key_or_value_names_the_fix(setting, message):
    with pytest.raises(RecipeError) as error:
        load_recipe(find_recipe("demo"), [setting])
    assert message in str(error.value)


def test_no_such_recipe_names_the_bundled_ones(tmp_path):
    with pytest.raises(RecipeError, match="lists the bundled ones"):
        find_recipe("nothing.yaml")
    (tmp_path / "bad.yaml").write_text("name: [")
    with pytest.raises(RecipeError, match=r"bad\.yaml"):
        load_recipe(tmp_path / "bad.yaml")


def test_a_broken_off_stage_runs_again_and_a_held_folder_is_refused(tmp_path):
    calls = []

    def work(run, folder):
        calls.append(folder.name)
        (folder / "half").write_text("x")
        if len(calls) == 1:
            raise KeyboardInterrupt
        return {}

    stage = Stage("one", (), {"a": 1}, work)
    run = Run(load_recipe(find_recipe("demo")), tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        execute(run, [stage])
    assert not (tmp_path / "run" / "one").exists()
    assert execute(run, [stage]) == ["one"] and execute(run, [stage]) == [] and calls == ["one.part"] * 2
    assert execute(run, [Stage("one", (), {"a": 2}, work)]) == ["one"]
    with lock.held(run.folder), pytest.raises(ValueError, match="at work in this folder"):
        execute(Run(run.recipe, run.folder), [stage])


def test_parse_prints_triplets():
    result = invoke("parse", "a boy rides a horse")
    assert result.exit_code == 0
    assert json.loads(result.output)["triplets"] == [["boy", "ride", "horse"]]
    assert json.loads(invoke("parse", "").output)["entities"] == []
