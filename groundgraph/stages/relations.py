"""Figures of relations for the evaluation: right pairs of regions, and VRD's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, prediction_arrays
from groundgraph.data.types import Example, ParsedCaption
from groundgraph.engine.run import Run
from groundgraph.evaluation.evaluate import evaluate, of_annotated_pairs
from groundgraph.evaluation.grounding import EntityObjects, region_hits
from groundgraph.evaluation.pairs import TripletPairs, entity_pair_scores, listed_pair_scores, pair_candidates
from groundgraph.stages import grounding, sgg
from groundgraph.stages.examples import examples
from groundgraph.stages.object_aware import object_aware
from groundgraph.stages.parsed import parsed, triplet_rows
from groundgraph.stages.places import ANNOTATED
from groundgraph.stages.regions import regions
from groundgraph.stages.vocabulary import vocabulary

KS = (50, 100)  # predictions of an image that VRD's figures count
METRICS = ("R", "ngR", "zR", "ngzR")
SAME = 0.999  # IoU of an annotated box with itself


def triplet_pairs(run: Run, method: str, objects_of: Sequence[EntityObjects]) -> Iterator[TripletPairs]:
    """The measured images' triplets whose true pairs are known, with a method's scores of all pairs.

    Args:
        run: A run whose method has scored.
        method: The method, by its name in the recipe.
        objects_of: Of each measured image, which true objects its entities mean; () where it is not known.
    """
    split = run.recipe.measured
    best = grounding.pairs(run, split, method) if run.recipe.methods[method].pairs else None
    overlap = SAME if run.recipe.detector.kind == ANNOTATED else 0.5
    rows = zip(
        examples(run, split), parsed(run, split), regions(run, split), grounding.scores(run, split, method), strict=True
    )
    for place, (example, captions, proposals, scores) in enumerate(rows):
        triplets = triplet_rows(captions)
        if example.truth is None or not example.truth.mentions or not len(triplets) or not scores.size:
            continue
        target = object_aware(run, split)[place]
        true = true_pairs(example, captions, objects_of[place])
        known = np.array([bool(own) for own in true])
        hits = region_hits(proposals.boxes, [box[None] for box in example.truth.boxes], overlap)
        right = np.zeros((len(triplets), len(proposals), len(proposals)), bool)
        for triplet, own in enumerate(true):
            for subject, object_ in own:
                right[triplet] |= hits[subject][:, None] & hits[object_][None]
        candidates = pair_candidates(target > 0, triplets)
        if best is None:
            paired = entity_pair_scores(scores, triplets)
        else:
            paired = listed_pair_scores(best[place].regions, best[place].scores, len(proposals))
        yield TripletPairs(paired[known], candidates[known], right[known])


def true_pairs(
    example: Example, captions: Sequence[ParsedCaption], objects: EntityObjects
) -> list[list[tuple[int, int]]]:
    """The true (subject, object) of each triplet: of what its ends may mean, the pairs that are so related.

    Where the annotation has no relation of that name between them, all pairs of what its ends mean.
    """
    relations = set(example.truth.relations) if example.truth is not None else set()
    pairs = []
    for caption, meant in zip(captions, objects, strict=True):
        for triplet in caption.triplets:
            ends = [(s, o) for s in meant[triplet.subject] for o in meant[triplet.object]]
            related = [(s, o) for s, o in ends if (s, triplet.predicate, o) in relations]
            pairs.append(related or [(s, o) for s, o in ends if s != o])
    return pairs


def vrd_figures(run: Run, method: str, true: TruthArrays, with_truth: Sequence[int]) -> dict[str, dict[str, Any]]:
    """VRD's tasks by its convention, as far as the run has the graphs: {task: {"R@50": fraction of 1, ...}}.

    Predicate detection is measured twice: over the annotated pairs alone, as the authors' program does, and over all
    ordered pairs of the annotated boxes, which is harder. Where the regions are the annotated boxes nothing is
    detected, and phrases and relationships are not measured. Zero-shot: triplets that no training image has.

    Args:
        run: A run with trained models.
        method: The method, by its name in the recipe.
        true: The true graphs of the images with truth.
        with_truth: Their places among the measured images.
    """
    unseen = _unseen(run)

    def figures(predicted: PredictionArrays, task: Any = "sgdet") -> dict[str, Any]:
        result = evaluate(predicted, true, task=task, convention="vrd", ks=KS, zeroshot=unseen, detection=False)
        return {f"{name}@{k}": result[name][str(k)] for name in METRICS for k in KS}

    metrics = {}
    if "predcls" in run.recipe.sgg.tasks:
        graphs = _graphs(run, method, "predcls", with_truth)
        metrics["predicate detection"] = figures(of_annotated_pairs(true, graphs))
        metrics["predicate detection, all pairs"] = figures(graphs)
    if run.recipe.detector.kind != ANNOTATED:
        predicted = _graphs(run, method, "graphs", with_truth)
        metrics["phrase detection"] = figures(predicted, "phrdet")
        metrics["relationship detection"] = figures(predicted)
    return metrics


def _graphs(run: Run, method: str, file: str, with_truth: Sequence[int]) -> PredictionArrays:
    graphs = sgg.graphs(run, method, file)
    return prediction_arrays([graphs[i] for i in with_truth])


def _unseen(run: Run) -> np.ndarray:
    """The triplets [Z, 3] (subject label, object label, predicate) of the vocabulary that no training image has."""
    objects, predicates = vocabulary(run)
    unseen = np.ones((len(objects), len(objects), len(predicates)), bool)
    for split in run.recipe.splits[:-1]:
        for example in examples(run, split):
            for subject, predicate, object_ in example.triplets:
                place = objects.index(subject), objects.index(object_), predicates.index(predicate)
                if min(place) >= 0:
                    unseen[place] = False
    return np.argwhere(unseen) + 1
