"""Runs with open heads: names withheld from supervision, and other names at prediction."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import groundgraph
from groundgraph.cli import app
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.sgg.storing import load_sgg
from groundgraph.stages import artifacts, stages
from groundgraph.stages.examples import examples
from groundgraph.stages.recipe import RecipeError, find_recipe, load_recipe
from groundgraph.stages.sgg_training import labels_of
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.teachers.expert import ImageTextModel

SMALL = ["data.train=12", "data.validation=2", "data.test=4", "sgg.training.epochs=1", "grounder=sgnls"]
NOVEL = ["vocabulary.novel.categories=[horse, man]", "vocabulary.novel.predicates=[near, riding]"]


def run_of(out, *settings):
    run = Run(load_recipe(find_recipe("demo"), [*SMALL, *settings]), out)
    execute(run, stages(run.recipe))
    return run


@pytest.fixture(scope="module")
def novel(tmp_path_factory):
    return run_of(
        tmp_path_factory.mktemp("open") / "run",
        "sgg.heads=open",
        "sgg.start=image-text",
        "sgg.language_prior=bundled:text",
        "sgg.training.patience=1",
        *NOVEL,
    )


def test_withheld_names_are_measured_and_not_trained_on(novel):
    rows = artifacts.metrics(novel)["methods"]["sgnls"]["novel"]
    assert list(rows) == ["base", "novel", "novel categories", "novel predicates", "harmonic mean"]
    assert {"R@20", "R@50", "R@100"} <= set(rows["base"])
    assert "Names that were withheld" in (novel.folder / "report.html").read_text()
    categories, predicates = vocabulary(novel)
    draw, rng = labels_of(novel, "sgnls"), np.random.default_rng(0)
    drawn = [draw(i, rng) for i in range(len(examples(novel, "train")))]
    assert max(labels.max() for labels, _ in drawn) <= len(categories) - 2
    numbers = np.concatenate([relations[:, 2] for _, relations in drawn])
    assert numbers.max() <= len(predicates) - 2
    # The graphs are of all names.
    assert artifacts.graphs(novel, "sgnls")[0].predicate_scores.shape[1] == 1 + len(predicates)


def test_other_names_at_prediction(novel, tmp_path):
    image = str(next((novel.folder / "images").glob("test-*.png")))
    (tmp_path / "relations.txt").write_text("sitting on\non, over or above\n")
    names = ["--categories", "woman, tree", "--predicates", str(tmp_path / "relations.txt")]
    result = CliRunner().invoke(app, ["predict", str(novel.folder), image, "--out", str(tmp_path), *names])
    assert result.exit_code == 0, result.output
    (graph,) = json.loads((tmp_path / "graphs.json").read_text()).values()
    assert graph["relations"]
    assert {entry["category"] for entry in graph["objects"]} <= {"woman", "tree"}
    assert {entry["predicate"] for entry in graph["relations"]} <= {"sitting on", "on, over or above"}


def test_the_same_names_give_the_same_graph(novel):
    categories, predicates = vocabulary(novel)
    image = next((novel.folder / "images").glob("test-*.png"))
    own = groundgraph.load(novel.folder)
    ((_, one),) = own.graphs([image])
    other = own.predict(image, categories=categories.names, predicates=predicates.names).graph
    assert np.array_equal(one.labels, other.labels) and np.array_equal(one.pairs, other.pairs)
    assert other.predicate_scores == pytest.approx(one.predicate_scores, abs=1e-6)
    few = own.predict(image, categories=["woman", "tree"])
    assert few.categories == ("woman", "tree") and few.predicates == predicates.names
    assert len(own.categories) == len(categories)  # its own names again
    ((_, again),) = own.graphs([image])
    assert again.predicate_scores == pytest.approx(one.predicate_scores, abs=1e-6)


def test_the_models_of_names_are_read_where_recipes_ask_for_them(novel, tmp_path):
    sizes = json.loads((novel.folder / "sgg-sgnls" / "config.json").read_text())["sizes"]
    assert sizes["views"] and sizes["text"] == 128 and sizes["start"] and sizes["prior"]
    expert = ImageTextModel(novel.recipe.teachers.expert.model)
    start = load_sgg(novel.folder / "sgg-sgnls")[0].start
    assert float(start.temperature) * expert.model.logit_scale.exp().item() == pytest.approx(1)
    run = run_of(tmp_path / "run", "sgg.heads=open", "sgg.names=image-text", "sgg.start=detector", "sgg.model=uniter")
    sizes = json.loads((run.folder / "sgg-sgnls" / "config.json").read_text())["sizes"]
    assert not sizes["views"] and sizes["text"] and "novel" not in artifacts.metrics(run)["methods"]["sgnls"]


def test_closed_heads_with_withheld_names_and_no_others(tmp_path):
    run = run_of(tmp_path / "run", "sgg.heads=closed", *NOVEL)
    assert artifacts.metrics(run)["methods"]["sgnls"]["novel"]["novel predicates"]["R@100"] == 0
    with pytest.raises(InputError, match=r"sgg\.heads=open"):
        groundgraph.load(run.folder).predict("photo.jpg", categories=["woman"])


def test_mistakes(tmp_path):
    with pytest.raises(InputError, match=r"not in the vocabulary: unicorn"):
        run_of(tmp_path / "run", "vocabulary.novel.categories=[unicorn]")
    with pytest.raises(RecipeError, match=r"set sgg\.heads to open"):
        load_recipe(find_recipe("demo"), ["sgg.language_prior=bundled:text"])
    for settings, why in (
        (["sgg.motifs.frequency_bias=true"], "frequency_bias counts names"),
        (["sgg.names=image-text", "teachers.expert=null", "grounding.fusing=average"], "name a model there"),
    ):
        with pytest.raises(RecipeError, match=why):
            load_recipe(find_recipe("demo"), ["sgg.heads=open", *settings])
