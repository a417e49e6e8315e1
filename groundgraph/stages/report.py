"""The report of a run: what the figures are, and cases a person can judge."""

from __future__ import annotations

import filecmp
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import atomic_write
from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.images import ImageError, open_image
from groundgraph.engine.run import Run
from groundgraph.evaluation.recall import triplet_recall
from groundgraph.grounding import GROUNDERS, method_of
from groundgraph.report.charts import PredicateRecall
from groundgraph.report.html import GraphPicture, ReportData, write_report
from groundgraph.report.pictures import graph_json
from groundgraph.stages import artifacts
from groundgraph.stages.cases import choose_cases
from groundgraph.stages.concepts import word_tables

GRAPHS, RELATIONS = 24, 8
K = 50  # of the predicates' recall


def write_summary(run: Run, folder: Path) -> dict[str, Any]:
    """report.html; it and metrics.json are also put at the top of the run's folder, where people look."""
    metrics = json.loads((run.folder / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    order = list(GROUNDERS.values())
    methods = sorted(run.recipe.grounder, key=lambda name: order.index(method_of(name)))
    (cases, cases_note), (graphs, graphs_note) = choose_cases(run), picture_graphs(run)
    data = ReportData(
        title=run.recipe.name,
        metrics=metrics,
        methods={name: method_of(name).title for name in methods},
        config_yaml=run.recipe.yaml(),
        seconds=dict(run.seconds),
        cases=cases,
        graphs=graphs,
        curves=curves(run),
        skipped=list(run.skipped.items),
        tables=word_tables(run),
        cases_note=cases_note,
        graphs_note=graphs_note,
        predicates=predicate_recall(run),
    )
    write_report(folder / "report.html", data)
    publish(run, folder)
    return {"cases": len(cases), "graphs": len(graphs)}


def publish(run: Run, report: Path) -> None:
    """Put the report, from its stage's folder, and the figures at the top of the run's folder, if they are not."""
    for source in (report / "report.html", run.folder / "evaluation" / "metrics.json"):
        target = run.folder / source.name
        if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)


def curves(run: Run) -> dict[str, dict[str, list[float]]]:
    """Training curves by stage, of the stages that have any."""
    found = {}
    for method in run.recipe.grounder:
        for stage in (f"grounding-{method}", f"sgg-{method}"):
            file = run.folder / stage / "curves.json"
            if file.is_file():
                found[stage] = json.loads(file.read_text(encoding="utf-8"))
    return found


def picture_graphs(run: Run) -> tuple[list[GraphPicture], str]:
    """The first method's scene graphs of a few measured images, and a sentence on which they are."""
    method, split = run.recipe.grounder[0], run.recipe.measured
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    pictures = []
    for example, graph in zip(artifacts.examples(run, split), artifacts.graphs(run, method), strict=True):
        if len(pictures) == GRAPHS:
            break
        if not len(graph.pairs):
            continue
        try:
            image = open_image(example.path)
        except ImageError:
            continue
        said = example.captions[0] if example.captions else example.image_id
        pictures.append(GraphPicture(image, said, graph_json(graph, objects, predicates, RELATIONS)))
    note = (
        f"{method_of(method).title}: the first {len(pictures)} of the {split} images on which a relation was found, "
        f"with the {RELATIONS} best relations of each, under its first caption."
    )
    return pictures, note


def predicate_recall(run: Run) -> PredicateRecall | None:
    """Recall of each predicate of the measured images by every method, None where no relation of theirs is known."""
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    listed = artifacts.examples(run, run.recipe.measured)
    known = [i for i, example in enumerate(listed) if example.truth is not None]
    truth = truth_arrays([listed[i].truth for i in known], objects, predicates)
    counts = np.bincount(truth.relations[:, 2], minlength=1 + len(predicates)) if len(truth.relations) else np.zeros(1)
    order = [p for p in np.argsort(-counts, kind="stable").tolist() if p and counts[p]]
    if not order:
        return None
    recall = {}
    for method in run.recipe.grounder:
        graphs = artifacts.graphs(run, method)
        predicted = prediction_arrays([graphs[i] for i in known])
        means = triplet_recall(truth, predicted, (K,), predicates=len(predicates))["mR", K].means
        recall[method] = [None if np.isnan(means[p - 1]) else float(means[p - 1]) for p in order]
    return PredicateRecall([predicates[p - 1] for p in order], [int(counts[p]) for p in order], recall, K)
