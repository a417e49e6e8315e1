"""What a scene-graph model's scores mean, learnt on images that it was not trained on."""

from __future__ import annotations

import numpy as np

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import Example
from groundgraph.engine.run import Run
from groundgraph.evaluation.calibration import right_predictions
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.calibration import Calibration, fit_calibration
from groundgraph.sgg.inference import predict
from groundgraph.sgg.unions import UnionsOf
from groundgraph.stages.examples import examples
from groundgraph.stages.names import trained_names
from groundgraph.stages.views import viewed_regions


def annotated_validation(run: Run) -> list[Example]:
    """The validation images whose relations are annotated."""
    listing = examples(run, "validation") if "validation" in run.recipe.splits else []
    return [example for example in listing if example.truth is not None and example.truth.relations]


def learn_calibration(run: Run, model: SggModel, unions_of: UnionsOf) -> Calibration | None:
    """The calibration of a model that knows the names of its training, by the annotated validation images.

    Returns:
        None where there are no such images, or none on which it is right.
    """
    annotated = annotated_validation(run)
    if not annotated:
        return None
    truth = truth_arrays([example.truth for example in annotated], *trained_names(run))
    proposals = viewed_regions(run, "validation", tuple(example.image_id for example in annotated))
    graphs = predict(model, proposals, run.recipe.sgg.inference, unions=unions_of(annotated, proposals))
    scores = np.concatenate([graph.relation_scores for graph in graphs])
    return fit_calibration(scores, right_predictions(truth, prediction_arrays(graphs)))
