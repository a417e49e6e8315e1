"""`groundgraph export` on a run of a few images, and `groundgraph import` of files as the authors release them."""

import json
import pickle

import networkx
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import groundgraph
from groundgraph.cli import app
from groundgraph.data.records import read_lines
from groundgraph.engine.run import Run
from groundgraph.formats import read_sides
from groundgraph.formats.vg150 import read_graphs
from groundgraph.grounding import build_grounder
from groundgraph.grounding.pseudo_labels import pseudo_of
from groundgraph.stages import artifacts
from groundgraph.stages.recipe import load_recipe

SMALL = [
    "data.train=12", "data.validation=4", "data.test=6", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1", "grounder=[mil,sgnls,pairs]", "teachers.interaction=null",
]  # fmt: skip


def invoke(*words):
    result = CliRunner().invoke(app, [str(w) for w in words])
    return result.exit_code, " ".join(result.output.split())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("export") / "run"
    code, output = invoke("demo", "--out", folder, *(w for s in SMALL for w in ("--set", s)))
    assert code == 0, output
    return Run(load_recipe(folder / "recipe.yaml"), folder)


def export(run, out, what, form, *more):
    code, output = invoke("export", run.folder, out, "--what", what, "--format", form, *more)
    assert code == 0, output
    return output


def pseudo_labels(run, method):
    records = read_lines(run.folder / f"pseudo-{method}" / "train.jsonl")
    return [pseudo_of(r, len(found)) for r, found in zip(records, artifacts.regions(run, "train"), strict=True)]


def test_pseudo_labels_in_every_format(run, tmp_path):
    names = [e.image_id for e in artifacts.examples(run, "train")]
    wanted = pseudo_labels(run, "mil")

    assert "12 images" in export(run, tmp_path / "l.jsonl", "pseudo-labels", "jsonl")
    lines = list(read_lines(tmp_path / "l.jsonl"))
    assert [line["id"] for line in lines] == names
    for line, pseudo in zip(lines, wanted, strict=True):
        regions = [candidate["region"] for entity in line["entities"] for candidate in entity["candidates"]]
        assert regions == pseudo.regions[pseudo.regions >= 0].tolist()

    export(run, tmp_path / "l.json", "pseudo-labels", "coco")
    coco = json.loads((tmp_path / "l.json").read_text())
    assert [image["id"] for image in coco["images"]] == names

    export(run, tmp_path / "vg", "pseudo-labels", "vg150")
    graphs = read_graphs(tmp_path / "vg" / "VG-SGG-with-attri.h5", tmp_path / "vg" / "VG-SGG-dicts-with-attri.json")
    assert len(graphs.labels) == len(coco["annotations"]) > 20 and len(graphs.predicates) == len(coco["relations"]) > 0
    assert [a["category_id"] - 1 for a in coco["annotations"]] == graphs.labels.tolist()
    assert all(link.is_file() for link in (tmp_path / "vg" / "images").iterdir())

    export(run, tmp_path / "p.jsonl", "pseudo-labels", "jsonl", "--method", "pairs")
    for line, pseudo in zip(read_lines(tmp_path / "p.jsonl"), pseudo_labels(run, "pairs"), strict=True):
        assert len(line["pairs"]) == len(line["triplets"]) and all(1 <= len(pairs) <= 3 for pairs in line["pairs"])
        assert [row[:2] for pairs in line["pairs"] for row in pairs] == pseudo.pairs.regions[pseudo.pairs.real].tolist()
    export(run, tmp_path / "p.json", "pseudo-labels", "coco", "--method", "pairs")
    assert len(json.loads((tmp_path / "p.json").read_text())["relations"]) > 0

    export(run, tmp_path / "s.json", "pseudo-labels", "coco", "--method", "sgnls")
    every = json.loads((tmp_path / "s.json").read_text())  # the rule's labels are all regions that match
    found = sum(
        len(np.unique(p.regions[(p.regions >= 0) & (p.categories >= 0)[:, None]])) for p in pseudo_labels(run, "sgnls")
    )
    assert len(every["annotations"]) == found


def test_predictions_in_every_format(run, tmp_path):
    export(run, tmp_path / "g.json", "predictions", "json")
    own = read_sides(run.folder / "sgg-mil" / "graphs.safetensors").predictions
    read = read_sides(tmp_path / "g.json", run.folder / "examples" / "test.jsonl").predictions
    assert np.array_equal(own.boxes, read.boxes) and np.array_equal(own.labels, read.labels)
    assert np.array_equal(own.pairs, read.pairs)
    export(run, tmp_path / "g.jsonl", "predictions", "networkx")
    export(run, tmp_path / "g", "predictions", "graphml")
    made = [networkx.node_link_graph(line, edges="edges") for line in read_lines(tmp_path / "g.jsonl")]
    shown = artifacts.shown_graphs(run, "mil")  # as the report draws them: each thing once
    assert [g.number_of_nodes() for g in made] == [len(graph.boxes) for graph in shown]
    edges = sum(networkx.read_graphml(p).number_of_edges() for p in (tmp_path / "g").iterdir())
    assert edges == sum(len(graph.pairs) for graph in shown) <= len(own.pairs)


