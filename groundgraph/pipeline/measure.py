"""The figures of a run: grounding accuracy, scene graph detection, object detection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.types import Example, ParsedCaption
from groundgraph.evaluation.detection import detection_map
from groundgraph.evaluation.grounding import (
    EntityObjects,
    GroundedEntities,
    ambiguous,
    category_truth,
    entity_truth,
    grounding_accuracy,
    unseen,
)
from groundgraph.evaluation.pseudo_labels import LabelledImage, label_quality
from groundgraph.evaluation.recall import prediction_arrays, sgdet_recall, truth_arrays
from groundgraph.language.concepts import same_concept
from groundgraph.pipeline import artifacts
from groundgraph.pipeline.run import Run

GROUPS = ("all", "ambiguous", "unseen")
KS = (20, 50, 100)
RECALLS = ("R", "mR", "ngR")


def true_objects(example: Example, captions: list[ParsedCaption]) -> EntityObjects:
    """Which true objects an image's entities mean: by mention where the data knows, by category where it has boxes."""
    if example.truth is not None and example.truth.mentions:
        return entity_truth(example, captions)
    return category_truth(example, captions, same_concept)


def grounded(run: Run, method: str) -> list[GroundedEntities]:
    """The measured entities whose true boxes are known, an image at a time, with a method's scores."""
    split, detector = run.recipe.measured, artifacts.detector_categories(run)
    rows = zip(
        artifacts.examples(run, split),
        artifacts.parsed(run, split),
        artifacts.regions(run, split),
        artifacts.scores(run, split, method),
        strict=True,
    )
    found = []
    for example, captions, regions, scores in rows:
        if example.truth is None:
            continue
        objects = [meant for caption in true_objects(example, captions) for meant in caption]
        known = np.array([bool(meant) for meant in objects], bool)
        objects = [meant for meant in objects if meant]
        # A category's boxes say nothing of which one is meant, so without mentions nothing counts as ambiguous.
        groups = {"unseen": unseen(example.truth, objects, detector, same_concept)}
        if example.truth.mentions:
            groups["ambiguous"] = ambiguous(example.truth, objects)
        true = [example.truth.boxes[list(meant)] for meant in objects]
        found.append(GroundedEntities(scores[known] if scores.size else scores, regions.boxes, true, groups))
    return found


def labelled(run: Run, method: str) -> Iterator[LabelledImage]:
    """The train split's images whose truth is known, with a method's scores and the teachers' targets."""
    both = run.recipe.teachers.object and run.recipe.teachers.interaction is not None
    rows = zip(
        artifacts.examples(run, "train"),
        artifacts.parsed(run, "train"),
        artifacts.regions(run, "train"),
        artifacts.scores(run, "train", method),
        artifacts.grounding_images(run, "train"),
        strict=True,
    )
    for example, captions, regions, scores, taught in rows:
        if example.truth is not None:
            meant = [objects for caption in true_objects(example, captions) for objects in caption]
            true = [example.truth.boxes[list(objects)] for objects in meant]
            teachers = (taught.object, taught.interaction) if both else (None, None)
            yield LabelledImage(scores, regions.boxes, true, taught.triplets, *teachers)


def measure(run: Run, folder: Path) -> dict[str, Any]:
    """metrics.json: every method's figures as fractions of 1 (null where the data cannot tell), chance, and counts."""
    split = run.recipe.measured
    listed = artifacts.examples(run, split)
    with_truth = [i for i, e in enumerate(listed) if e.truth is not None]
    truths = [listed[i].truth for i in with_truth]
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    true = truth_arrays(truths, objects, predicates)
    methods: dict[str, Any] = {}
    chance = dict.fromkeys(GROUPS)
    counts: dict[str, Any] = {}
    for method in run.recipe.grounder:
        row: dict[str, Any] = {"grounding": dict.fromkeys(GROUPS)}
        if method != "full":
            figures = grounding_accuracy(grounded(run, method))
            chance, counts = figures["chance"], {f"{g} entities measured": figures["counts"][g] for g in GROUPS}
            row["grounding"] = {g: figures["accuracy"][g] for g in GROUPS}
            row["pseudo labels"] = label_quality(labelled(run, method))
        for task, file in (("sgdet", "graphs"), *((task, task) for task in run.recipe.sgg.tasks)):
            all_graphs = artifacts.graphs(run, method, file)
            graphs = [all_graphs[i] for i in with_truth]
            recall = sgdet_recall(true, prediction_arrays(graphs), KS) if len(true.relations) else {}
            row[task] = {f"{name}@{k}": recall.get(f"{name}@{k}") for name in RECALLS for k in KS}
            if task == "sgdet":
                row["mAP50"] = detection_map(truths, graphs, objects)[0] if len(true.labels) else None
        methods[method] = row
    for stage in ("examples", "parsed", "concepts", "teachers"):
        record = run.record(stage)
        counts |= {f"{stage}: {name}": value for name, value in record["counts"].items()}
    for method in (m for m in run.recipe.grounder if m != "full"):
        counts |= {
            f"pseudo labels ({method}): {name}": v for name, v in run.record(f"pseudo-{method}")["counts"].items()
        }
    for stage in (f"{step}-{method}" for method in run.recipe.grounder for step in ("grounding", "sgg")):
        if precision := (run.record(stage) or {"counts": {}})["counts"].get("precision"):
            counts[f"{stage}: precision"] = precision
    metrics = {"methods": methods, "chance": chance, "counts": counts}
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    return {"methods": len(methods), "images measured": len(listed)}
