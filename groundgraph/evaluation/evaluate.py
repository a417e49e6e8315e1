"""Everything the field measures on predicted scene graphs, for any model: one call, arrays in, results out."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.data.graph_checks import Predictions, Truth, as_predictions, as_triplets, as_truth
from groundgraph.errors import InputError
from groundgraph.evaluation.bootstrap import intervals
from groundgraph.evaluation.detection import average_precisions, mean_precision
from groundgraph.evaluation.matching import join, triplet_labels
from groundgraph.evaluation.recall import CONVENTIONS, Convention, GroupedRecall, triplet_recall

EvaluationTask = Literal["predcls", "sgcls", "sgdet", "phrdet"]
TASKS: dict[str, str] = {
    "predcls": "predicate classification: boxes and labels are given",
    "sgcls": "scene graph classification: boxes are given",
    "sgdet": "scene graph detection: nothing is given",
    "phrdet": "phrase detection: one box around subject and object",
}
METRICS = ("R", "ngR", "zR", "ngzR", "mR", "ngmR")
_APART = 2.0  # px by which a given box may differ from the truth's: it was rounded, or cut at a smaller image's border


def evaluate(
    predictions: Predictions,
    truth: Truth | None = None,
    *,
    task: EvaluationTask = "sgdet",
    convention: Convention = "default",
    ks: Sequence[int] = (20, 50, 100),
    zeroshot: np.ndarray | None = None,
    predicates: int | Sequence[str] | None = None,
    bootstrap: int = 0,
    seed: int = 0,
    detection: bool = True,
) -> dict[str, Any]:
    """Measure predicted scene graphs against true ones; every metric is a fraction of 1.

    Args:
        predictions: flat arrays in the golden layout (a mapping, or an opened npz), or a list with a mapping an image,
            see `as_predictions`.
        truth: likewise, see `as_truth`; None: `predictions` is a flat mapping that holds both sides.
        task: "predcls", "sgcls", "sgdet" or "phrdet", see `task_predictions`.
        convention: "default": an image without a predicted pair counts 0; "sgb": it is left out, as by
            Scene-Graph-Benchmark's evaluator, and nothing else differs; "vrd": as VRD is measured, see
            `triplet_recall`.
        ks: how many predictions of an image count.
        zeroshot: [Z, 3] (subject label, object label, predicate) that training never saw; None: the flat mapping's
            "zeroshot" if it has one.
        predicates: the predicates' names, or how many there are, over which mR is averaged; None: as many as are
            scored.
        bootstrap: how many samples of the images the confidence intervals are from; 0: none are given.
        seed: of these samples.
        detection: whether mAP50 is measured too: pycocotools takes longer over it than all the rest.

    Returns:
        What json can write:
        mode, convention, images, images_with_relations, images_without_pairs (of those with relations), seconds;
        unseen_relations: how many true relations are of `zeroshot`, null without it;
        R, ngR, zR, ngzR, mR, ngmR: {"20": fraction, ...}, see `triplet_recall`; mAP50: see `average_precisions`. Where
        the truth has nothing that a metric counts, it is null;
        predicates: {name, or number as text: {"images", "relations", "R": {"20": ...}, "ngR": {...}}}, those that
        occur;
        intervals, with `bootstrap`: 95 % of the samples lie between {"R": {"20": [low, high], ...}, ...}. mAP50 has
        none: a sample repeats the images that a rare category is in, which lifts its precision above the metric's.

    Raises:
        InputError: naming the array and the fix, on anything that is missing, out of range or does not fit.
    """
    check_choices(task, convention)
    if not ks or min(ks) < 1 or bootstrap < 0:
        raise InputError("K counts from 1 and the number of bootstrap samples from 0")
    if truth is None:
        if not isinstance(predictions, Mapping):
            raise InputError(
                "without ground truth, the predictions must be a flat mapping that holds it (gt_boxes, ...)"
            )
        truth = {k: v for k, v in predictions.items() if not k.startswith("pred_")}
    if zeroshot is None and isinstance(predictions, Mapping):
        zeroshot = predictions.get("zeroshot")
    true, predicted = as_truth(truth), as_predictions(predictions)
    began = time.perf_counter()
    predicted = (
        vrd_predictions(task, true, predicted) if convention == "vrd" else task_predictions(task, true, predicted)
    )
    names, count = (None, predicates) if isinstance(predicates, int | None) else (list(predicates), len(predicates))
    unseen = None if zeroshot is None else as_triplets(zeroshot)
    recalls = triplet_recall(true, predicted, ks, convention, unseen, count, phrase=task == "phrdet")
    results: dict[str, Any] = {"mode": task, "convention": convention} | _counts(true, predicted)
    results["unseen_relations"] = None if unseen is None else count_unseen(true, unseen)
    measured = {key: recall for key, recall in recalls.items() if len(recall.values)}
    for name in METRICS:
        results[name] = {str(k): measured[name, k].mean if (name, k) in measured else None for k in ks}
    if detection:
        precisions = average_precisions(true, predicted)
        results["mAP50"] = mean_precision(precisions) if precisions else None
    results["predicates"] = _predicates(true, recalls, ks, names)
    results["seconds"] = round(time.perf_counter() - began, 4)
    if bootstrap and true.images:

        def resampled(weights: np.ndarray) -> dict[tuple[str, int], np.ndarray]:
            return {key: recall.resampled(weights) for key, recall in measured.items()}

        between = intervals(resampled, true.images, bootstrap, seed)
        results["intervals"] = {n: {str(k): between.get((n, k)) for k in ks} for n in METRICS}
    return results


def count_unseen(truth: TruthArrays, unseen: np.ndarray) -> int:
    """How many true relations are of given triplets.

    Args:
        truth: the true graphs.
        unseen: [Z, 3] (subject label, object label, predicate).
    """
    return len(np.unique(join(triplet_labels(truth), unseen)[0]))


def check_choices(task: str, convention: str) -> None:
    """Check the names of a task and of a convention.

    Raises:
        InputError: naming what there is, where one is unknown.
    """
    if task not in TASKS:
        raise InputError(f'unknown task "{task}": use {", ".join(f"{k} ({v})" for k, v in TASKS.items())}')
    if convention not in CONVENTIONS:
        raise InputError(f'unknown convention "{convention}": use {", ".join(CONVENTIONS)}')


def task_predictions(task: EvaluationTask, truth: TruthArrays, predictions: PredictionArrays) -> PredictionArrays:
    """The predictions as a task has them scored, after Scene-Graph-Benchmark's evaluator.

    Args:
        task: "predcls": boxes and labels become the truth's and every object's score 1, so that ngR ranks by predicate
            scores only. The others leave them as they are; "sgcls" too matches boxes by IoU, not by number: of two
            boxes of one label that overlap by half, either may stand for the other.
        truth: the true graphs of N images.
        predictions: the predicted graphs of the same images.

    Raises:
        InputError: where predcls or sgcls predictions do not have the truth's boxes, in its order, within 2 pixels:
            the pairs count these boxes, and that evaluator would silently compare the wrong ones.
    """
    if task not in ("predcls", "sgcls"):
        return predictions
    _check_boxes(task, truth, predictions)
    if task == "sgcls":
        return predictions
    return replace(predictions, boxes=truth.boxes, labels=truth.labels, scores=np.ones(len(truth.labels), np.float32))


def vrd_predictions(task: EvaluationTask, truth: TruthArrays, predictions: PredictionArrays) -> PredictionArrays:
    """The predictions as VRD's convention has a task scored.

    Predicate detection ("predcls") is given which pairs are annotated: graphs over the truth's boxes keep, of each true
    relation, the prediction of its own pair, as the authors' program predicts them. Predictions over other boxes, such
    as the authors' own files, which have a box for every end of a triplet, are taken as they stand; so are all of the
    other tasks.

    Args:
        task: see `evaluate`.
        truth: the true graphs of N images.
        predictions: the predicted graphs of the same images.
    """
    if task != "predcls":
        return predictions
    try:
        _check_boxes(task, truth, predictions)
    except InputError:
        return predictions
    return of_annotated_pairs(truth, predictions)


def of_annotated_pairs(truth: TruthArrays, predictions: PredictionArrays) -> PredictionArrays:
    """Of every true relation the prediction of its pair, in the predictions' order; a pair of two relations is twice.

    Args:
        truth: the true graphs of N images.
        predictions: over the truth's boxes, in its order.
    """
    true, predicted = owners(truth.relation_offsets), owners(predictions.pair_offsets)
    _, rows = join(np.column_stack([true, truth.relations[:, :2]]), np.column_stack([predicted, predictions.pairs]))
    return replace(
        predictions,
        pairs=predictions.pairs[rows],
        predicate_scores=predictions.predicate_scores[rows],
        pair_offsets=np.searchsorted(predicted[rows], np.arange(truth.images + 1)),
    )


def _check_boxes(task: str, truth: TruthArrays, predictions: PredictionArrays) -> None:
    """Raise InputError where predictions do not have the truth's boxes, in its order, within 2 pixels."""
    if predictions.images != truth.images:
        raise InputError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    boxes, true_boxes = np.diff(predictions.box_offsets), np.diff(truth.box_offsets)
    wrong = boxes != true_boxes
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        why = f"image {first} has {boxes[first]} predicted boxes but {true_boxes[first]} true ones"
    else:
        apart = np.abs(predictions.boxes.astype(np.float64) - truth.boxes).max(1, initial=0)
        wrong[owners(truth.box_offsets)[apart > _APART]] = True
        first = int(np.flatnonzero(wrong)[0]) if wrong.any() else -1
        why = f"in image {first} a predicted box is up to {apart.max(initial=0):.1f} pixels from the true one"
    if wrong.any():
        raise InputError(
            f"{task} predictions must have the ground truth's boxes in its order, and {wrong.sum()} of {len(wrong)} "
            f"images do not: {why}; predict on the true boxes, or evaluate with the task sgdet"
        )


