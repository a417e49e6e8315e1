"""COCO's annotation files as strangers write them: their lists, the values that are what they should be, instances."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.ids import id_text, name_text, whole_number
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import LARGEST, BoxedImage

Place = tuple[str, int]  # image id, place among its boxes
RELATION_KEYS = (("rel_categories", "rel_annotations"), ("predicates", "relations"))


def read_listing(path: str | Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of a file, with lists under `keys`. Raises InputError naming the file, the line and the fix."""
    content = read_json(path, "a file of COCO annotations", without="segmentation")  # most of it, and nobody's need
    absent = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if absent:
        raise InputError(f"{path}: has no list `{'`, `'.join(absent)}`; it must be a COCO annotation file")
    return content


def entries(
    listing: Mapping[str, Any],
    part: str,
    readers: Mapping[str, Callable[[Any], Any]],
    path: str | Path,
    skipped: Skipped,
) -> Iterator[tuple[Any, ...]]:
    """Of every entry of a list, the values that `readers` make of its keys, and the entry itself as the last.

    An entry where a reader gives None is recorded with what it has there.
    """
    for number, entry in enumerate(listing[part]):
        values = [reader(entry.get(key)) if isinstance(entry, dict) else None for key, reader in readers.items()]
        if all(value is not None for value in values):
            yield *values, entry
            continue
        why = f"has no {' and '.join(readers)}"
        if isinstance(entry, dict):
            wrong = next(key for key, value in zip(readers, values, strict=True) if value is None)
            why += f" that can be used: {wrong} is {_kind(entry, wrong)}"
        skipped.add(f"{Path(path).name}: {part}[{number}]", why)


def image_id(value: Any) -> str | None:
    """An id without characters that no file can hold; 1, 1.0 and "000001" are one id."""
    text = id_text(value)
    return (plain(text) or None) if text is not None else None


def text(value: Any) -> str | None:
    """A text as it is."""
    return value if isinstance(value, str) else None


def file(value: Any) -> str | None:
    """A text that a file can be called."""
    return value if isinstance(value, str) and value and "\0" not in value else None


def name(value: Any) -> str | None:
    """A text of one line that is not empty."""
    return (plain(value) or None) if isinstance(value, str) else None


def box(value: Any) -> list[float] | None:
    """Four numbers, NaN where one is none; None where there is no list of four."""
    return [number(v) for v in value] if isinstance(value, list) and len(value) == 4 else None


def number(value: Any) -> float:
    """A number, also as text; NaN for any other value."""
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def read_instances(instances: str | Path, skipped: Skipped) -> list[BoxedImage]:
    """Every image listed with its boxes and their categories' names, and relations where the file has some.

    Crowds are left out.

    Args:
        instances: JSON with `images` (id, file_name, width, height), `categories` (id, name) and `annotations`
            (id, image_id, bbox xywh in pixels, category_id, iscrowd); of relations as `read_relations`.
        skipped: Gets boxes without area, boxes of unknown categories and images listed twice, which are left out; and
            relations that cannot be used.

    Raises:
        InputError: The file is not such JSON, or a category's id stands for two names; names file and fix.
    """
    return read_boxed(read_listing(instances, ("images", "annotations", "categories")), instances, skipped)


def read_boxed(listing: dict[str, Any], instances: str | Path, skipped: Skipped) -> list[BoxedImage]:
    """The images of a file's content, see `read_instances`."""
    names = read_names(listing, "categories", instances, skipped)
    noted: dict[str, list[tuple[list[float], str, float, str]]] = {}
    places: dict[str, Place] = {}
    readers = {"image_id": image_id, "bbox": box, "category_id": image_id}
    for image, (x, y, width, height), category, note in entries(listing, "annotations", readers, instances, skipped):
        if note.get("iscrowd") is True or whole_number(note.get("iscrowd")):
            continue
        corners = [x, y, x + width, y + height]
        if sound(np.array(corners))[0] and category in names:
            own = noted.setdefault(image, [])
            if (key := image_id(note.get("id"))) is not None and places.setdefault(key, (image, len(own)))[0] != image:
                raise InputError(f"{instances}: annotation id {key} occurs in two images; give each its own id")
            own.append((corners, names[category], number(note.get("score")), key or ""))
        else:
            skipped.add(image, f"a box without area or of an unknown category in {instances}")
    related = read_relations(listing, places, instances, skipped)
    annotated: dict[str, BoxedImage] = {}
    files: set[str] = set()
    for key, file_name, entry in entries(listing, "images", {"id": image_id, "file_name": file}, instances, skipped):
        if key in annotated or name_text(file_name) in files:
            skipped.add(key, f"id {key} or {file_name} is listed twice in {instances}; the first counts")
            continue
        files.add(name_text(file_name))
        corners_of, labels, scores, ids = zip(*noted[key], strict=True) if key in noted else ((), (), (), ())
        relations, relation_scores = related.get(key, ([], []))
        annotated[key] = BoxedImage(
            key,
            file_name,
            _frame(entry),
            np.array(corners_of, np.float64).reshape(-1, 4),
            tuple(labels),
            tuple(relations),
            scores=_scores(scores),
            relation_scores=_scores(relation_scores),
            box_ids=tuple(ids),
        )
    return list(annotated.values())


