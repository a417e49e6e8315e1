"""COCO-style JSON with relations, in and out."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.files import write_json
from groundgraph.data.ids import name_text
from groundgraph.data.numbers import shortest
from groundgraph.data.types import AnnotatedImage, GroundTruth
from groundgraph.data.vocabulary import Vocabularies, Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats.coco_annotations import RELATION_KEYS, relation_keys, with_ids
from groundgraph.formats.entries import field, identifier, name, number, numbers, shortened
from groundgraph.formats.sides import NamedPredictions, NamedTruth, triplet_predictions

KEYS = ("images", "categories", "annotations")


def coco_predictions(content: Mapping[str, Any], path: Path) -> NamedPredictions:
    """Predicted graphs in the form of COCO's annotations, with two lists more.

    images       [{"id", "file_name" (if it has one)}]
    categories   [{"id", "name"}]
    annotations  [{"id", "image_id", "category_id", "bbox": [x, y, width, height] in pixels, "score"}]; a box ends at
                 x + width, y + height, as everywhere in COCO
    predicates   [{"id", "name"}]
    relations    [{"image_id", "subject_id", "object_id", "predicate_id", "score"}]; subject and object are
                 annotations' ids; relations rank by their score, which is the whole triplet's

    The last two may be called rel_categories and rel_annotations, as in SGG-Benchmark.

    Raises:
        InputError: Anything missing or unknown; names file, list and entry.
    """
    images, vocabularies, boxes, labels, scores, relations, values = _read(content, path, scored=True)
    arrays = triplet_predictions(boxes, labels, scores, relations, values, len(vocabularies[1]))
    return NamedPredictions(arrays, images.ids, images.files, vocabularies, sizes=images.sizes)


def coco_truth(content: Mapping[str, Any], path: Path) -> NamedTruth:
    """True graphs in the form of `coco_predictions`; scores are not needed. Raises InputError likewise."""
    images, vocabularies, boxes, labels, _, relations, _ = _read(content, path, scored=False)
    categories, predicates = vocabularies
    truths = [
        GroundTruth(b, tuple(categories[k - 1] for k in ls), tuple((s, predicates[p - 1], o) for s, o, p in rs))
        for b, ls, rs in zip(boxes, labels, relations, strict=True)
    ]
    return NamedTruth(truths, images.ids, images.files, vocabularies, images.sizes)


class _Images(NamedTuple):
    ids: list[str]
    files: list[str] | None
    sizes: np.ndarray  # [N, 2] width, height; nan where unknown


def _read(content: Mapping[str, Any], path: Path, scored: bool) -> tuple:
    predicates_key, relations_key = relation_keys(dict(content)) or RELATION_KEYS[1]
    for key in (*KEYS, predicates_key, relations_key):
        if not isinstance(content.get(key), list):
            needed = f"{', '.join((*KEYS, *RELATION_KEYS[1]))} (or {' and '.join(RELATION_KEYS[0])})"
            raise InputError(f"{path}: has no list `{key}`; COCO-style graphs need {needed}")
    images = _images(content["images"], path)
    place = {ident: i for i, ident in enumerate(images.ids)}
    categories, category = _numbered(content["categories"], path, "categories")
    predicates, predicate = _numbered(content[predicates_key], path, predicates_key)
    boxes, labels, scores, relations, values = ([[] for _ in place] for _ in range(5))
    where_is: dict[str, tuple[int, int]] = {}
    for i, entry in enumerate(content["annotations"]):
        with _Naming(path, "annotations", i):
            ident = _new(entry, where_is)
            image = _known(entry, "image_id", place)
            where_is[ident] = image, len(boxes[image])
            boxes[image].append(_box(entry))
            labels[image].append(_known(entry, "category_id", category))
            scores[image].append(number(field(entry, "score"), "score") if scored else 1.0)
    for i, entry in enumerate(content[relations_key]):
        with _Naming(path, relations_key, i):
            image = _known(entry, "image_id", place)
            ends = [_known(entry, key, where_is) for key in ("subject_id", "object_id")]
            if any(owner != image for owner, _ in ends):
                raise InputError("subject and object must be annotations of its own image")
            relations[image].append((ends[0][1], ends[1][1], _known(entry, "predicate_id", predicate)))
            values[image].append(number(field(entry, "score"), "score") if scored else 1.0)
    arrays = [np.array(b, np.float32).reshape(-1, 4) for b in boxes]
    vocabularies: Vocabularies = categories, predicates
    return images, vocabularies, arrays, labels, scores, relations, values


class _Naming:
    """Puts file, list and entry before what an InputError says; a class, since a generator costs more an entry."""

    def __init__(self, path: Path, part: str, i: int) -> None:
        self.where = path, part, i

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, InputError):
            path, part, i = self.where
            raise InputError(f"{path}, {part}[{i}]: {error}") from error


def _images(entries: list[Any], path: Path) -> _Images:
    ids: dict[str, None] = {}
    files: dict[str, int] = {}
    sizes = np.full((len(entries), 2), np.nan)
    for i, entry in enumerate(entries):
        with _Naming(path, "images", i):
            ids[_new(entry, ids)] = None
            file = entry.get("file_name")
            if isinstance(file, str) and file.strip():
                if files.setdefault(name_text(file), i) != i:
                    raise InputError(f"the file name {file!r} occurs twice; give each image once")
            sides = entry.get("width"), entry.get("height")
            if all(isinstance(side, int | float) and 0 < side < 1e7 for side in sides):
                sizes[i] = sides
    return _Images(list(ids), list(files) if len(files) == len(ids) else None, sizes)


def _numbered(entries: list[Any], path: Path, part: str) -> tuple[tuple[str, ...], dict[str, int]]:
    """The names of a list, and number 1.. of each id."""
    names, numbers = [], {}
    for i, entry in enumerate(with_ids(entries)):
        with _Naming(path, part, i):
            names.append(name(field(entry, "name")))
            numbers[_new(entry, numbers)] = i + 1
    try:
        return Vocabulary(tuple(names)).names, numbers
    except InputError as error:
        raise InputError(f"{path}, {part}: {error}") from error


def _new(entry: Any, taken: Container[str]) -> str:
    ident = identifier(field(entry, "id"))
    if ident in taken:
        raise InputError(f"the id {shortened(entry['id'])} occurs twice")
    return ident


def _known(entry: Any, key: str, ids: Mapping[str, Any]) -> Any:
    ident = identifier(field(entry, key))
    if ident not in ids:
        raise InputError(f"its {key} {shortened(entry[key])} is not in the file")
    return ids[ident]


def _box(entry: Mapping[str, Any]) -> list[float]:
    x, y, width, height = numbers(field(entry, "bbox"), "[x, y, width, height] in pixels")
    if width < 0 or height < 0:
        raise InputError(
            f'"bbox" must be [x, y, width, height] in pixels; {shortened(entry["bbox"])} has a side below 0'
        )
    return [x, y, x + width, y + height]


def write_coco(
    path: str | Path,
    images: Iterable[AnnotatedImage],
    vocabularies: Vocabularies,
    keys: tuple[str, str] = RELATION_KEYS[1],
    first_predicate: int = 1,
) -> dict[str, int]:
    """Write COCO's images, categories and annotations (bbox is [x, y, width, height] in pixels), and two lists more.

    predicates  [{"id", "name"}]; relations [{"id", "image_id", "subject_id", "object_id", "predicate_id"}], of whose
    ends the ids are annotations'; predicted ones have a "score". An annotation's "score" is its entity's share of the
    region, or a model's. file_name is relative to info's "image_folder".

    Args:
        path: The file.
        images: What to write.
        vocabularies: The names of their numbers.
        keys: What the two lists are called.
        first_predicate: The id of the first predicate. All others count from 1: many readers take category 0 for the
            background, and pycocotools' evaluation an annotation's id 0 for none.

    Returns:
        Counts.
    """
    labelled = list(images)
    if not labelled:
        raise InputError(f"{path}: no image to export; finish the run first")
    root = os.path.commonpath([Path(image.path).absolute().parent for image in labelled])
    content: dict = {"info": {"image_folder": root}, "images": [], "annotations": [], keys[1]: []}
    for key, names, start in zip(("categories", keys[0]), vocabularies, (1, first_predicate), strict=True):
        content[key] = [{"id": k, "name": name} for k, name in enumerate(names, start)]
    for image_id, image in zip(_written_ids([image.image_id for image in labelled]), labelled, strict=True):
        width, height = image.size
        file_name = Path(os.path.relpath(Path(image.path).absolute(), root)).as_posix()
        content["images"].append({"id": image_id, "file_name": file_name, "width": width, "height": height})
        begin = len(content["annotations"]) + 1
        for box, label, score in zip(
            image.boxes.astype(float).tolist(), image.labels.tolist(), shortest(image.scores), strict=True
        ):
            sides = box[2] - box[0], box[3] - box[1]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": image_id,
                    "category_id": label,
                    "bbox": [*box[:2], *sides],
                    "area": sides[0] * sides[1],
                    "iscrowd": 0,
                    "score": score,
                }
            )
        scores = image.relation_scores
        scored = [{}] * len(image.relations) if scores is None else [{"score": value} for value in shortest(scores)]
        for (subject, object_, predicate), score in zip(image.relations.tolist(), scored, strict=True):
            content[keys[1]].append(
                {
                    "id": len(content[keys[1]]) + 1,
                    "image_id": image_id,
                    "subject_id": begin + subject,
                    "object_id": begin + object_,
                    "predicate_id": predicate - 1 + first_predicate,
                    **score,
                }
            )
    write_json(Path(path), content)
    return {
        "images": len(labelled),
        "boxes": len(content["annotations"]),
        "relations": len(content[keys[1]]),
        "images without a box": sum(not len(image.boxes) for image in labelled),
    }


def _written_ids(ids: list[str]) -> list[int] | list[str]:
    """COCO's tools sort ids and like numbers: all become numbers, or none where a number could not give one back."""
    if all(name.isascii() and name.isdigit() and len(name) < 19 and str(int(name)) == name for name in ids):
        return [int(name) for name in ids]
    return ids