def test_predictions_for_other_programs_and_from_python(run, tmp_path):
    code, output = invoke("export", "--list")
    assert code == 0 and all(form in output for form in ("fiftyone", "neo4j", "rdf", "coco", "vg150"))
    shown = artifacts.shown_graphs(run, "mil")
    boxes, relations = (sum(len(getattr(graph, part)) for graph in shown) for part in ("boxes", "pairs"))
    for form in ("coco", "fiftyone", "neo4j", "jsonl"):
        counts = groundgraph.export(run.folder, tmp_path / form, form)
        assert (counts["images"], counts["boxes"], counts["relations"]) == (6, boxes, relations)
    lines = list(read_lines(tmp_path / "jsonl"))
    assert all(Image.open(line["image"]).size == (line["width"], line["height"]) for line in lines)
    counts = groundgraph.export(run.folder, tmp_path / "pseudo", "neo4j", "pseudo-labels", "pairs")
    assert counts["images"] == 12 and counts["relations"] > 0
    pytest.importorskip("rdflib")
    for _ in range(2):
        export(run, tmp_path / "g.nt", "predictions", "rdf")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--what", "predictions", "--format", "vg150"), "predictions are not exported as 'vg150'"),
        (("--what", "regions", "--format", "json"), "predictions: json, graphml"),
        (("--what", "predictions", "--format", "json", "--method", "wsgm"), "no finished stage sgg-wsgm"),
    ],
)
def test_what_cannot_be_exported(run, tmp_path, words, says):
    code, output = invoke("export", run.folder, tmp_path / "out", *words)
    assert code == 2 and says in output and not (tmp_path / "out").exists()
    code, output = invoke("export", tmp_path, tmp_path / "out", "--what", "predictions", "--format", "json")
    assert code == 2 and "no run's folder" in output


def test_nothing_that_a_run_made_or_read_is_written_over(run, tmp_path):
    kept = {path: path.read_bytes() for path in run.folder.rglob("*.json*")}
    for name in ("recipe.yaml", "metrics.json", "examples/train.jsonl", "evaluation/metrics.json", "images"):
        code, output = invoke("export", run.folder, run.folder / name, "--what", "predictions", "--format", "json")
        assert code == 2 and ("written over" in output or "a folder" in output), output
    assert {path: path.read_bytes() for path in kept} == kept
    for _ in range(2):
        export(run, run.folder / "exported.json", "predictions", "json")


def test_import(tmp_path):
    results = {9: {"gt_classes": [1, 0], "relations": [(0, 1, 2)], "gd_boxes": [[3], [4]], "gd_scores": [[0.5], [0.5]]}}
    (tmp_path / "r.pkl").write_bytes(pickle.dumps(results))
    code, output = invoke("import", "pseudo-labels", tmp_path / "r.pkl", tmp_path / "deep" / "train.jsonl")
    assert code == 0 and "left out" in output and "1 images, 2 entities, 0 triplets" in output
    (record,) = read_lines(tmp_path / "deep" / "train.jsonl")
    assert record["id"] == "9" and [e["name"] for e in record["entities"]] == ["airplane", ""]
    assert pseudo_of(record, 36).regions.tolist() == [[3], [4]]

    sizes = {"text_encoder.0": (5, 4), "text_encoder.2": (5, 5), "visual_encoder.0": (5, 6), "visual_encoder.2": (5, 5)}
    sizes |= {"classifier": (1, 5), "adaptor": (1, 5)}
    weights = {f"{k}.weight": torch.randn(s) for k, s in sizes.items()}
    torch.save(weights | {f"{k}.bias": torch.randn(s[0]) for k, s in sizes.items()}, tmp_path / "grounder_best.pth")
    code, output = invoke("import", "grounder", tmp_path / "grounder_best.pth", tmp_path / "grounding-two-teachers")
    assert code == 0, output
    grounder = build_grounder("two-teachers").load(tmp_path / "grounding-two-teachers")
    assert torch.equal(grounder.model.attend.weight, weights["classifier.weight"])
    code, output = invoke("import", "detector", tmp_path / "r.pkl", tmp_path / "x")
    assert code == 2 and "choose of pseudo-labels, grounder" in output