def read_names(listing: dict[str, Any], part: str, path: str | Path, skipped: Skipped) -> dict[str, str]:
    """Id -> name of a list such as `categories`. Raises InputError where an id stands for two names."""
    names: dict[str, str] = {}
    for key, own, _ in entries({part: with_ids(listing[part])}, part, {"id": image_id, "name": name}, path, skipped):
        if names.setdefault(key, own) != own:
            kind = "category" if part == "categories" else part
            raise InputError(f"{path}: {kind} id {key} is {names[key]!r} and {own!r}; give each its own id")
    return names


def with_ids(names: list[Any]) -> list[Any]:
    """A list of {"id", "name"}; SGG-Benchmark takes bare names too, whose places are their ids."""
    return [{"id": k, "name": name} if isinstance(name, str) else name for k, name in enumerate(names)]


def relation_keys(listing: dict[str, Any]) -> tuple[str, str] | None:
    """What a file calls its predicates and its relations; None where it has none."""
    for keys in RELATION_KEYS:
        if all(isinstance(listing.get(key), list) for key in keys):
            return keys
    return None


def read_relations(
    listing: dict[str, Any], places: Mapping[str, Place], path: str | Path, skipped: Skipped
) -> dict[str, tuple[list[tuple[int, str, int]], list[float]]]:
    """Image id -> its relations (subject box, predicate, object box) with their scores, nan where there is none.

    Args:
        listing: The content of a COCO file. As SGG-Benchmark has it: `rel_categories` (id, name) and `rel_annotations`
            (subject_id and object_id, which are annotations' ids, and predicate_id); or these as `predicates` and
            `relations`, which `formats.coco` writes. A file without them has no relations.
        places: Annotation's id -> image id and place among the image's boxes.
        path: The file, for messages.
        skipped: Gets what is left out: relations of boxes or predicates that are not there, of boxes of two images,
            and of a box with itself.
    """
    related: dict[str, tuple[list[tuple[int, str, int]], list[float]]] = {}
    keys = relation_keys(listing)
    if keys is None:
        return related
    names = read_names(listing, keys[0], path, skipped)
    readers = {"subject_id": image_id, "object_id": image_id, "predicate_id": image_id}
    wrong: Counter[str] = Counter()
    for subject, object_, predicate, entry in entries(listing, keys[1], readers, path, skipped):
        ends = places.get(subject), places.get(object_)
        if ends[0] is None or ends[1] is None or predicate not in names:
            wrong["of a box or predicate that is not in it"] += 1
        elif ends[0][0] != ends[1][0]:
            wrong["between two images"] += 1
        elif ends[0] == ends[1]:
            wrong["of a box with itself"] += 1
        else:
            relations, scores = related.setdefault(ends[0][0], ([], []))
            relations.append((ends[0][1], names[predicate], ends[1][1]))
            scores.append(number(entry.get("score")))
    for why, count in wrong.items():
        skipped.add(Path(path).name, f"{count} relations left out: {why}")
    return related


def _scores(values: Sequence[float]) -> tuple[float, ...] | None:
    """Scores, where each is one."""
    return tuple(values) if values and not any(map(math.isnan, values)) else None


def _frame(entry: dict[str, Any]) -> tuple[float, float] | None:
    width, height = (number(entry.get(key)) for key in ("width", "height"))
    return (width, height) if 0 < width < LARGEST and 0 < height < LARGEST else None


def _kind(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if key not in entry:
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    kinds = {bool: "true or false", str: "an unusable text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
