"""A run of both systems: its stages, figures and report; prediction, packing and export of what it learnt."""

import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from groundgraph import load
from groundgraph.cli import app
from groundgraph.engine.dry_run import done_stages
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.stages import stages
from groundgraph.stages.export import export_run
from groundgraph.stages.recipe import RecipeError, find_recipe, load_recipe
from groundgraph.systems import SYSTEMS

SETTINGS = [
    "data.train=24", "data.validation=8", "data.test=6", "system=[lsws, vspnet]", "detector.regions=8",
    *(f"systems.{name}.training.epochs=2" for name in SYSTEMS),
]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("systems") / "run"
    words = [word for setting in SETTINGS for word in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", "demo", "--out", str(place), *words])
    assert result.exit_code == 0, result.output
    return place


def test_a_run_has_graphs_figures_and_a_report_and_no_pseudo_labels(folder):
    names = {path.name for path in folder.iterdir() if path.is_dir()}
    assert {"sgg-lsws", "sgg-vspnet", "evaluation", "report"} <= names
    assert not any(name.startswith(("grounding-", "pseudo-", "teachers", "text")) for name in names)
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["methods"]) == {"lsws", "vspnet"}
    for own in metrics["methods"].values():
        assert 0 <= own["sgdet"]["R@50"] <= 1 and 0 <= own["mAP50"] <= 1 and own["grounding"]["all"] is None
    page = (folder / "report.html").read_text()
    assert all(system.title in page for system in SYSTEMS.values())
    for name in SYSTEMS:
        assert {"config.json", "model.safetensors", "curves.json"} <= {
            p.name for p in (folder / f"sgg-{name}").iterdir()
        }


def test_nothing_is_done_twice_and_a_setting_trains_its_own_system_again(folder):
    run = Run(load_recipe(find_recipe("demo"), SETTINGS), folder, Console(quiet=True))
    assert execute(run, stages(run.recipe)) == []
    changed = load_recipe(find_recipe("demo"), [*SETTINGS, "systems.lsws.beam_size=2"])
    done = done_stages(Run(changed, folder, Console(quiet=True)), stages(changed))
    assert done["sgg-vspnet"] and not done["sgg-lsws"]


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_model_is_loaded_packed_and_predicts(folder, name, tmp_path):
    image = next((folder / "images").rglob("*.png"))
    model = load(folder, name)
    graph = model.predict(image, min_score=0)
    assert graph.graph.boxes.shape[1] == 4 and graph.graph.predicate_scores.shape[1] == 1 + len(model.predicates)
    model.save_pretrained(tmp_path / "packed")
    again = load(tmp_path / "packed").predict(image, min_score=0)
    assert again.graph.pairs.tolist() == graph.graph.pairs.tolist()
    assert f"system: {name}" in (tmp_path / "packed" / "README.md").read_text()
    with pytest.raises(InputError, match="knows its own names"):
        model.predict(image, categories=["dog"])


def test_export(folder, tmp_path):
    counts = export_run(folder, "predictions", "json", tmp_path / "graphs.json", "vspnet")
    assert counts and (tmp_path / "graphs.json").stat().st_size
    with pytest.raises(InputError, match="makes no pseudo labels"):
        export_run(folder, "pseudo-labels", "coco", tmp_path / "labels.json")


def test_mistakes_in_a_recipe():
    with pytest.raises(RecipeError, match="no system 'motifs': choose one of lsws, vspnet"):
        load_recipe(find_recipe("demo"), ["system=motifs"])
    with pytest.raises(RecipeError, match="named twice"):
        load_recipe(find_recipe("demo"), ["system=[lsws, lsws]"])
    with pytest.raises(RecipeError, match="did you mean `beam_size`"):
        load_recipe(find_recipe("demo"), ["systems.lsws.beam=3"])
