"""Mean average precision of a graph's objects at IoU 0.5 (METHOD.md section 6), counted by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np

from groundgraph.data.types import Graph, GroundTruth
from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import PredictionArrays, TruthArrays, owners, prediction_arrays, truth_arrays


def average_precisions(truth: TruthArrays, predictions: PredictionArrays) -> dict[int, float]:
    """Average precision at IoU 0.5 of each label that the truth has, as a fraction of 1.

    COCO's: 101 recall points, sides x2 - x1, all of an image's boxes count. Boxes with labels outside the truth are
    left out. Raises InputError where the two do not cover equally many images.
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
    true = zip(owners(truth.box_offsets).tolist(), truth.labels.tolist(), _xywh(truth.boxes).tolist(), strict=True)
    with contextlib.redirect_stdout(io.StringIO()):  # it reports on its progress
        coco = COCO()
        coco.dataset = {
            "images": [{"id": i} for i in range(truth.images)],
            "categories": [{"id": label} for label in labels.tolist()],
            "annotations": [
                {"id": n, "image_id": i, "category_id": label, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
                for n, (i, label, box) in enumerate(true, 1)
            ],
        }
        coco.createIndex()
        rows = np.column_stack(
            [owners(predictions.box_offsets), _xywh(predictions.boxes), predictions.scores, predictions.labels]
        )
        run = COCOeval(coco, coco.loadRes(rows[counted]), "bbox")
        run.params.iouThrs = np.array([0.5])
        run.params.areaRng, run.params.areaRngLbl = [[0, 1e10]], ["all"]
        run.params.maxDets = [max(1, int(np.diff(predictions.box_offsets).max()))]
        run.evaluate()
        run.accumulate()
    return dict(zip(labels.tolist(), run.eval["precision"][0, :, :, 0, 0].mean(0).tolist(), strict=True))


def detection_map(
    truths: Sequence[GroundTruth], graphs: Sequence[Graph], categories: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """mAP50 of the graphs' boxes as a fraction of 1, and the average precision of each category.

    A category that never occurs in the truth is left out of both; true boxes of other categories are left out too.
    Graph label k means categories[k - 1]. Without any true box the mean is 0. Raises as `average_precisions`.
    """
    found = average_precisions(truth_arrays(truths, categories, ()), prediction_arrays(graphs))
    return mean_precision(found), {categories[label - 1]: value for label, value in found.items()}


def mean_precision(precisions: dict[int, float]) -> float:
    """mAP50 of what `average_precisions` gives; 0 where the truth has no box."""
    return float(np.mean(list(precisions.values()))) if precisions else 0.0


def _xywh(boxes: np.ndarray) -> np.ndarray:
    boxes = boxes.astype(np.float64)
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
