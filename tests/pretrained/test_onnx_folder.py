"""`groundgraph pack --onnx`: the folder, and an example that runs it without torch."""

import json
import subprocess
import sys
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import torch
from test_onnx_systems import SYSTEMS, untrained
from typer.testing import CliRunner

import groundgraph
from groundgraph.cli import app
from groundgraph.errors import InputError
from groundgraph.models import resolve
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.pretrained.onnx import folder, graph_file
from groundgraph.pretrained.onnx.folder import write_vocabulary
from groundgraph.pretrained.packing import read_packed
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.motifs import Motifs, MotifsConfig


@pytest.fixture(scope="module")
def portable(run):
    sizes = groundgraph.pack(run, run.parent / "portable", onnx=True)
    assert {f"onnx/{name}" for name in ("detector.onnx", "scene_graph.onnx", "grounder.onnx")} <= set(sizes)
    return run.parent / "portable"


def example(place):
    """The example that lies in a folder, as a module."""
    spec = spec_from_file_location("predict_by_onnx", place / "predict.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def same(things, relations, named):
    assert [thing["category"] for thing in things] == [thing["category"] for thing in named.objects]
    assert np.allclose(np.reshape([thing["box"] for thing in things], (-1, 4)), named.graph.boxes, atol=1e-2)
    assert np.allclose([thing["score"] for thing in things], named.graph.scores, atol=1e-4)
    keys = ("subject", "predicate", "object")
    expected = {tuple(row[key] for key in keys): row["score"] for row in named.relations}
    scores = {tuple(row[key] for key in keys): row["score"] for row in relations}
    assert set(scores) == set(expected)
    assert all(abs(scores[key] - expected[key]) < 1e-3 for key in scores)


def test_the_example_finds_what_the_model_finds(portable, run):
    model, by_onnx = groundgraph.load(portable), example(portable / "onnx").Model(portable / "onnx")
    by_onnx.showing["min score"] = 1e-9  # an untrained model is sure of nothing
    for image in sorted((run / "images").glob("test-*.png")):
        things, relations = by_onnx.predict(image)
        assert relations
        same(things, relations, model.predict(image, min_score=1e-9))


def test_the_miniatures_calibrated_scores(run, tmp_path):
    """Of a model whose scores are calibrated the example shows what `predict` shows."""
    folder.write_onnx(read_packed(Path(resolve("bundled:sgg")), "cpu"), tmp_path)
    model, by_onnx = groundgraph.load(), example(tmp_path / "onnx").Model(tmp_path / "onnx")
    assert by_onnx.showing["calibration"] and by_onnx.showing["min score"] == pytest.approx(model.min_score)
    count = 0
    for image in sorted((run / "images").glob("test-*.png")):
        things, relations = by_onnx.predict(image)
        same(things, relations, model.predict(image))
        count += len(relations)
    assert count


def test_boxes_around_pairs_are_pooled(run, portable, tmp_path):
    """A model that reads the detector's features of union boxes: untrained, which does not matter here."""
    parts = read_packed(portable, "cpu")
    visual = MotifsConfig(hidden=16, pair=16, embedded=8, union="visual")
    sgg = parts.recipe.sgg.model_copy(update={"motifs": visual, "heads": "closed"})
    torch.manual_seed(0)
    network = Motifs(replace(parts.network.sizes, text=0, unions=256), visual).eval()
    parts = replace(parts, network=network, recipe=parts.recipe.model_copy(update={"sgg": sgg}), grounder=None)
    folder.write_onnx(parts, tmp_path)
    by_onnx, model = example(tmp_path / "onnx").Model(tmp_path / "onnx"), SceneGraphModel(parts)
    by_onnx.showing["min score"] = 1e-9
    image = next((run / "images").glob("test-*.png"))
    same(*by_onnx.predict(image), model.predict(image, min_score=1e-9))


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_systems_graphs(name, run, portable, tmp_path):
    """A system in the place of the scene-graph model: untrained, which does not matter here."""
    parts = read_packed(portable, "cpu")
    system = untrained(name, replace(parts.network.sizes, text=0, words=8))
    names = parts.names | {"merging": Merging(bias=-20.0).record()}  # its surest relations are of what overlaps much
    parts = replace(parts, network=system, names=names, grounder=None)
    folder.write_onnx(parts, tmp_path)
    by_onnx, model = example(tmp_path / "onnx").Model(tmp_path / "onnx"), SceneGraphModel(parts)
    by_onnx.showing["min score"] = 1e-20
    count = 0
    for image in sorted((run / "images").glob("test-*.png")):
        things, relations = by_onnx.predict(image)
        count += len(relations)
        same(things, relations, model.predict(image, min_score=1e-20))
    assert count


def test_other_names(portable, image, tmp_path):
    model = groundgraph.load(portable)
    with model.named(["person", "horse", "tree", "ball"], ["near", "on"]):
        write_vocabulary(model, tmp_path / "words.npz")
        named = model.predict(image, min_score=None)
    by_onnx = example(portable / "onnx").Model(portable / "onnx", tmp_path / "words.npz")
    assert list(by_onnx.predicates) == ["near", "on"]
    same(*by_onnx.predict(image), named)


def test_the_example_needs_no_torch_and_no_groundgraph(portable, image):
    code = (
        f"import sys, runpy; sys.argv = ['predict.py', {str(image)!r}]\n"
        "runpy.run_path('predict.py', run_name='__main__')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'torch', 'groundgraph', 'onnx'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=portable / "onnx", capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_manifest_says_what_is_there_and_why_the_rest_is_not(portable, run, tmp_path):
    manifest = json.loads((portable / "onnx" / "manifest.json").read_text())
    parts = manifest["parts"]
    assert [part["file"] for part in parts.values()] == ["detector.onnx", "scene_graph.onnx", "grounder.onnx"]
    assert all(part["largest difference"] < 1e-4 for part in parts.values())
    assert parts["scene-graph model"]["inputs"]["categories"][0] == "float"
    assert parts["detector"]["inputs"]["image"] == ["uint8", "height", "width", 3]
    assert manifest["inference"]["pairs"] == 100 and set(manifest["showing"]["merging"]) == {
        "bias",
        "overlap",
        "agreement",
    }
    parts = read_packed(portable, "cpu")
    sgnls = parts.recipe.model_copy(update={"grounder": ("sgnls",)})
    unlearnt = type(parts)(parts.network, parts.names, sgnls, "sgnls")
    folder.write_onnx(unlearnt, tmp_path)
    manifest = json.loads((tmp_path / "onnx" / "manifest.json").read_text())
    assert manifest["parts"]["grounder"] == {"why not": "sgnls has no grounder that learnt"}
    assert not (tmp_path / "onnx" / "grounder.onnx").exists()


def test_what_is_left_out_is_said(run, tmp_path, monkeypatch):
    def refuse(detector):
        raise InputError("nobody wrote it down")

    monkeypatch.setattr(folder.detectors, "DetectedRegions", refuse)
    done = CliRunner().invoke(app, ["pack", str(run), str(tmp_path / "packed"), "--onnx"], env={"COLUMNS": "200"})
    assert done.exit_code == 0 and "no ONNX of the detector: nobody wrote it down" in done.output
    with pytest.raises(SystemExit, match="the detector is not here: nobody wrote it down"):
        example(tmp_path / "packed" / "onnx").Model(tmp_path / "packed" / "onnx")


def test_without_the_extra(run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(InputError, match=r'pip install "groundgraph\[onnx\]"'):
        groundgraph.pack(run, tmp_path / "packed", onnx=True)
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="onnxruntime"):
        graph_file.require_onnx()
