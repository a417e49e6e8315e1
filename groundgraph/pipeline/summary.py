"""The report of a run: what the figures are, and cases a person can judge."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.images import ImageError, open_image
from groundgraph.evaluation.grounding import region_hits
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.measure import true_objects
from groundgraph.pipeline.run import Run
from groundgraph.pipeline.words import word_tables
from groundgraph.report.html import Case, GraphPicture, ReportData, write_report
from groundgraph.report.pictures import draw_graph, triplet_lines

CASES = (6, 3)  # captions that the first method grounds wholly, and ones it does not
GRAPHS = 6


def write_summary(run: Run, folder: Path) -> dict[str, Any]:
    """report.html; it and metrics.json are copied to the top of the run's folder, where people look."""
    metrics = json.loads((run.folder / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
    cases, graphs = choose_cases(run), picture_graphs(run)
    data = ReportData(
        title=run.recipe.name,
        metrics=metrics,
        config_yaml=run.recipe.yaml(),
        seconds=dict(run.seconds),
        cases=cases,
        graphs=graphs,
        curves=curves(run),
        skipped=list(run.skipped.items),
        tables=word_tables(run),
    )
    write_report(folder / "report.html", data)
    for source in (folder / "report.html", run.folder / "evaluation" / "metrics.json"):
        temporary = run.folder / f"{source.name}.tmp"
        shutil.copyfile(source, temporary)
        os.replace(temporary, run.folder / source.name)
    return {"cases": len(cases), "graphs": len(graphs)}


def curves(run: Run) -> dict[str, dict[str, list[float]]]:
    """Training curves by stage, of the stages that have any."""
    found = {}
    for method in run.recipe.grounder:
        for stage in (f"grounding-{method}", f"sgg-{method}"):
            file = run.folder / stage / "curves.json"
            if file.is_file():
                found[stage] = json.loads(file.read_text(encoding="utf-8"))
    return found


def choose_cases(run: Run) -> list[Case]:
    """Captions with known truth that tell methods apart: ours right and another wrong, then failures."""
    split, methods = run.recipe.measured, [m for m in run.recipe.grounder if m != "full"]
    if not methods:
        return []
    examples, parsed, regions = (read(run, split) for read in (artifacts.examples, artifacts.parsed, artifacts.regions))
    scores = {method: artifacts.scores(run, split, method) for method in methods}
    rng = np.random.default_rng(run.recipe.seed)
    good: list[Case] = []
    bad: list[Case] = []
    for i, example in enumerate(examples):
        if example.truth is None or not len(regions[i]) or (len(good) >= CASES[0] and len(bad) >= CASES[1]):
            continue
        first = 0
        for caption, objects in zip(parsed[i], true_objects(example, parsed[i]), strict=True):
            rows = slice(first, first + len(caption.entities))
            first = rows.stop
            if not objects or not all(objects):
                continue
            true = [example.truth.boxes[list(meant)] for meant in objects]
            hits = region_hits(regions[i].boxes, true)
            answers: dict[str, list] = {"truth": [boxes[0].tolist() for boxes in true]}
            correct: dict[str, list[bool]] = {}
            for method in methods:
                found = scores[method][i][rows]
                best = (found + rng.random(found.shape) * 1e-9).argmax(1)  # a tie falls at random
                answers[method] = regions[i].boxes[best].tolist()
                correct[method] = hits[np.arange(len(best)), best].tolist()
            ours = all(correct[methods[0]])
            others = [all(correct[m]) for m in methods[1:]]
            room = len(good) < CASES[0] if ours else len(bad) < CASES[1]
            if not room or (ours and others and all(others)):
                continue
            try:
                image = open_image(example.path)
            except ImageError:
                break
            spans = [entity.head_span for entity in caption.entities]
            (good if ours else bad).append(Case(image, caption.text, spans, answers, correct))
            break  # one caption an image
    return good + bad


def picture_graphs(run: Run) -> list[GraphPicture]:
    """The first method's scene graphs of a few measured images."""
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
        drawn = draw_graph(image, graph, objects, predicates, 5)
        pictures.append(GraphPicture(drawn, example.image_id, triplet_lines(graph, objects, predicates, 5)))
    return pictures