def _counts(truth: TruthArrays, predictions: PredictionArrays) -> dict[str, int]:
    related = np.diff(truth.relation_offsets) > 0
    return {
        "images": truth.images,
        "images_with_relations": int(related.sum()),
        "images_without_pairs": int((related & (np.diff(predictions.pair_offsets) == 0)).sum()),
    }


def _predicates(
    truth: TruthArrays, recalls: Mapping[tuple[str, int], GroupedRecall], ks: Sequence[int], names: list[str] | None
) -> dict[str, dict[str, Any]]:
    """Each predicate that occurs: in how many images and relations, and its recall, the mean over its images."""
    relations = np.bincount(truth.relations[:, 2], minlength=1 + recalls["mR", ks[0]].width)
    image = owners(truth.relation_offsets)
    images = np.bincount(
        np.unique(np.column_stack([truth.relations[:, 2], image]), axis=0)[:, 0], minlength=len(relations)
    )
    means = {(name, k): recalls[f"{name[:-1]}mR", k].means for name in ("R", "ngR") for k in ks}
    table = {}
    for p in np.flatnonzero(relations):
        row: dict[str, Any] = {"images": int(images[p]), "relations": int(relations[p])}
        for name in ("R", "ngR"):
            # Under the sgb convention all of a predicate's images may have been left out: there is no figure then.
            values = {str(k): float(means[name, k][p - 1]) for k in ks}
            row[name] = {k: None if np.isnan(v) else v for k, v in values.items()}
        table[names[p - 1] if names else str(p)] = row
    return table
