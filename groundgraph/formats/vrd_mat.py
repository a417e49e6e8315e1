"""The MATLAB files of VRD's authors (Lu et al., ECCV 2016): their predictions, and their ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, joined, offsets_of
from groundgraph.data.types import GroundTruth
from groundgraph.data.vocabulary import VRD_OBJECTS, VRD_PREDICATES
from groundgraph.errors import InputError
from groundgraph.formats.mat import load_mat
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Side

# What the arrays of triplets, of subjects' and of objects' boxes are called; the predictions' scores come last.
_ARRAYS: dict[Side, tuple[str, ...]] = {
    "predictions": ("rlp_labels_ours", "sub_bboxes_ours", "obj_bboxes_ours", "rlp_confs_ours"),
    "truth": ("gt_tuple_label", "gt_sub_bboxes", "gt_obj_bboxes"),
}
_WIDTHS = (3, 4, 4, 1)
_PATHS = ("imagePath.mat", "../data/imagePath.mat")  # the images' names, in the order of the others
Image = tuple[np.ndarray, ...]  # labels [n, 3], boxes [n, 4] twice and, of predictions, scores [n, 1]


def read_vrd_mat(path: Path, side: Side) -> NamedPredictions | NamedTruth:
    """VRD's authors' own files: rlp_labels_ours, rlp_confs_ours, sub_bboxes_ours, obj_bboxes_ours; or gt.mat.

    A cell an image: labels [n, 3] (subject, predicate, object) from 1 in the order of VRD's lists, boxes [n, 4] xyxy in
    pixels, scores [n, 1]. Every triplet is ranked as it stands, by its score, so k is what the file was made with. The
    images are numbered from 1, or have the names in imagePath.mat, beside the file or in ../data.

    Raises:
        InputError: It is damaged, of MATLAB 7.3, or lacks an array; names file and fix.
    """
    names = _ARRAYS[side]
    content = load_mat(path, names)
    missing = [name for name in names if name not in content]
    if missing:
        raise InputError(f"{path}: holds no {', '.join(missing)}; {side} of VRD are {', '.join(names)}")
    cells = [content[name] for name in names]
    if any(c.dtype != object for c in cells) or len({c.size for c in cells}) > 1:
        raise InputError(f"{path}: {', '.join(names)} are not cell arrays with a cell an image; save them as such")
    images = [_image(i, [c.reshape(-1)[i] for c in cells], path, names) for i in range(cells[0].size)]
    if not images:
        raise InputError(f"{path}: holds no image; save it again")
    ids = [str(i + 1) for i in range(len(images))]
    files = _file_names(path, len(images))
    vocabularies = (VRD_OBJECTS.names, VRD_PREDICATES.names)
    if side == "truth":
        return NamedTruth([_truth(*image) for image in images], ids, files, vocabularies)
    return NamedPredictions(_predictions(images), ids, files, vocabularies)


def _image(number: int, parts: list[Any], path: Path, names: tuple[str, ...]) -> Image:
    """An image's arrays, checked; MATLAB's [] is no row."""
    rows = []
    for part, width, name in zip(parts, _WIDTHS, names, strict=False):
        array = np.asarray(part)
        if array.dtype.kind not in "iuf" or array.size % width or (array.size and width > 1 and array.ndim != 2):
            raise InputError(f"{path}: {name} of image {number + 1} is no [n, {width}] of numbers; save it again")
        rows.append(array.reshape(-1, width).astype(np.float64))
    if len({len(array) for array in rows}) > 1 or not all(np.isfinite(array).all() for array in rows):
        raise InputError(f"{path}: the arrays of image {number + 1} differ in length or hold no numbers; save it again")
    labels = rows[0]
    most = np.array([len(VRD_OBJECTS), len(VRD_PREDICATES), len(VRD_OBJECTS)])
    if ((labels < 1) | (labels > most) | (labels % 1 != 0)).any():
        raise InputError(
            f"{path}: a label of image {number + 1} is not in 1..{most[0]}, 1..{most[1]}, 1..{most[0]} (subject, "
            "predicate, object); number them from 1, as VRD's lists"
        )
    return (labels.astype(np.int64), *rows[1:])


def _objects(labels: np.ndarray, subjects: np.ndarray, objects: np.ndarray) -> tuple[np.ndarray, ...]:
    """The distinct (category, box) of triplets' ends: labels [G], boxes [G, 4], and the pairs [n, 2] of them."""
    ends = np.concatenate([np.column_stack([labels[:, 0], subjects]), np.column_stack([labels[:, 2], objects])])
    rows, place = np.unique(ends, axis=0, return_inverse=True)
    return rows[:, 0].astype(np.int64), rows[:, 1:].astype(np.float32), place.reshape(2, -1).T


def _truth(labels: np.ndarray, subjects: np.ndarray, objects: np.ndarray) -> GroundTruth:
    categories, boxes, pairs = _objects(labels, subjects, objects)
    related = zip(pairs.tolist(), labels[:, 1].tolist(), strict=True)
    names = tuple(VRD_OBJECTS.names[c - 1] for c in categories.tolist())
    return GroundTruth(boxes, names, tuple((s, VRD_PREDICATES.names[p - 1], o) for (s, o), p in related))


def _predictions(images: list[Image]) -> PredictionArrays:
    """Every triplet as a pair with one predicate, the best first: a pair that is predicted twice is there twice."""
    categories, boxes, pairs, tables = [], [], [], []
    for labels, subjects, objects, scores in images:
        category, box, pair = _objects(labels, subjects, objects)
        order = np.argsort(-scores[:, 0], kind="stable")
        table = np.full((len(labels), 1 + len(VRD_PREDICATES)), -np.inf, np.float32)
        table[np.arange(len(labels)), labels[order, 1]] = scores[order, 0]
        for part, own in ((categories, category), (boxes, box), (pairs, pair[order]), (tables, table)):
            part.append(own)
    return PredictionArrays(
        boxes=joined(boxes, (0, 4), np.float32),
        labels=joined(categories, (0,), np.int64),
        scores=np.ones(sum(map(len, categories)), np.float32),
        pairs=joined(pairs, (0, 2), np.int64),
        predicate_scores=joined(tables, (0, 1 + len(VRD_PREDICATES)), np.float32),
        box_offsets=offsets_of(boxes),
        pair_offsets=offsets_of(pairs),
        whole_scores=True,
    )


def _file_names(path: Path, count: int) -> list[str] | None:
    """The images' file names from imagePath.mat, None where it is not there."""
    place = next((place for place in (path.parent / name for name in _PATHS) if place.is_file()), None)
    if place is None:
        return None
    cells = np.asarray(load_mat(place, ("imagePath",)).get("imagePath", ())).reshape(-1)
    names = [str(cell.reshape(-1)[0]) if isinstance(cell, np.ndarray) and cell.size else "" for cell in cells]
    if len(names) != count or not all(names):
        raise InputError(f"{place}: does not name {count} images, which {path} has; take it away or fetch it again")
    return names
