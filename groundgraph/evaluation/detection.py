"""Mean average precision of a graph's objects at IoU 0.5 (METHOD.md section 6), counted by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners, prediction_arrays, truth_arrays
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.errors import InputError


def average_precisions(truth: TruthArrays, predictions: PredictionArrays) -> dict[int, float]:
    """Average precision at IoU 0.5 of each label that the truth has.

    COCO's: 101 recall points, sides x2 - x1, all of an image's boxes count. Boxes with labels outside the truth are
    left out.

    Args:
        truth: the true graphs of N images; only their boxes and labels are read.
        predictions: the predicted graphs of the same images.

    Returns:
        {label: fraction of 1}.

    Raises:
        InputError: where the two do not cover equally many images.
    """
    if predictions.images != truth.images:
        raise InputError(f"{truth.images} images have ground truth but {predictions.images} have predictions")
    labels = np.unique(truth.labels)
    if not len(labels):
        return {}
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    counted = np.isin(predictions.labels, labels)
    if not counted.any():
        return dict.fromkeys(labels.tolist(), 0.0)
    boxes = zip(owners(truth.box_offsets).tolist(), truth.labels.tolist(), _xywh(truth.boxes).tolist(), strict=True)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports on its progress
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(truth.images)],
            "categories": [{"id": label} for label in labels.tolist()],
            "annotations": [
                {"id": n, "image_id": i, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for n, (i, label, box) in enumerate(boxes, 1)
            ],
        }
        coco.createIndex()
        detections = np.column_stack(
            [owners(predictions.box_offsets), _xywh(predictions.boxes), predictions.scores, predictions.labels]
        )
        evaluator = COCOeval(coco, coco.loadRes(detections[counted]), "bbox")
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.params.maxDets = [max(1, int(np.diff(predictions.box_offsets).max()))]
        evaluator.evaluate()
        evaluator.accumulate()
    return dict(zip(labels.tolist(), evaluator.eval["precision"][0, :, :, 0, 0].mean(0).tolist(), strict=True))


def detection_map(
    truths: Sequence[GroundTruth], graphs: Sequence[Graph], categories: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """mAP50 of the graphs' boxes; errors are those of `average_precisions`.

    Args:
        truths: of N images; true boxes of other categories are left out.
        graphs: of the same images; label k means categories[k - 1].
        categories: the evaluation's vocabulary.

    Returns:
        The mean as a fraction of 1, 0 without any true box, and the average precision of each category that occurs in
        the truth.
    """
    precisions = average_precisions(truth_arrays(truths, categories, ()), prediction_arrays(graphs))
    return mean_precision(precisions), {categories[label - 1]: value for label, value in precisions.items()}


def mean_precision(precisions: dict[int, float]) -> float:
    """mAP50 of what `average_precisions` gives; 0 where the truth has no box."""
    return float(np.mean(list(precisions.values()))) if precisions else 0.0


def _xywh(boxes: np.ndarray) -> np.ndarray:
    boxes = boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
