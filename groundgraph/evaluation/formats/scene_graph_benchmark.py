"""Scene-Graph-Benchmark's eval_results.pytorch, read without running anything that it says.

The file is {"groundtruths": [BoxList], "predictions": [BoxList]}, one each an image, in the original image's pixels.
That class comes with the benchmark; a stand-in of ours takes its place, and nothing but it and tensors is let in.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import as_predictions, as_truth
from groundgraph.evaluation.formats.sides import Numbered

_NAME = "maskrcnn_benchmark.structures.bounding_box.BoxList"
TORCH = (".pytorch", ".pth", ".pt")  # how names of torch's files end
_DEPTH = 100  # the largest K that is reported


class BoxList:
    """Stands for the benchmark's class: holds bbox, size, mode and extra_fields, and can do nothing."""


def read_eval_results(path: Path) -> Numbered:
    """Both sides of an eval_results.pytorch.

    A ground truth has labels [G] and relation_tuple [R, 3]; a prediction pred_labels [B], pred_scores [B],
    rel_pair_idxs [Q, 2] and pred_rel_scores [Q, 1 + P]. Of a prediction's pairs only those are kept that can be among
    the first 100 with or without graph constraint: a test split's thousands of pairs an image would not fit in memory.
    Raises InputError, naming the file, where it is damaged or another file, or holds anything but BoxLists of tensors.
    """
    content = load_tensors(path)
    if not isinstance(content, dict) or not {"groundtruths", "predictions"} <= content.keys():
        raise InputError(
            f"{path}: holds no groundtruths and predictions; give Scene-Graph-Benchmark's eval_results file"
        )
    truths, found = content["groundtruths"], content["predictions"]
    if not isinstance(truths, list) or not isinstance(found, list) or len(truths) != len(found):
        raise InputError(f"{path}: groundtruths and predictions must be lists of one BoxList an image")
    true, predicted = [], []
    for i, (truth, prediction) in enumerate(zip(truths, found, strict=True)):
        where = f"{path}, image {i}"
        labels, relations = (_field(truth, name, f"{where}, ground truth") for name in ("labels", "relation_tuple"))
        true.append({"boxes": _boxes(truth, where), "labels": labels, "rels": relations.reshape(-1, 3)})
        if tuple(truth.size) != tuple(prediction.size):
            raise InputError(f"{where}: predicted in an image of {prediction.size}, true in one of {truth.size} pixels")
        predicted.append(_prediction(prediction, where))
    sizes = np.array([truth.size for truth in truths], np.float64).reshape(-1, 2)
    return Numbered(as_predictions(predicted, str(path)), as_truth(true, str(path)), sizes=sizes)


def load_tensors(path: Path) -> Any:
    """What a torch file holds, if it is tensors, plain containers and BoxLists only.

    Raises InputError, naming the file, where it is missing, damaged, or holds anything else; none of it is executed.
    """
    allowed = [(BoxList, _NAME)]
    try:
        with torch.serialization.safe_globals(allowed):
            # A file in torch's newer form is mapped, so that only what is used is read.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except pickle.UnpicklingError as error:
        # torch's own message goes on to say how the file could be trusted after all, which nobody should be told here.
        asked = re.search(r"GLOBAL (\S+)", str(error))
        why = (
            f"it asks for {asked[1]}, and only tensors and BoxLists are let in"
            if asked
            else "it holds more than tensors and BoxLists, or is damaged"
        )
        raise InputError(f"{path}: refused, {why}") from error
    except Exception as error:  # torch raises RuntimeError, EOFError, KeyError and others for damaged files
        raise InputError(f"{path}: not a file that torch wrote, or damaged ({error!r})") from error


def _prediction(prediction: BoxList, where: str) -> dict[str, np.ndarray]:
    labels, scores, pairs, table = (
        _field(prediction, name, f"{where}, prediction")
        for name in ("pred_labels", "pred_scores", "rel_pair_idxs", "pred_rel_scores")
    )
    pairs = pairs.reshape(-1, 2).astype(np.int64)
    if (
        table.ndim != 2
        or len(table) != len(pairs)
        or (pairs.size and not 0 <= pairs.min() <= pairs.max() < len(scores))
    ):
        raise InputError(f"{where}: its {len(pairs)} pairs do not fit {len(scores)} boxes and scores of {table.shape}")
    kept = np.arange(len(pairs)) < _DEPTH
    if len(pairs) > _DEPTH:
        best = table[:, 1:].max(1)
        for value in (best, best * scores[pairs].prod(1)):  # PredCls ranks without the objects' scores
            kept |= value >= np.partition(value, -_DEPTH)[-_DEPTH]
    boxes = _boxes(prediction, where)
    return {"boxes": boxes, "labels": labels, "scores": scores, "pairs": pairs[kept], "rel_scores": table[kept]}


def _boxes(boxes: BoxList, where: str) -> np.ndarray:
    """Its boxes as xyxy [n, 4]; in its "xywh" a width is x2 - x1 + 1."""
    array = _array(getattr(boxes, "bbox", None), f"{where}: bbox").astype(np.float32).reshape(-1, 4)
    if getattr(boxes, "mode", None) == "xywh":
        array = np.column_stack([array[:, :2], array[:, :2] + np.clip(array[:, 2:] - 1, 0, None)])
    return array


def _field(boxes: Any, name: str, where: str) -> np.ndarray:
    fields = getattr(boxes, "extra_fields", None)
    if not isinstance(boxes, BoxList) or not isinstance(fields, dict) or not hasattr(boxes, "size"):
        raise InputError(f"{where}: is no BoxList")
    if name not in fields:
        raise InputError(f"{where}: has no field {name}; it has {', '.join(map(str, fields)) or 'none'}")
    return _array(fields[name], f"{where}: {name}")


def _array(value: Any, what: str) -> np.ndarray:
    if not isinstance(value, torch.Tensor):
        raise InputError(f"{what} is no tensor")
    value = value.detach()
    return (value.float() if value.is_floating_point() else value).numpy()
