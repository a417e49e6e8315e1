"""What the authors released: grounding results as pseudo labels, and the weights of their grounder.

The layouts are those that ws-sgg-grounder writes and WS-SGG reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from groundgraph.data.ids import id_text
from groundgraph.data.text import plain
from groundgraph.data.types import PseudoLabels, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.torch_file import read_torch
from groundgraph.formats.unpickle import read_pickle

REGIONS = 36  # an image, padded
_LARGEST = np.finfo(np.float32).max
_RELEASED = "give the released file of grounding results"
MODULES = ("text_encoder", "visual_encoder", "classifier", "adaptor")  # of their grounder


def read_results(
    path: str | Path, categories: int, predicates: int, top: int = 3, skipped: Skipped | None = None
) -> dict[str, PseudoLabels]:
    """Pseudo labels of a pickle of grounding results, by image id.

    Captions' results are {image id: {"gt_classes" [E], "relations" [T, 3] (subject, object, predicate), "gd_boxes"
    and "gd_scores", for each entity its regions' numbers and their scores}}. Unlocalized graphs' are a list of
    {"image_id", "gt_classes", "gt_rels" [T, 3], and, for each triplet, "subject_boxes", "subject_scores",
    "object_boxes", "object_scores"}: one object may be grounded otherwise in each triplet, so each end becomes an
    entity of its own. Scores between 0 and 1 that sum to at most 1 an entity are probabilities: the candidates' shares
    are these, their scores the logarithms; a probability of 0 is a padded region's, and no candidate. Of other scores
    the softmax over an entity's candidates gives the shares.

    Args:
        path: The pickle.
        categories: C of the vocabulary that numbers them from 1 (VG150: 150); 0 names none.
        predicates: P, likewise (VG150: 50).
        top: Candidates that are kept of an entity, the best (5 are stored, 3 are trained on).
        skipped: Gets the triplets that are left out because an end or the predicate is 0.

    Raises:
        InputError: It is no such file or asks to run anything; names file, image and fix.
    """
    content = read_pickle(path)
    entries = content.items() if isinstance(content, Mapping) else _by_id(content, path)
    images: dict[str, _Entities] = {}
    for key, meta in entries:
        name = id_text(key)
        if name is None:
            raise InputError(f"{path}: the id of image {len(images)} is no number and no text; {_RELEASED}")
        if name in images:
            raise InputError(f"{path}: image {plain(name)[:100]!r} is listed twice")
        images[name] = _entities(meta, _where(path, name))
    if not images:
        raise InputError(f"{path}: holds no image; {_RELEASED}")
    probabilities = all(
        (scores >= 0).all() and scores.sum() <= 1 + 1e-3 for entry in images.values() for scores in entry[2]
    )
    return {
        name: _pseudo(entry, probabilities, categories, predicates, top, _where(path, name), skipped)
        for name, entry in images.items()
    }


def _where(path: str | Path, name: str) -> str:
    return f"{path}, image {plain(name)[:100]!r}"


def _by_id(content: Any, path: str | Path) -> list[tuple[Any, Any]]:
    if not isinstance(content, list) or not all(isinstance(m, Mapping) and "image_id" in m for m in content):
        raise InputError(f"{path}: neither {{image id: results}} nor a list of results with image_id; {_RELEASED}")
    return [(meta["image_id"], meta) for meta in content]


_Entities = tuple[np.ndarray, list[np.ndarray], list[np.ndarray], np.ndarray]


def _entities(meta: Any, where: str) -> _Entities:
    """Classes [E], each entity's regions and scores, triplets [T, 3] (subject entity, object entity, predicate)."""
    if not isinstance(meta, Mapping):
        raise InputError(f"{where}: not grounding results but a {type(meta).__name__}; {_RELEASED}")
    try:
        classes = _whole(meta["gt_classes"]).reshape(-1)
        if "gd_boxes" in meta:
            triplets = _whole(meta["relations"]).reshape(-1, 3)
            regions, scores = (list(meta[key]) for key in ("gd_boxes", "gd_scores"))
        else:
            relations = _whole(meta["gt_rels"]).reshape(-1, 3)
            regions, scores = (
                [row for ends in zip(meta[f"subject_{key}"], meta[f"object_{key}"], strict=True) for row in ends]
                for key in ("boxes", "scores")
            )
            if relations.size and not 0 <= relations[:, :2].min() <= relations[:, :2].max() < len(classes):
                raise InputError("a relation points beyond gt_classes")
            classes = classes[relations[:, :2].reshape(-1)]
            ends = 2 * np.arange(len(relations))
            triplets = np.column_stack([ends, ends + 1, relations[:, 2]])
        regions = [_whole(row).reshape(-1) for row in regions]
        scores = [np.asarray(row, np.float64).reshape(-1) for row in scores]
    except KeyError as error:
        raise InputError(f"{where}: has no {error}; {_RELEASED}") from error
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: not grounding results ({plain(str(error))[:200]}); {_RELEASED}") from error
    for wrong, what in (
        (not len(classes) == len(regions) == len(scores), f"{len(classes)} entities, {len(regions)} grounded"),
        (any(len(r) != len(s) for r, s in zip(regions, scores, strict=False)), "regions and scores differ in number"),
        (any(((r < 0) | (r >= REGIONS)).any() for r in regions), f"a region outside 0 to {REGIONS - 1}"),
        (not all((np.abs(s) < _LARGEST).all() for s in scores), "a score that is not a number, or none of float32"),
        (
            triplets.size > 0 and not 0 <= triplets[:, :2].min() <= triplets[:, :2].max() < len(classes),
            "a relation points beyond the entities",
        ),
    ):
        if wrong:
            raise InputError(f"{where}: {what}; fetch the file again")
    return classes, regions, scores, triplets


