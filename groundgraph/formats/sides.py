"""What a reader gives, and how predictions and ground truth from two files are brought together.

A side is numbered (its labels are whole numbers and its images stand in order) or named (categories, predicates and
images have names). Named sides are matched by name; numbered ones as they stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from groundgraph.data.graph_arrays import PredictionArrays, TruthArrays, joined, offsets_of, owners, truth_arrays
from groundgraph.data.graph_checks import as_predictions, as_truth
from groundgraph.data.types import GroundTruth
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.frames import known_sizes
from groundgraph.formats.joining import image_places

Side = Literal["predictions", "truth"]


@dataclass(frozen=True)
class Numbered:
    """What a file without names holds: predictions, ground truth or both, and [Z, 3] zero-shot triplets.

    Attributes:
        sizes: [N, 2] (width, height) of the pictures in pixels, where the file has them.
    """

    predictions: PredictionArrays | None = None
    truth: TruthArrays | None = None
    zeroshot: np.ndarray | None = None
    sizes: np.ndarray | None = None


@dataclass(frozen=True)
class NamedTruth:
    """True graphs of named images.

    Attributes:
        images: N ids; files are their file names, None where the file has none.
        vocabularies: What the file says is evaluated; None: it lists nothing.
        sizes: [N, 2] (width, height) of the pictures in pixels, nan where unknown; None: none is known.
    """

    truths: Sequence[GroundTruth]
    images: Sequence[str]
    files: Sequence[str] | None = None
    vocabularies: Vocabularies | None = None
    sizes: np.ndarray | None = None


@dataclass(frozen=True)
class NamedPredictions:
    """Predicted graphs of named images, as `NamedTruth`; vocabularies are the numbers' names.

    Attributes:
        listed: The file lists the vocabularies whole; else they are what occurs.
    """

    arrays: PredictionArrays
    images: Sequence[str]
    files: Sequence[str] | None
    vocabularies: Vocabularies
    listed: bool = True
    sizes: np.ndarray | None = None


@dataclass(frozen=True)
class Sides:
    """Predictions and ground truth of the same images under the same numbers, and what was left out on the way.

    Attributes:
        images: The images' names.
        sizes: [N, 2] their (width, height) in pixels (nan, None: unknown).
    """

    predictions: PredictionArrays
    truth: TruthArrays
    zeroshot: np.ndarray | None = None
    vocabularies: Vocabularies | None = None
    notes: tuple[str, ...] = ()
    images: Sequence[str] = ()
    sizes: np.ndarray | None = None


def together(predictions: NamedPredictions, truth: NamedTruth, where: tuple[str, str]) -> Sides:
    """Bring two named sides to the truth's images and one vocabulary.

    The vocabulary is what the truth lists, else what the predictions list, else the names that occur in the truth;
    true boxes and relations outside it are left out. A predicted category outside it matches nothing, a predicted
    predicate keeps its place in the ranking. Images match as `joining.image_places` says. A true image without a
    prediction counts as one without pairs.

    Raises:
        InputError: No image is in both; names the files (`where`: predictions', truth's).
    """
    vocabularies = truth.vocabularies or (predictions.vocabularies if predictions.listed else _occurring(truth.truths))
    places, notes = image_places((truth.images, truth.files), (predictions.images, predictions.files), where)
    numbered = as_truth(truth_arrays(truth.truths, *vocabularies), where[1])
    arrays = as_predictions(predictions.arrays, where[0])
    for count, what in (
        ((places < 0).sum(), f"images of {where[1]} have no prediction in {where[0]}: they count as without pairs"),
        (len(predictions.images) - (places >= 0).sum(), f"images of {where[0]} are not in {where[1]}: left out"),
        (
            sum(len(t.labels) for t in truth.truths) - len(numbered.labels),
            f"boxes of {where[1]} have categories outside the vocabulary{_such(truth.truths, vocabularies[0])}: left "
            "out",
        ),
        (
            sum(len(t.relations) for t in truth.truths) - len(numbered.relations),
            f"relations of {where[1]} have names outside the vocabulary: left out",
        ),
    ):
        if count:
            notes.append(f"{count} {what}")
    predicted = np.isfinite(arrays.predicate_scores[:, 1:]).any(0) if len(arrays.pairs) else ()
    for kind, own, numbers, vocabulary in (
        ("categories", predictions.vocabularies[0], np.unique(arrays.labels[arrays.labels > 0]) - 1, vocabularies[0]),
        ("predicates", predictions.vocabularies[1], np.flatnonzero(predicted), vocabularies[1]),
    ):
        other = [own[i] for i in numbers if own[i] not in set(vocabulary)]
        if other:
            notes.append(f"{len(other)} predicted {kind} are not in the truth, {_spelling(other, vocabulary)}")
    sizes = None
    if predictions.sizes is not None:
        sizes = np.where(places[:, None] >= 0, predictions.sizes[places], np.nan)
    return Sides(
        _picked(_renumbered(arrays, predictions.vocabularies, vocabularies), places),
        numbered,
        vocabularies=vocabularies,
        notes=tuple(notes),
        images=truth.images,
        sizes=known_sizes(sizes, truth.sizes, truth.images, where),
    )


def numbered(predictions: Numbered, truth: Numbered, where: tuple[str, str]) -> Sides:
    """Bring two numbered sides, which stand in one order, together. Raises InputError as `together`."""
    predicted, true = predictions.predictions, truth.truth
    if predicted.images != true.images:
        raise InputError(
            f"{where[1]} has {true.images} images and {where[0]} {predicted.images}; give both of the same"
        )
    zeroshot = truth.zeroshot if truth.zeroshot is not None else predictions.zeroshot
    images = [str(i) for i in range(true.images)]
    notes = []
    if len(predicted.labels) and len(true.labels) and not np.isin(predicted.labels, true.labels).any():
        notes.append(f"no label that {where[0]} predicts is in {where[1]}: number the categories alike, from 1")
    sizes = known_sizes(predictions.sizes, truth.sizes, images, where)
    return Sides(predicted, true, zeroshot, notes=tuple(notes), images=images, sizes=sizes)


def triplet_predictions(
    boxes: Sequence[np.ndarray],
    labels: Sequence[Sequence[int]],
    scores: Sequence[Sequence[float]],
    relations: Sequence[Sequence[tuple[int, int, int]]],
    relation_scores: Sequence[Sequence[float]],
    predicates: int,
) -> PredictionArrays:
    """Predictions of N images from lists of scored triplets, which rank by their own scores.

    boxes N x [B, 4], labels and scores N x [B], relations N x [(subject, object, predicate 1..P)] with their scores. A
    pair's other predicates are not predicted; pairs go by their best score, of equals as listed; of a triplet listed
    twice the best counts.
    """
    flat, values = joined(relations, (0, 3), np.int64), joined(relation_scores, (0,), np.float32)
    image = owners(offsets_of(relations))
    keys, row = np.unique(np.column_stack([image, flat[:, :2]]), axis=0, return_inverse=True)
    row = row.reshape(-1)
    table = np.full((len(keys), 1 + predicates), -np.inf, np.float32)
    np.maximum.at(table, (row, flat[:, 2]), values)
    first = np.full(len(keys), len(flat))
    np.minimum.at(first, row, np.arange(len(flat)))
    order = np.lexsort((first, -table.max(1), keys[:, 0]))
    return PredictionArrays(
        boxes=joined(boxes, (0, 4), np.float32),
        labels=joined(labels, (0,), np.int64),
        scores=joined(scores, (0,), np.float32),
        pairs=keys[order, 1:],
        predicate_scores=table[order],
        box_offsets=offsets_of(boxes),
        pair_offsets=np.searchsorted(keys[order, 0], np.arange(len(boxes) + 1)),
        whole_scores=True,
    )


def _occurring(truths: Sequence[GroundTruth]) -> Vocabularies:
    categories = sorted({name for t in truths for name in t.labels})
    return tuple(categories), tuple(sorted({name for t in truths for _, name, _ in t.relations}))


def _spelling(other: Sequence[str], vocabulary: Sequence[str]) -> str:
    """Names that match nothing by an example, and the known name that may have been meant."""
    alike = {name.casefold(): name for name in vocabulary}
    example = next((name for name in other if name.casefold() in alike), other[0])
    meant = alike.get(example.casefold())
    return f"such as {example!r}: they match nothing" + (f" (the truth has {meant!r})" if meant else "")


def _such(truths: Sequence[GroundTruth], categories: Sequence[str]) -> str:
    vocabulary = set(categories)
    example = next((name for truth in truths for name in truth.labels if name not in vocabulary), None)
    return "" if example is None else f", such as {example!r}"


def _renumbered(arrays: PredictionArrays, old: Vocabularies, new: Vocabularies) -> PredictionArrays:
    """Predictions under another vocabulary; predicates it lacks become columns after its own."""
    if old == new:
        return arrays
    place = {name: i + 1 for i, name in enumerate(new[0])}
    labels = np.array([0, *(place.get(name, 0) for name in old[0])])[arrays.labels]
    extra = [name for name in old[1] if name not in set(new[1])]
    column = {name: i + 1 for i, name in enumerate([*new[1], *extra])}
    table = np.full((len(arrays.pairs), 1 + len(column)), -np.inf, np.float32)
    if len(arrays.pairs):
        table[:, [0, *(column[name] for name in old[1])]] = arrays.predicate_scores
    return replace(arrays, labels=labels, predicate_scores=table)


def _picked(arrays: PredictionArrays, places: np.ndarray) -> PredictionArrays:
    """The images at `places`, one without boxes where it is -1."""
    boxes, box_offsets = _rows(arrays.box_offsets, places)
    pairs, pair_offsets = _rows(arrays.pair_offsets, places)
    return replace(
        arrays,
        boxes=arrays.boxes[boxes],
        labels=arrays.labels[boxes],
        scores=arrays.scores[boxes],
        pairs=arrays.pairs[pairs],
        predicate_scores=arrays.predicate_scores[pairs],
        box_offsets=box_offsets,
        pair_offsets=pair_offsets,
    )


def _rows(offsets: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    lengths = np.where(places >= 0, np.diff(offsets)[places], 0) if len(offsets) > 1 else np.zeros(len(places), int)
    begins = np.concatenate([[0], np.cumsum(lengths)])
    rows = np.arange(begins[-1]) + np.repeat(offsets[:-1][places] - begins[:-1], lengths) if begins[-1] else begins[:0]
    return rows.astype(np.int64), begins.astype(np.int64)
