"""What a scene-graph model's scores mean where no relation is annotated: by the captions of images held out from it.

The training images are parted in three; a model that is trained on two parts finds the graphs of the third, and what
the third's captions say, grounded, tells which relations are right; who says a man says a person too. The run's own
model is trained on all.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.graph_arrays import owners, prediction_arrays, truth_arrays
from groundgraph.data.store import counts_of
from groundgraph.data.types import Graph, GroundTruth, Regions
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.engine.run import Run
from groundgraph.evaluation.calibration import related_predictions, right_predictions, score_figures
from groundgraph.language.concepts import meaning_of
from groundgraph.sgg.calibration import Calibration, fit_calibration, spoken_share
from groundgraph.sgg.inference import predict
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.showing import Showing, uncalibrated
from groundgraph.sgg.unions import UnionsOf
from groundgraph.stages.calibration import annotated_validation
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.names import trained_names
from groundgraph.stages.sgg_training import labels_of, train_model
from groundgraph.stages.views import viewed_regions

FOLDS = 3
LEAST = 20  # images; fewer captions say too little


class HeldOut(NamedTuple):
    """The relations that models found on the training images that they were not trained on, each thing once.

    Attributes:
        scores: [Q], of all images' relations.
        right: [Q] bool, a caption says it, of these boxes.
        spoken: [Q] bool, a caption relates the two, in whatever way and by whatever names.
        offsets: [N + 1], where each image's relations begin.
        folds: [N], which model found them.
        mentioned: How many relations the captions say.
    """

    scores: np.ndarray
    right: np.ndarray
    spoken: np.ndarray
    offsets: np.ndarray
    folds: np.ndarray
    mentioned: int


def found_by_others(run: Run, method: str, unions_of: UnionsOf) -> HeldOut | None:
    """Train a model on each two thirds of the images, and let it find the graphs of the others.

    Returns:
        What they found; None where relations of validation images are annotated, or there are too few images.
    """
    ids, listing = image_ids(run, "train"), examples(run, "train")
    usable = np.flatnonzero(counts_of(viewed_regions(run, "train")))
    if run.recipe.methods[method].supervised or annotated_validation(run, unions_of) or len(usable) < LEAST:
        return None
    others = len(usable) - -(-len(usable) // FOLDS)
    if others // -(-others // run.recipe.sgg.training.batch_size) < run.processes.world:
        return None  # a step of so few images cannot be shared by so many processes
    draw, rng = labels_of(run, method, surest=True), np.random.default_rng(run.recipe.seed)
    graphs: list[Graph] = []
    truths: list[GroundTruth] = []
    mentioned = 0
    for fold in range(FOLDS):
        held, rest = usable[fold::FOLDS], np.delete(usable, np.s_[fold::FOLDS])
        model, _ = train_model(run, method, unions_of, rest.tolist(), f"held out {fold + 1}")
        if run.processes.first:
            proposals = viewed_regions(run, "train", tuple(ids[i] for i in held))
            unions = unions_of([listing[i] for i in held], proposals)
            graphs += map(Merging().merged, predict(model, proposals, run.recipe.sgg.inference, unions=unions))
            labels = [draw(int(i), rng) for i in held]
            mentioned += sum(int((relations[:, 2] > 0).sum()) for _, relations in labels)
            truths += [spoken_graph(*pair, trained_names(run)) for pair in zip(proposals, labels, strict=True)]
    if not run.processes.first:
        return None
    truth, predictions = truth_arrays(truths, *trained_names(run)), prediction_arrays(graphs)
    counts = [len(usable[fold::FOLDS]) for fold in range(FOLDS)]
    return HeldOut(
        np.concatenate([graph.relation_scores for graph in graphs]),
        right_predictions(truth, predictions),
        related_predictions(truth, predictions),
        predictions.pair_offsets,
        np.repeat(np.arange(FOLDS), counts),
        mentioned,
    )


def spoken_graph(proposals: Regions, labels: tuple[np.ndarray, np.ndarray], names: Vocabularies) -> GroundTruth:
    """What captions say of an image, as a graph of the regions that their words are grounded in.

    Args:
        proposals: The image's V regions.
        labels: Labels [V] in 0..C, 0 = no word means it, and relations [R, 3] (subject region, object region, predicate
            in 1..P, or -1: withheld).
        names: The categories and predicates.
    """
    numbers, relations = labels
    # A region is a box for each category that is right of it: what the caption says, and what that is a kind of.
    region, category = np.nonzero(np.pad(wider_names(names[0]), ((1, 0), (0, 0)))[numbers])
    boxes_of = [np.flatnonzero(region == place) for place in range(len(numbers))]
    triplets = [
        (int(subject), names[1][p - 1], int(object_))
        for s, o, p in relations.tolist()
        if p > 0
        for subject in boxes_of[s]
        for object_ in boxes_of[o]
    ]
    return GroundTruth(proposals.boxes[region], tuple(names[0][c] for c in category), tuple(triplets))


@cache
def wider_names(names: tuple[str, ...]) -> np.ndarray:
    """Which name is another's or wider, so that who says the one means the other too: [C, C] bool, rows are said."""
    meanings = [meaning_of(name) for name in names]
    table = [[bool({*own.up} & {*wide.own}) for wide in meanings] for own in meanings]
    return np.array(table, bool) | np.eye(len(names), dtype=bool)


def captions_showing(held: HeldOut) -> Showing:
    """What people are shown of a model whose like found these."""
    calibration = _curve(held, np.ones(len(held.scores), bool))
    return Showing(calibration=calibration) if calibration else uncalibrated(held.scores, held.mentioned)


def held_out_figures(held: HeldOut, curve: Calibration) -> dict[str, Any]:
    """What calibrated scores are worth: each third of the images by the curve that the other two give.

    Args:
        held: The graphs that were found on images held out.
        curve: That of all of them, as `captions_showing` fits it.

    Returns:
        As `score_figures`; recall is null, for nobody knows all relations.
    """
    scores = np.zeros(len(held.scores))
    fold = held.folds[owners(held.offsets)]
    for k in range(FOLDS):
        own = _curve(held, fold != k) or curve
        scores[fold == k] = own(held.scores[fold == k])
    right = held.right / curve.spoken
    return score_figures(right, held.offsets, scores, held.scores, curve.min_score) | {"by": "captions"}


def _curve(held: HeldOut, rows: np.ndarray) -> Calibration | None:
    scores = held.scores[rows]
    return fit_calibration(scores, held.right[rows], "captions", spoken_share(scores, held.spoken[rows]))
