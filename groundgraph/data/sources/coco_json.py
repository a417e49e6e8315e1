"""COCO's JSON as strangers write it: its lists, and of every entry the values that are what they should be."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from groundgraph.data.ids import id_text
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


def _kind(entry: dict[str, Any], key: str) -> str:
    value = entry.get(key)
    if key not in entry:
        return "missing"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    kinds = {bool: "true or false", str: "an unusable text", list: "a list", dict: "an object", type(None): "null"}
    return kinds.get(type(value), "a number")
