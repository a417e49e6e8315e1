"""What a scene-graph model's scores mean, learnt on images that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from groundgraph.data.graph_arrays import TruthArrays, prediction_arrays, truth_arrays
from groundgraph.data.types import Graph
from groundgraph.engine.run import Run
from groundgraph.evaluation.calibration import right_predictions
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.calibration import Calibration, at_least, fit_calibration
from groundgraph.sgg.inference import predict
from groundgraph.sgg.merging import fit_merging, pairs_of_one
from groundgraph.sgg.showing import Showing, uncalibrated
from groundgraph.sgg.unions import UnionsOf
from groundgraph.stages.examples import examples
from groundgraph.stages.names import trained_names
from groundgraph.stages.views import viewed_regions


class Validation(NamedTuple):
    """The validation images whose relations are annotated.

    Attributes:
        boxes: Of each image, the annotated ones.
        truth: Their graphs, in the names of training.
        graphs: Gives what a model finds on them.
    """

    boxes: list[np.ndarray]
    truth: TruthArrays
    graphs: Callable[[SggModel], list[Graph]]


def annotated_validation(run: Run, unions_of: UnionsOf) -> Validation | None:
    """The validation images whose relations are annotated, None where there are none.

    Args:
        run: A run with regions and a vocabulary.
        unions_of: Gives the visual features around pairs.
    """
    listing = examples(run, "validation") if "validation" in run.recipe.splits else []
    annotated = [example for example in listing if example.truth is not None and example.truth.relations]
    if not annotated:
        return None
    truths = [example.truth for example in annotated if example.truth is not None]
    proposals = viewed_regions(run, "validation", tuple(example.image_id for example in annotated))
    unions = unions_of(annotated, proposals)
    return Validation(
        [truth.boxes for truth in truths],
        truth_arrays(truths, *trained_names(run)),
        lambda model: predict(model, proposals, run.recipe.sgg.inference, unions=unions),
    )


def learn_showing(run: Run, model: SggModel, unions_of: UnionsOf) -> Showing:
    """What the annotated validation images say of a model's graphs, while it knows the names of its training.

    Returns:
        Which boxes are of one thing, and what the scores of graphs with each thing once mean; not calibrated where
        there are no such images, or the model is right on none.
    """
    validation = annotated_validation(run, unions_of)
    if validation is None:
        return Showing()
    graphs = validation.graphs(model)
    calibration = _fitted(graphs, validation.truth)
    if calibration is None:
        return uncalibrated(np.concatenate([g.relation_scores for g in graphs]), len(validation.truth.relations))
    # Of the many boxes without a relation, those of one thing are other boxes than what is shown twice.
    shown = [at_least(calibration.calibrated(graph), calibration.min_score) for graph in graphs]
    pairs = [pairs_of_one(*pair) for pair in zip(shown, validation.boxes, strict=True)]
    overlap, same, one = np.concatenate(pairs).T
    merging = fit_merging(overlap, same > 0, one > 0)
    return Showing(merging, _fitted([merging.merged(graph) for graph in graphs], validation.truth))


def _fitted(graphs: list[Graph], truth: TruthArrays) -> Calibration | None:
    scores = np.concatenate([graph.relation_scores for graph in graphs])
    return fit_calibration(scores, right_predictions(truth, prediction_arrays(graphs)))
