"""Scene-Graph-Benchmark's eval_results.pytorch, read without running anything that it says.

The file is {"groundtruths": [BoxList], "predictions": [BoxList]}, one each an image, in the original image's pixels.
That class comes with the benchmark, under another package's name with each of its descendants; `BoxList` of ours takes
its place, and nothing but it, tensors and plain values is let in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.graph_checks import as_predictions, as_truth
from groundgraph.errors import InputError
from groundgraph.formats.sides import Numbered, Side
from groundgraph.formats.torch_file import BoxList, read_torch

TORCH = (".pytorch", ".pth", ".pt")  # how names of torch's files end
_DEPTH = 100  # the largest K that is reported


def read_eval_results(path: Path, side: Side) -> Numbered:
    """Scene-Graph-Benchmark's eval_results.pytorch, both sides.

    A ground truth has labels [G] and relation_tuple [R, 3]; a prediction pred_labels [B], pred_scores [B],
    rel_pair_idxs [Q, 2] and pred_rel_scores [Q, 1 + P]. Of a prediction's pairs only those are kept that can be among
    the first 100 with or without graph constraint: a test split's thousands of pairs an image would not fit in memory.

    Raises:
        InputError: It is damaged or another file, or holds anything but BoxLists of tensors; names the file.
    """
    content = read_torch(path)
    if not isinstance(content, dict) or not {"groundtruths", "predictions"} <= content.keys():
        raise InputError(
            f"{path}: holds no groundtruths and predictions; give Scene-Graph-Benchmark's eval_results file"
        )
    truths, predictions = content["groundtruths"], content["predictions"]
    if not isinstance(truths, list) or not isinstance(predictions, list) or len(truths) != len(predictions):
        raise InputError(f"{path}: groundtruths and predictions must be lists of one BoxList an image")
    true, predicted, sizes = [], [], []
    for i, (truth, prediction) in enumerate(zip(truths, predictions, strict=True)):
        where = f"{path}, image {i}"
        side = f"{where}, ground truth"
        labels, relations = _field(truth, "labels", side), _field(truth, "relation_tuple", side, 3)
        true.append({"boxes": _boxes(truth, where), "labels": labels, "rels": relations})
        predicted.append(_prediction(prediction, where))
        size, other = (_size(boxes, where) for boxes in (truth, prediction))
        if size != other:
            raise InputError(f"{where}: predicted in an image of {other}, true in one of {size} pixels")
        sizes.append(size)
    sizes = np.array(sizes, np.float64).reshape(-1, 2)
    return Numbered(as_predictions(predicted, str(path)), as_truth(true, str(path)), sizes=sizes)


def _prediction(prediction: BoxList, where: str) -> dict[str, np.ndarray]:
    side = f"{where}, prediction"
    labels, scores = (_field(prediction, name, side) for name in ("pred_labels", "pred_scores"))
    pairs, table = _field(prediction, "rel_pair_idxs", side, 2), _field(prediction, "pred_rel_scores", side, 0)
    if pairs.dtype.kind == "f" and pairs.size:
        raise InputError(f"{side}: rel_pair_idxs are no whole numbers")
    pairs = pairs.astype(np.int64)
    if (
        len(table) != len(pairs)
        or (len(table) and table.shape[1] < 2)
        or (pairs.size and not 0 <= pairs.min() <= pairs.max() < len(scores))
    ):
        raise InputError(f"{where}: its {len(pairs)} pairs do not fit {len(scores)} boxes and scores of {table.shape}")
    if not (table < np.inf).all():  # before those that count are chosen: nan is not among them
        raise InputError(f"{side}: pred_rel_scores holds what is not a number or infinite")
    kept = np.arange(len(pairs)) < _DEPTH
    if len(pairs) > _DEPTH:
        best = table[:, 1:].max(1)
        for value in (best, best * scores[pairs].prod(1)):  # PredCls ranks without the objects' scores
            kept |= value >= np.partition(value, -_DEPTH)[-_DEPTH]
    boxes = _boxes(prediction, where)
    return {"boxes": boxes, "labels": labels, "scores": scores, "pairs": pairs[kept], "rel_scores": table[kept]}


def _boxes(boxes: BoxList, where: str) -> np.ndarray:
    """Its boxes as xyxy [n, 4]; in its "xywh" a width is x2 - x1 + 1."""
    array = _array(boxes.bbox, f"{where}: bbox", 4).astype(np.float32)
    if boxes.mode not in ("xyxy", "xywh"):
        raise InputError(f"{where}: its boxes' mode is {str(boxes.mode)[:30]!r}, not xyxy or xywh")
    if boxes.mode == "xywh":
        array = np.column_stack([array[:, :2], array[:, :2] + np.clip(array[:, 2:] - 1, 0, None)])
    return array


def _size(boxes: BoxList, where: str) -> tuple[float, float]:
    size = boxes.size
    if not isinstance(size, tuple | list) or len(size) != 2 or not all(isinstance(n, int | float) for n in size):
        raise InputError(f"{where}: size is not (width, height)")
    return tuple(size)


def _field(boxes: Any, name: str, where: str, columns: int | None = None) -> np.ndarray:
    if not isinstance(boxes, BoxList) or not isinstance(boxes.extra_fields, dict):
        raise InputError(f"{where}: is no BoxList")
    fields = boxes.extra_fields
    if name not in fields:
        raise InputError(f"{where}: has no field {name}; it has {', '.join(map(str, fields))[:200] or 'none'}")
    return _array(fields[name], f"{where}: {name}", columns)


def _array(value: Any, what: str, columns: int | None = None) -> np.ndarray:
    """A tensor as [n], or [n, columns], 0: however many. An empty one is of no rows, whatever its other axes."""
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{what} is no plain tensor")
    array = (value.float() if value.is_floating_point() else value).numpy()
    if not array.size and columns != 0:
        array = array.reshape((0,) if columns is None else (0, columns))
    if array.ndim != (1 if columns is None else 2) or (columns and array.shape[1] != columns):
        rows = "[n]" if columns is None else f"[n, {columns or 'columns'}]"
        raise InputError(f"{what} of {array.shape} is not {rows}")
    return array
