"""The report: what the figures are, and cases a person can judge.

Reads what the evaluation reads, the matches, and the evaluation; writes report/report.html.
"""

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
from groundgraph.engine.stage import Stage
from groundgraph.evaluation.recall import triplet_recall
from groundgraph.grounding import GROUNDERS
from groundgraph.report.charts import PredicateRecall
from groundgraph.report.html import GraphPicture, ReportData, write_report
from groundgraph.report.pictures import graph_json
from groundgraph.stages import evaluation, grounding, sgg
from groundgraph.stages.cases import choose_cases
from groundgraph.stages.concepts import word_meanings
from groundgraph.stages.cost import per_image
from groundgraph.stages.examples import examples
from groundgraph.stages.matches import category_nouns
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.stages.word_tables import novel_table, word_tables
from groundgraph.systems import SYSTEMS

GRAPHS, RELATIONS = 24, 8
K = 50  # of the predicates' recall


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe, of which it shows all but where it ran."""
    text = ("text",) if recipe.needs_text else ()
    (measured,) = evaluation.build(recipe)
    return [
        Stage(
            "report",
            needs=(*measured.needs, "matches", *text, evaluation.NAME),
            settings=recipe.model_dump(mode="json", exclude={"device"}),
            work=write_summary,
            cost=per_image((recipe.measured,), "write the report"),
            reusable=False,
        )
    ]


def write_summary(run: Run, folder: Path) -> dict[str, Any]:
    """Write the page; it and metrics.json are also put at the top of the run's folder, where people look."""
    (cases, cases_note), (graphs, graphs_note) = choose_cases(run), picture_graphs(run)
    order = [*GROUNDERS.values(), *SYSTEMS.values()]
    methods = sorted(run.recipe.methods.items(), key=lambda item: order.index(item[1]))
    data = ReportData(
        title=run.recipe.name,
        metrics=evaluation.metrics(run),
        methods={name: method.title for name, method in methods},
        config_yaml=run.recipe.yaml(),
        seconds=dict(run.seconds),
        cases=cases,
        graphs=graphs,
        curves=curves(run),
        skipped=list(run.skipped.items),
        tables=[
            *novel_table(evaluation.metrics(run)["methods"], run.recipe.vocabulary.novel.model_dump()),
            *word_tables(word_meanings(run), category_nouns(run)),
        ],
        cases_note=cases_note,
        graphs_note=graphs_note,
        predicates=predicate_recall(run),
    )
    write_report(folder / "report.html", data)
    publish(run, folder)
    return {"cases": len(cases), "graphs": len(graphs)}


def publish(run: Run, report: Path) -> None:
    """Put the report, from its stage's folder, and the figures at the top of the run's folder, if they are not."""
    for source in (report / "report.html", run.folder / evaluation.NAME / "metrics.json"):
        target = run.folder / source.name
        if not (target.is_file() and filecmp.cmp(source, target, shallow=False)):
            with atomic_write(target) as temporary:
                shutil.copyfile(source, temporary)


def curves(run: Run) -> dict[str, dict[str, list[float]]]:
    """Training curves by stage, of the stages that have any."""
    curves = {}
    for method in run.recipe.methods:
        for stage in (grounding.stage_of(method), sgg.stage_of(method)):
            file = run.folder / stage / "curves.json"
            if file.is_file():
                curves[stage] = json.loads(file.read_text(encoding="utf-8"))
    return curves


def picture_graphs(run: Run) -> tuple[list[GraphPicture], str]:
    """The first method's scene graphs of a few measured images, and a sentence on which they are."""
    method, split = run.recipe.first_method, run.recipe.measured
    objects, predicates = (v.names for v in vocabulary(run))
    pictures: list[GraphPicture] = []
    for example, graph in zip(examples(run, split), sgg.shown_graphs(run, method), strict=True):
        if len(pictures) == GRAPHS:
            break
        if not len(graph.pairs):
            continue
        try:
            image = open_image(example.path)
        except ImageError:
            continue
        caption = example.captions[0] if example.captions else example.image_id
        pictures.append(GraphPicture(image, caption, graph_json(graph, objects, predicates, RELATIONS)))
    note = (
        f"{run.recipe.methods[method].title}: the first {len(pictures)} of the {split} images on which a relation is "
        f"shown, with the {RELATIONS} best relations of each, under its first caption."
    )
    return pictures, note


def predicate_recall(run: Run) -> PredicateRecall | None:
    """Recall of each predicate of the measured images by every method, None where no relation of theirs is known."""
    objects, predicates = (v.names for v in vocabulary(run))
    listing = examples(run, run.recipe.measured)
    with_truth = [i for i, example in enumerate(listing) if example.truth is not None]
    truth = truth_arrays([listing[i].truth for i in with_truth], objects, predicates)
    counts = np.bincount(truth.relations[:, 2], minlength=1 + len(predicates)) if len(truth.relations) else np.zeros(1)
    order = [p for p in np.argsort(-counts, kind="stable").tolist() if p and counts[p]]
    if not order:
        return None
    recall = {}
    for method in run.recipe.methods:
        graphs = sgg.graphs(run, method)
        predicted = prediction_arrays([graphs[i] for i in with_truth])
        means = triplet_recall(truth, predicted, (K,), predicates=len(predicates))["mR", K].means
        recall[method] = [None if np.isnan(means[p - 1]) else float(means[p - 1]) for p in order]
    return PredicateRecall([predicates[p - 1] for p in order], [int(counts[p]) for p in order], recall, K)
