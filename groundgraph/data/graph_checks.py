"""Graphs of many images from the outside, checked: as flat arrays in the golden layout, or one mapping an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, owners
from groundgraph.errors import InputError

Truth = TruthArrays | Mapping[str, Any] | Sequence[Mapping[str, Any]]
Predictions = PredictionArrays | Mapping[str, Any] | Sequence[Mapping[str, Any]]


def as_truth(truth: Truth, where: str = "ground truth") -> TruthArrays:
    """True graphs from flat arrays or from one mapping an image, checked.

    Args:
        truth: the golden layout's mapping (gt_boxes, gt_labels, gt_rels, gt_box_offsets, gt_rel_offsets), or a mapping
            an image with boxes [G, 4] xyxy, labels [G] in 1..C, rels [R, 3] (subject box, object box, predicate 1..P);
            the names may stand with "gt_" or without. TruthArrays are only checked.
        where: what errors call it.

    Raises:
        InputError: naming `where` and the array, on anything missing, out of range or of another shape.
    """
    if not isinstance(truth, TruthArrays):
        parts = [_part(truth, "gt_", name, width, where) for name, width in (("boxes", 4), ("labels", 0), ("rels", 3))]
        offsets = [
            _offsets_of(truth, "gt_", name, part, where) for name, part in (("box", parts[0]), ("rel", parts[2]))
        ]
        truth = TruthArrays(parts[0][0], parts[1][0], parts[2][0], *offsets)
    boxes, labels = _floats(truth.boxes, (4,), f"{where}: boxes"), _integers(truth.labels, (), f"{where}: labels", 1)
    relations = _integers(truth.relations, (3,), f"{where}: relations", 0)
    if len(labels) != len(boxes):
        raise InputError(f"{where}: {len(boxes)} boxes have {len(labels)} labels; give one a box")
    box_offsets = _checked_offsets(truth.box_offsets, len(boxes), f"{where}: box offsets")
    relation_offsets = _checked_offsets(truth.relation_offsets, len(relations), f"{where}: relation offsets")
    _check_finite(boxes, box_offsets, f"{where}: boxes")
    _check_ends(relations[:, :2], relation_offsets, box_offsets, f"{where}: relations")
    if len(relations) and relations[:, 2].min() < 1:
        raise InputError(f"{where}: a relation's predicate is {relations[:, 2].min()}; predicates count from 1")
    return TruthArrays(boxes, labels, relations, box_offsets, relation_offsets)


def as_predictions(predictions: Predictions, where: str = "predictions") -> PredictionArrays:
    """Predicted graphs from flat arrays or from one mapping an image, checked.

    Args:
        predictions: the golden layout's mapping (pred_boxes, pred_labels, pred_scores, pred_pairs, pred_rel_scores,
            pred_box_offsets, pred_pair_offsets), or a mapping an image with boxes [B, 4] xyxy, labels [B], scores [B],
            pairs [Q, 2] best first, rel_scores [Q, 1 + P] (column 0 = background); the names may stand with "pred_" or
            without. PredictionArrays are only checked.
        where: what errors call it.

    Raises:
        InputError: naming `where` and the array, on anything missing, out of range or of another shape.
    """
    if not isinstance(predictions, PredictionArrays):
        parts = {
            name: _part(predictions, "pred_", name, width, where)
            for name, width in (("boxes", 4), ("labels", 0), ("scores", 0), ("pairs", 2), ("rel_scores", -1))
        }
        offsets = [
            _offsets_of(predictions, "pred_", n, parts[r], where) for n, r in (("box", "boxes"), ("pair", "pairs"))
        ]
        columns = [array for array, _ in parts.values()]
        predictions = PredictionArrays(*columns, *offsets)  # type: ignore[arg-type]
    p = predictions
    boxes, labels = _floats(p.boxes, (4,), f"{where}: boxes"), _integers(p.labels, (), f"{where}: labels", 0)
    scores = _floats(p.scores, (), f"{where}: scores")
    pairs = _integers(p.pairs, (2,), f"{where}: pairs", 0)
    with np.errstate(over="ignore"):
        table = _numbers(p.predicate_scores, f"{where}: predicate scores").astype(np.float32, copy=False)
    if not len(labels) == len(scores) == len(boxes):
        raise InputError(f"{where}: {len(boxes)} boxes have {len(labels)} labels and {len(scores)} scores")
    if table.ndim != 2 or len(table) != len(pairs) or (len(table) and table.shape[1] < 2):
        raise InputError(
            f"{where}: {len(pairs)} pairs need scores of shape ({len(pairs)}, 1 + predicates), not {table.shape}"
        )
    box_offsets = _checked_offsets(p.box_offsets, len(boxes), f"{where}: box offsets")
    pair_offsets = _checked_offsets(p.pair_offsets, len(pairs), f"{where}: pair offsets")
    _check_finite(boxes, box_offsets, f"{where}: boxes")
    _check_finite(scores, box_offsets, f"{where}: scores")
    if table.size and not table.max(initial=-np.inf) < np.inf:  # one pass finds nan and +inf; -inf has a meaning
        row = int(np.argwhere(~(table < np.inf))[0][0])
        image = int(np.searchsorted(pair_offsets, row, "right")) - 1
        raise InputError(f"{where}: predicate scores: row {row} is not a number or infinite (image {image})")
    _check_ends(pairs, pair_offsets, box_offsets, f"{where}: pairs")
    return PredictionArrays(boxes, labels, scores, pairs, table, box_offsets, pair_offsets, p.whole_scores)


def as_triplets(triplets: Any, where: str = "zero-shot triplets") -> np.ndarray:
    """Triplets as [Z, 3] int64 (subject label, object label, predicate), all from 1.

    Raises:
        InputError: naming `where`, for anything else.
    """
    array = _numbers(triplets, where)
    return _integers(array if array.size else array.reshape(0, 3), (3,), where, 1)


def _part(
    side: Mapping[str, Any] | Sequence[Mapping[str, Any]], prefix: str, name: str, width: int, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """One array of a side with all images' rows, and how many rows an image has (None: the side has offsets)."""
    if isinstance(side, Mapping):
        return _numbers(_named(side, prefix, name, where), f"{where}: {prefix}{name}"), None
    if not isinstance(side, Sequence) or isinstance(side, str | bytes):
        raise InputError(
            f"{where}: a {type(side).__name__}; give flat arrays by name, or a list with a mapping an image"
        )
    parts = []
    for i, image in enumerate(side):
        if not isinstance(image, Mapping):
            raise InputError(f"{where}, image {i}: a {type(image).__name__}; give a mapping with boxes, labels, ...")
        parts.append(_numbers(_named(image, prefix, name, f"{where}, image {i}"), f"{where}, image {i}: {name}"))
    # An empty list has no second axis; it stands for no rows of whatever the others have.
    filled = [part for part in parts if part.size]
    shapes = {part.shape[1:] for part in filled}
    if len(shapes) > 1:
        raise InputError(f"{where}: {name} has rows of {sorted(shapes)} in different images; give all one width")
    columns = shapes.pop() if filled else {0: (), -1: (1,)}.get(width, (width,))
    whole = np.concatenate(filled) if filled else np.zeros((0, *columns), np.int64 if name != "boxes" else np.float32)
    return whole, np.array([len(part) for part in parts], np.int64)


