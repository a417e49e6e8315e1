"""COCO-style JSON with relations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.types import GroundTruth
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.evaluation.formats.sides import NamedPredictions, NamedTruth, Vocabularies, triplet_predictions

KEYS = ("images", "categories", "annotations", "predicates", "relations")


def coco_predictions(content: Mapping[str, Any], path: Path) -> NamedPredictions:
    """Predicted graphs in the form of COCO's annotations, with two lists more.

    images       [{"id", "file_name" (if it has one)}]
    categories   [{"id", "name"}]
    annotations  [{"id", "image_id", "category_id", "bbox": [x, y, width, height] in pixels, "score"}]; a box ends at
                 x + width, y + height, as everywhere in COCO
    predicates   [{"id", "name"}]
    relations    [{"image_id", "subject_id", "object_id", "predicate_id", "score"}]; subject and object are
                 annotations' ids; relations rank by their score, which is the whole triplet's
    Raises InputError, naming file, list and entry, on anything missing or unknown.
    """
    images, vocabularies, boxes, labels, scores, relations, values = _read(content, path, scored=True)
    arrays = triplet_predictions(boxes, labels, scores, relations, values, len(vocabularies[1]))
    return NamedPredictions(arrays, list(images), list(images.values()), vocabularies)


def coco_truth(content: Mapping[str, Any], path: Path) -> NamedTruth:
    """True graphs in the form of `coco_predictions`; scores are not needed. Raises InputError likewise."""
    images, vocabularies, boxes, labels, _, relations, _ = _read(content, path, scored=False)
    categories, predicates = vocabularies
    truths = [
        GroundTruth(b, tuple(categories[k - 1] for k in ls), tuple((s, predicates[p - 1], o) for s, o, p in rs))
        for b, ls, rs in zip(boxes, labels, relations, strict=True)
    ]
    return NamedTruth(truths, list(images), list(images.values()), vocabularies)


def _read(content: Mapping[str, Any], path: Path, scored: bool) -> tuple:
    for key in KEYS:
        if not isinstance(content.get(key), list):
            raise InputError(f"{path}: has no list `{key}`; COCO-style graphs need {', '.join(KEYS)}")
    images: dict[str, str] = {}
    place: dict[Any, int] = {}
    for i, entry in enumerate(content["images"]):
        name = _get(entry, "id", path, "images", i)
        if name in place:
            raise InputError(f"{path}, images[{i}]: the id {name!r} occurs twice")
        place[name] = len(place)
        images[str(name)] = str(entry.get("file_name", name))
    categories, category = _numbered(content["categories"], path, "categories")
    predicates, predicate = _numbered(content["predicates"], path, "predicates")
    boxes, labels, scores, relations, values = ([[] for _ in images] for _ in range(5))
    where_is: dict[Any, tuple[int, int]] = {}
    for i, entry in enumerate(content["annotations"]):
        image = _known(entry, "image_id", place, path, "annotations", i)
        ident = _get(entry, "id", path, "annotations", i)
        if ident in where_is:
            raise InputError(f"{path}, annotations[{i}]: the id {ident!r} occurs twice")
        where_is[ident] = image, len(boxes[image])
        boxes[image].append(_box(entry, path, i))
        labels[image].append(_known(entry, "category_id", category, path, "annotations", i))
        scores[image].append(_score(entry, path, "annotations", i) if scored else 1.0)
    for i, entry in enumerate(content["relations"]):
        image = _known(entry, "image_id", place, path, "relations", i)
        ends = [_known(entry, key, where_is, path, "relations", i) for key in ("subject_id", "object_id")]
        if any(owner != image for owner, _ in ends):
            raise InputError(f"{path}, relations[{i}]: subject and object must be annotations of its own image")
        number = _known(entry, "predicate_id", predicate, path, "relations", i)
        relations[image].append((ends[0][1], ends[1][1], number))
        values[image].append(_score(entry, path, "relations", i) if scored else 1.0)
    arrays = [np.array(b, np.float32).reshape(-1, 4) for b in boxes]
    vocabularies: Vocabularies = categories, predicates
    return images, vocabularies, arrays, labels, scores, relations, values


def _numbered(entries: list[Any], path: Path, part: str) -> tuple[tuple[str, ...], dict[Any, int]]:
    """The names of a list, and number 1.. of each id."""
    names = tuple(str(_get(entry, "name", path, part, i)) for i, entry in enumerate(entries))
    numbers = {_get(entry, "id", path, part, i): i + 1 for i, entry in enumerate(entries)}
    try:
        names = Vocabulary(names).names
    except ValueError as error:
        raise InputError(f"{path}, {part}: {error}") from error
    if len(numbers) < len(names):
        raise InputError(f"{path}, {part}: an id occurs twice")
    return names, numbers


def _get(entry: Any, key: str, path: Path, part: str, i: int) -> Any:
    value = entry.get(key) if isinstance(entry, Mapping) else None
    if value is None or isinstance(value, list | dict):
        raise InputError(f'{path}, {part}[{i}]: has no "{key}"')
    return value


def _known(entry: Any, key: str, known: Mapping[Any, Any], path: Path, part: str, i: int) -> Any:
    value = _get(entry, key, path, part, i)
    if value not in known:
        raise InputError(f"{path}, {part}[{i}]: its {key} {value!r} is not in the file")
    return known[value]


def _score(entry: Mapping[str, Any], path: Path, part: str, i: int) -> float:
    value = _get(entry, "score", path, part, i)
    if not isinstance(value, int | float) or not np.isfinite(value):
        raise InputError(f"{path}, {part}[{i}]: its score {value!r} is not a number")
    return float(value)


def _box(entry: Mapping[str, Any], path: Path, i: int) -> list[float]:
    try:
        x, y, width, height = (float(v) for v in entry["bbox"])
        if not np.isfinite([x, y, width, height]).all() or width < 0 or height < 0:
            raise InputError
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f'{path}, annotations[{i}]: "bbox" must be [x, y, width, height] in pixels') from error
    return [x, y, x + width, y + height]