def _whole(values: Any) -> np.ndarray:
    """Whole numbers as int64, however they are listed. Raises ValueError where they are none."""
    array = np.asarray(values)
    if array.dtype.kind == "f" and (np.abs(array) < 2**53).all() and (array == np.trunc(array)).all():
        array = array.astype(np.int64)  # of an empty list, too
    if array.dtype.kind == "O" or (array.dtype.kind == "u" and array.size and array.max() >= 2**63):
        raise ValueError("a number too large, or no number")
    if array.dtype.kind not in "iu":
        raise ValueError("numbers that are not whole")
    return array.astype(np.int64)


def _pseudo(
    entry: _Entities,
    probabilities: bool,
    categories: int,
    predicates: int,
    top: int,
    where: str,
    skipped: Skipped | None,
) -> PseudoLabels:
    classes, regions, scores, triplets = entry
    for values, count, what in ((classes, categories, "categories"), (triplets[:, 2], predicates, "predicates")):
        if values.size and not 0 <= values.min() <= values.max() <= count:
            raise InputError(
                f"{where}: numbers {what} {values.min()} to {values.max()}, the vocabulary has {count}; give theirs"
            )
    rows, values, shares = np.full((len(classes), top), -1), *np.zeros((2, len(classes), top), np.float32)
    for e, (region, score) in enumerate(zip(regions, scores, strict=True)):
        best = np.argsort(-score, kind="stable")[:top]
        if probabilities:
            best = best[score[best] > 0]
            value, share = np.log(score[best]), score[best]
        else:
            weights = np.exp(score - score.max(initial=-np.inf))
            value, share = score[best], weights[best] / weights.sum()
        rows[e, : len(best)], values[e, : len(best)], shares[e, : len(best)] = region[best], value, share
    kept = (triplets[:, 2] > 0) & (classes[triplets[:, :2]] > 0).all(1)
    if skipped is not None and not kept.all():
        skipped.add(where, f"{(~kept).sum()} triplets with an end or a predicate outside the vocabulary")
    triplets = triplets[kept] - np.array([0, 0, 1])
    return PseudoLabels(classes - 1, rows, values, shares, triplets, REGIONS)


def read_checkpoint(path: str | Path) -> dict[str, torch.Tensor]:
    """The weights of the authors' grounder, `grounder_best.pth` (or one of an epoch), float32 by their names there.

    Raises:
        InputError: The file is damaged, holds more than tensors, or names modules that their grounder has not.
    """
    content = read_torch(path)
    weights = content.get("model", content) if isinstance(content, dict) else {}
    for key, value in weights.items():
        if str(key).partition(".")[0] not in MODULES or not isinstance(value, torch.Tensor):
            raise InputError(
                f"{path}: holds {plain(str(key))[:100]}, which the authors' grounder has not; give grounder_best.pth"
            )
    return {str(key): value.float() for key, value in weights.items()}
