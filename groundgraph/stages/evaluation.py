"""The figures of a run: grounding accuracy, scene graph detection, object detection."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Example, Graph, GroundTruth, ParsedCaption
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.engine.run import Run
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
from groundgraph.evaluation.pseudo_labels import PseudoLabelledImage, label_quality
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.language.concepts import ConceptMap, same_concept
from groundgraph.stages import artifacts

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


def labelled(run: Run, method: str) -> Iterator[PseudoLabelledImage]:
    """The train split's images whose truth is known, with a method's scores and the teachers' targets."""
    silent = artifacts.Lazy(len(artifacts.names(run, "train")), lambda i: (None, None))
    rows = zip(
        artifacts.examples(run, "train"),
        artifacts.parsed(run, "train"),
        artifacts.regions(run, "train"),
        artifacts.scores(run, "train", method),
        artifacts.targets(run, "train") if run.recipe.two_teachers else silent,
        strict=True,
    )
    for example, captions, regions, scores, targets in rows:
        if example.truth is not None:
            meant = [objects for caption in true_objects(example, captions) for objects in caption]
            true = [example.truth.boxes[list(objects)] for objects in meant]
            yield PseudoLabelledImage(scores, regions.boxes, true, artifacts.triplet_rows(captions), *targets)


def measure(run: Run, folder: Path) -> dict[str, Any]:
    """metrics.json: every method's figures as fractions of 1 (null where the data cannot tell), chance, and counts.

    Where figures are null or of a part of the annotations only, "notes" says why, a sentence each.
    """
    split = run.recipe.measured
    listed = artifacts.examples(run, split)
    with_truth = [i for i, e in enumerate(listed) if e.truth is not None]
    truths = [listed[i].truth for i in with_truth]
    objects, predicates = (v.names for v in artifacts.vocabulary(run))
    true = truth_arrays(truths, objects, predicates)
    annotated, means = annotated_categories(truths, objects)
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
                row["mAP50"] = detection_map(truths, _renamed(graphs, means), annotated)[0] if annotated else None
        methods[method] = row
    for stage in ("examples", "parsed", "concepts", *(("teachers",) if run.recipe.needs_teachers else ())):
        counts |= {f"{stage}: {name}": value for name, value in run.record(stage)["counts"].items()}
    for method in (m for m in run.recipe.grounder if m != "full"):
        counts |= {
            f"pseudo labels ({method}): {name}": v for name, v in run.record(f"pseudo-{method}")["counts"].items()
        }
    for stage in (f"{step}-{method}" for method in run.recipe.grounder for step in ("grounding", "sgg")):
        if precision := (run.record(stage) or {"counts": {}})["counts"].get("precision"):
            counts[f"{stage}: precision"] = precision
    metrics = {"methods": methods, "chance": chance, "counts": counts}
    notes = _notes(truths, len(true.relations), dict(zip(objects, means.tolist(), strict=True)), annotated)
    if any(truth.labels for truth in truths) and any(method != "full" for method in methods):
        notes += _grounding_notes(truths, chance)
    if notes:
        metrics["notes"] = notes
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=1), encoding="utf-8")
    return {"methods": len(methods), "images measured": len(listed)}


def annotated_categories(truths: Sequence[GroundTruth], vocabulary: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The categories to measure detection by, and which of them, from 1, each of the vocabulary counts as (0: none).

    These are the vocabulary's own where it has all that are annotated. Else (a vocabulary induced from captions says
    man and woman, the annotations person) the annotated ones that a category of the vocabulary means, as nouns do.
    """
    names = sorted({name for truth in truths for name in truth.labels})
    if set(names) <= set(vocabulary):
        return (list(vocabulary) if names else []), np.arange(1, len(vocabulary) + 1)
    concepts = ConceptMap(Vocabulary(tuple(names)), Vocabulary(()))
    means = [concepts.category_of(name) for name in vocabulary]
    measured = sorted({m for m in means if m >= 0})
    return [names[m] for m in measured], np.array([measured.index(m) + 1 if m >= 0 else 0 for m in means])


def _renamed(graphs: Sequence[Graph], means: np.ndarray) -> list[Graph]:
    """The graphs' objects under the annotations' categories, without relations; those of none are left out."""
    renamed = []
    for graph in graphs:
        labels = means[graph.labels - 1]
        kept = labels > 0
        none = np.zeros((0, 2), np.int64), np.zeros((0, 1), np.float32)
        renamed.append(Graph(graph.boxes[kept], labels[kept], graph.scores[kept], *none))
    return renamed


def _notes(
    truths: Sequence[GroundTruth],
    relations: int,
    means: dict[str, int],
    annotated: Sequence[str],
) -> list[str]:
    """Why figures are missing, and which are of a part of the annotations.

    relations  how many true ones the vocabularies have; means, annotated: as of `annotated_categories`
    """
    names = {name for truth in truths for name in truth.labels}
    if not names:
        return ["nothing is measured: no box is annotated"]
    notes = []
    if not relations:
        count = sum(len(truth.relations) for truth in truths)
        why = f"none of the {count:,} annotated relations is in the vocabulary" if count else "no relation is annotated"
        notes.append(f"no SGDet recall: {why}")
    if not annotated:
        notes.append(f"no mAP50: no category of the vocabulary means an annotated one ({_some(names)})")
    elif names - set(annotated):
        notes.append(
            f"mAP50 is over {len(annotated)} of {len(names)} annotated categories; nothing in the vocabulary means "
            f"{_some(names - set(annotated))}"
        )
    if others := [f"{name} as {annotated[k - 1]}" for name, k in means.items() if k and annotated[k - 1] != name]:
        notes.append(f"mAP50 counts {_some(others)}")
    return notes


def _grounding_notes(truths: Sequence[GroundTruth], chance: dict[str, float | None]) -> list[str]:
    if chance["all"] is None:
        return ["no grounding accuracy: no entity of a caption means an annotated object"]
    notes = []
    if chance["ambiguous"] is None:
        told = any(truth.mentions for truth in truths)
        why = "no measured entity has a rival" if told else "the annotations do not say which object a caption means"
        notes.append(f"no ambiguous entities: {why}")
    if chance["unseen"] is None:
        notes.append("no unseen entities: the detector knows the category of every measured one")
    return notes


def _some(names: Collection[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(sorted(names)[:most]) + more
