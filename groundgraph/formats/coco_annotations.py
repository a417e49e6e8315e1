"""COCO's annotation files as strangers write them: their lists, the values that are what they should be, instances."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.ids import id_text, name_text, whole_number
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError


def read_listing(path: str | Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of a file, with lists under `keys`. Raises InputError naming the file, the line and the fix."""
    content = read_json(path, "a file of COCO annotations")
    absent = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if absent:
        raise InputError(f"{path}: has no list `{'`, `'.join(absent)}`; it must be a COCO annotation file")
    return content


def entries(
    listing: dict[str, Any],
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


@dataclass(frozen=True)
class CocoImage:
    """An image of an instances file: its boxes [G, 4] xyxy in pixels of a picture of `frame`; None: it does not say."""

    image_id: str
    file_name: str
    frame: tuple[float, float] | None
    boxes: np.ndarray
    labels: tuple[str, ...]


def read_instances(instances: str | Path, skipped: Skipped) -> list[CocoImage]:
    """Every image listed with its boxes and their categories' names; crowds are left out.

    Args:
        instances: JSON with `images` (id, file_name, width, height), `categories` (id, name) and `annotations`
            (image_id, bbox xywh in pixels, category_id, iscrowd).
        skipped: Gets boxes without area, boxes of unknown categories and images listed twice, which are left out.

    Raises:
        InputError: The file is not such JSON, or a category's id stands for two names; names file and fix.
    """
    listing = read_listing(instances, ("images", "annotations", "categories"))
    names: dict[str, str] = {}
    for key, category, _ in entries(listing, "categories", {"id": image_id, "name": name}, instances, skipped):
        if names.setdefault(key, category) != category:
            raise InputError(f"{instances}: category id {key} is {names[key]!r} and {category!r}; give each its own id")
    noted: dict[str, list[tuple[list[float], str]]] = {}
    readers = {"image_id": image_id, "bbox": box, "category_id": image_id}
    for image, (x, y, width, height), category, note in entries(listing, "annotations", readers, instances, skipped):
        if note.get("iscrowd") is True or whole_number(note.get("iscrowd")):
            continue
        corners = [x, y, x + width, y + height]
        if sound(np.array(corners))[0] and category in names:
            noted.setdefault(image, []).append((corners, names[category]))
        else:
            skipped.add(image, f"a box without area or of an unknown category in {instances}")
    annotated: dict[str, CocoImage] = {}
    files: set[str] = set()
    for key, file, entry in entries(listing, "images", {"id": image_id, "file_name": text}, instances, skipped):
        if key in annotated or name_text(file) in files:
            skipped.add(key, f"id {key} or {file} is listed twice in {instances}; the first counts")
            continue
        files.add(name_text(file))
        boxes = noted.get(key, [])
        array = np.array([corners for corners, _ in boxes], np.float64).reshape(-1, 4)
        annotated[key] = CocoImage(key, file, _frame(entry), array, tuple(label for _, label in boxes))
    return list(annotated.values())


def _frame(entry: dict[str, Any]) -> tuple[float, float] | None:
    width, height = (number(entry.get(key)) for key in ("width", "height"))
    return None if math.isnan(width) or math.isnan(height) else (width, height)


def _kind(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if key not in entry:
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    kinds = {bool: "true or false", str: "an unusable text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
