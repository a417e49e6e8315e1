"""Mean average precision of a graph's objects at IoU 0.5 (METHOD.md section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch

import groundgraph  # noqa: F401  (makes torchvision importable before torchmetrics asks for it)
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.evaluation.recall import prediction_arrays, truth_arrays


def detection_map(
    truths: Sequence[GroundTruth], graphs: Sequence[Graph], categories: Sequence[str]
) -> tuple[float, dict[str, float]]:
    """mAP50 of the graphs' boxes as a fraction of 1, and the average precision of each category.

    A category that never occurs in the truth is left out of both; true boxes of other categories are left out too.
    Graph label k means categories[k - 1]. Without any true box the mean is 0. torchmetrics on pycocotools counts.
    Raises ValueError where truths and graphs do not cover equally many images.
    """
    if len(truths) != len(graphs):
        raise ValueError(f"{len(truths)} images have ground truth but {len(graphs)} have predictions")
    from torchmetrics.detection import MeanAveragePrecision

    true, predicted = truth_arrays(truths, categories, ()), prediction_arrays(graphs)
    present = np.unique(true.labels)
    if not len(present):
        return 0.0, {}
    most = max(100, int(np.diff(predicted.box_offsets).max(initial=0)))
    metric = MeanAveragePrecision(
        iou_thresholds=[0.5], max_detection_thresholds=[1, 10, most], extended_summary=True, backend="pycocotools"
    )
    # A predicted label outside the truth has no precision to speak of, so its boxes need not be matched at all.
    counted = np.isin(predicted.labels, present)
    metric.update(
        [
            {
                "boxes": torch.from_numpy(predicted.boxes[rows][counted[rows]]),
                "labels": torch.from_numpy(predicted.labels[rows][counted[rows]]),
                "scores": torch.from_numpy(predicted.scores[rows][counted[rows]]),
            }
            for rows in _slices(predicted.box_offsets)
        ],
        [
            {"boxes": torch.from_numpy(true.boxes[rows]), "labels": torch.from_numpy(true.labels[rows])}
            for rows in _slices(true.box_offsets)
        ],
    )
    figures = metric.compute()
    # The summary's own mean takes 100 boxes an image; the table [IoU, recall, class, area, boxes] has them all.
    precision = figures["precision"][0, :, :, 0, -1].double().mean(0).tolist()
    labels = figures["classes"].reshape(-1).tolist()
    parts = {categories[k - 1]: p for k, p in zip(labels, precision, strict=True)}
    return sum(parts.values()) / len(parts), parts


def _slices(offsets: np.ndarray) -> list[slice]:
    return [slice(a, b) for a, b in pairwise(offsets)]
