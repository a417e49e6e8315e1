"""What a scene-graph model's scores mean, learnt on images that it was not trained on."""

from __future__ import annotations

import numpy as np

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Example
from groundgraph.engine.run import Run
from groundgraph.evaluation.calibration import right_predictions
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.calibration import Calibration, at_least, fit_calibration
from groundgraph.sgg.inference import predict
from groundgraph.sgg.merging import Merging, fit_merging, pairs_of_one
from groundgraph.sgg.unions import UnionsOf
from groundgraph.stages.examples import examples
from groundgraph.stages.names import trained_names
from groundgraph.stages.views import viewed_regions


def annotated_validation(run: Run) -> list[Example]:
    """The validation images whose relations are annotated."""
    listing = examples(run, "validation") if "validation" in run.recipe.splits else []
    return [example for example in listing if example.truth is not None and example.truth.relations]


def learn_calibration(run: Run, model: SggModel, unions_of: UnionsOf) -> tuple[Calibration | None, Merging]:
    """What the annotated validation images say of a model's graphs, while it knows the names of its training.

    Returns:
        The calibration, None where there are no such images, or none on which it is right; and which boxes are of one
        thing.
    """
    annotated = annotated_validation(run)
    if not annotated:
        return None, Merging()
    truth = truth_arrays([example.truth for example in annotated], *trained_names(run))
    proposals = viewed_regions(run, "validation", tuple(example.image_id for example in annotated))
    graphs = predict(model, proposals, run.recipe.sgg.inference, unions=unions_of(annotated, proposals))
    scores = np.concatenate([graph.relation_scores for graph in graphs])
    calibration = fit_calibration(scores, right_predictions(truth, prediction_arrays(graphs)))
    if calibration is None:
        return None, Merging()
    # Of the many boxes without a relation, those of one thing are other boxes than what is shown twice.
    shown = [at_least(calibration.calibrated(graph), calibration.min_score) for graph in graphs]
    boxes = [example.truth.boxes for example in annotated if example.truth is not None]
    overlap, same, one = np.concatenate([pairs_of_one(*pair) for pair in zip(shown, boxes, strict=True)]).T
    return calibration, fit_merging(overlap, same > 0, one > 0)
