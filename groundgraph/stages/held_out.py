"""What a scene-graph model's scores mean where no relation is annotated: by the captions of images held out from it.

The training images are parted in three; a model that is trained on two parts finds the graphs of the third, and what
the third's captions say tells which relations are right: of the boxes that their words are grounded in, or, where
words are not grounded, of things of these names. Who says a man says a person too. The run's own model is trained on
all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.graph_arrays import owners, prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, GroundTruth, Regions
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.engine.run import Run
from groundgraph.evaluation.calibration import (
    named_predictions,
    related_predictions,
    right_predictions,
    score_figures,
)
from groundgraph.language.concepts import meaning_of
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.calibration import Calibration, fit_calibration, spoken_share
from groundgraph.sgg.inference import predict
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.showing import Showing, uncalibrated
from groundgraph.sgg.unions import UnionsOf
from groundgraph.stages.calibration import annotated_validation
from groundgraph.stages.examples import examples, image_ids
from groundgraph.stages.names import trained_names
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.sgg_training import labels_of
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


def trainings_of(recipe: Recipe) -> int:
    """How many trainings as long as the model's own a recipe's model is estimated to take.

    Without validation images as many models as there are folds, each on the other folds, calibrate it.
    """
    return 1 if "validation" in recipe.splits else FOLDS


# The images' places, their regions, and the graphs found on them -> which relations are right, which captions speak of
# (both [Q] bool), and how many relations the captions say.
Compare = Callable[[np.ndarray, Sequence[Regions], list[Graph]], tuple[np.ndarray, np.ndarray, int]]


def found_by_others(
    run: Run,
    usable: np.ndarray,
    batch_size: int,
    unions_of: UnionsOf,
    train: Callable[[list[int], str], SggModel],
    compare: Compare,
) -> HeldOut | None:
    """Train a model on each two thirds of the images, and let it find the graphs of the others.

    Args:
        run: With regions and a vocabulary.
        usable: Places of the training images that teach something.
        batch_size: Of the training.
        unions_of: Gives the visual features around pairs.
        train: Gives a model of the training images at these places; the words name its progress bar and checkpoint.
        compare: What captions say of graphs.

    Returns:
        What they found; None where relations of validation images are annotated, or there are too few images.
    """
    if len(usable) < LEAST or annotated_validation(run, unions_of):
        return None
    others = len(usable) - -(-len(usable) // FOLDS)
    if others // -(-others // batch_size) < run.processes.world:
        return None  # a step of so few images cannot be shared by so many processes
    ids, listing = image_ids(run, "train"), examples(run, "train")
    graphs: list[Graph] = []
    compared = []
    for fold in range(FOLDS):
        held, rest = usable[fold::FOLDS], np.delete(usable, np.s_[fold::FOLDS])
        model = train(rest.tolist(), f"held out {fold + 1}")
        if run.processes.first:
            proposals = viewed_regions(run, "train", tuple(ids[i] for i in held))
            unions = unions_of([listing[i] for i in held], proposals)
            own = [Merging().merged(g) for g in predict(model, proposals, run.recipe.sgg.inference, unions=unions)]
            compared.append(compare(held, proposals, own))
            graphs += own
    if not run.processes.first:
        return None
    right, spoken, mentioned = zip(*compared, strict=True)
    counts = [len(usable[fold::FOLDS]) for fold in range(FOLDS)]
    return HeldOut(
        np.concatenate([graph.relation_scores for graph in graphs]),
        np.concatenate(right),
        np.concatenate(spoken),
        prediction_arrays(graphs).pair_offsets,
        np.repeat(np.arange(FOLDS), counts),
        sum(mentioned),
    )


def by_pseudo_labels(run: Run, method: str) -> Compare:
    """What captions say of graphs, where their words are grounded: boxes count."""
    draw, names, rng = labels_of(run, method, surest=True), trained_names(run), np.random.default_rng(run.recipe.seed)

    def compare(
        places: np.ndarray, proposals: Sequence[Regions], graphs: list[Graph]
    ) -> tuple[np.ndarray, np.ndarray, int]:
        labels = [draw(int(i), rng) for i in places]
        truths = [spoken_graph(own.boxes, label, names) for own, label in zip(proposals, labels, strict=True)]
        truth, predictions = truth_arrays(truths, *names), prediction_arrays(graphs)
        mentioned = sum(int((relations[:, 2] > 0).sum()) for _, relations in labels)
        return right_predictions(truth, predictions), related_predictions(truth, predictions), mentioned

    return compare


def by_names(relations: Callable[[int], np.ndarray], names: Vocabularies) -> Compare:
    """What captions say of graphs, where nobody knows of which boxes: who says "man riding horse" says any of them.

    Args:
        relations: What the captions of the training image at a place say: [T, 3] (subject, object, predicate), names by
            number from 1.
        names: The categories and predicates.
    """

    def compare(
        places: np.ndarray, proposals: Sequence[Regions], graphs: list[Graph]
    ) -> tuple[np.ndarray, np.ndarray, int]:
        own = [np.unique(relations(int(i)), axis=0) for i in places]
        rows = np.concatenate([np.insert(part, 0, place, axis=1) for place, part in enumerate(own)])
        wider = wider_names(names[0])
        row, subject, object_ = np.nonzero(wider[rows[:, 1] - 1][:, :, None] & wider[rows[:, 2] - 1][:, None])
        widened = np.column_stack([rows[row, 0], subject + 1, object_ + 1, rows[row, 3]])
        return *named_predictions(widened, prediction_arrays(graphs)), len(rows)

    return compare


def spoken_graph(boxes: np.ndarray, labels: tuple[np.ndarray, np.ndarray], names: Vocabularies) -> GroundTruth:
    """What captions say of an image, as a graph of the regions that their words are grounded in.

    Args:
        boxes: The image's regions [V, 4].
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
    return GroundTruth(boxes[region], tuple(names[0][c] for c in category), tuple(triplets))


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