def _offsets_of(
    side: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    prefix: str,
    name: str,
    part: tuple[np.ndarray, np.ndarray | None],
    where: str,
) -> np.ndarray:
    lengths = part[1]
    if isinstance(side, Mapping) or lengths is None:
        return np.asarray(_named(side, prefix, f"{name}_offsets", where))  # type: ignore[arg-type]
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def _named(mapping: Mapping[str, Any], prefix: str, name: str, where: str) -> Any:
    for key in (prefix + name, name):
        if key in mapping:
            return mapping[key]
    raise InputError(f'{where}: has no "{prefix}{name}"; it has {", ".join(map(str, mapping)) or "nothing"}')


def _numbers(values: Any, what: str) -> np.ndarray:
    """An array of real numbers, of values that need not be such."""
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:  # rows of different lengths, or things that are no array
        raise InputError(f"{what} are no array of numbers ({error})") from error
    if array.dtype.kind not in "iufb":
        raise InputError(f"{what} are {array.dtype}, not numbers")
    return array


def _floats(values: Any, row: tuple[int, ...], what: str) -> np.ndarray:
    with np.errstate(over="ignore"):  # what is too large for float32 becomes infinite, and is refused
        array = _numbers(values, what).astype(np.float32, copy=False)
    if array.shape[1:] != row or array.ndim != 1 + len(row):
        raise InputError(f"{what} have shape {array.shape}, not {('n', *row)}")
    return array


def _check_finite(array: np.ndarray, offsets: np.ndarray, what: str) -> None:
    if not np.isfinite(array).all():
        row = int(np.argwhere(~np.isfinite(array))[0][0])
        image = int(np.searchsorted(offsets, row, "right")) - 1
        raise InputError(f"{what}: row {row} is not a finite number (image {image})")


def _integers(values: Any, row: tuple[int, ...], what: str, least: int) -> np.ndarray:
    array = _numbers(values, what)
    with np.errstate(invalid="ignore"):  # nan and what is too large come out as other numbers, and are refused
        whole = array.astype(np.int64)
    if array.shape[1:] != row or array.ndim != 1 + len(row):
        raise InputError(f"{what} have shape {array.shape}, not {('n', *row)}")
    if array.dtype.kind not in "ib" and not np.array_equal(whole, array):
        raise InputError(f"{what} must be whole numbers")
    if whole.size and whole.min() < least:
        raise InputError(f"{what}: {whole.min()} is too small; they count from {least}")
    return whole


def _checked_offsets(offsets: Any, rows: int, what: str) -> np.ndarray:
    offsets = np.asarray(offsets)
    if offsets.ndim != 1 or not len(offsets) or offsets.dtype.kind not in "iu":
        raise InputError(f"{what} must be whole numbers, one an image and one more")
    offsets = offsets.astype(np.int64)
    if offsets[0] != 0 or offsets[-1] != rows or (np.diff(offsets) < 0).any():
        raise InputError(f"{what} must rise from 0 to the number of rows, {rows}")
    return offsets


def _check_ends(ends: np.ndarray, offsets: np.ndarray, box_offsets: np.ndarray, what: str) -> None:
    if len(offsets) != len(box_offsets):
        raise InputError(f"{what} are of {len(offsets) - 1} images, the boxes of {len(box_offsets) - 1}")
    image = owners(offsets)
    wrong = np.flatnonzero((ends >= np.diff(box_offsets)[image][:, None]).any(1))
    if len(wrong):
        row = wrong[0]
        has = int(np.diff(box_offsets)[image[row]])
        raise InputError(f"{what}: row {row} (image {image[row]}) joins boxes {ends[row].tolist()}, which has {has}")
