"""Values of JSON entries that strangers wrote: each is what it should be, or an InputError says what it is instead."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ids import id_text
from groundgraph.data.text import plain
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError

_LARGEST, _INFINITE = float(np.finfo(np.float32).max), float("inf")
_plain = lru_cache(100_000)(plain)  # millions of entries have hundreds of names


def field(entry: Any, key: str) -> Any:
    """An entry's value; null counts as missing. Raises InputError where it has none."""
    if not isinstance(entry, dict):
        raise InputError(f'is no object with a "{key}"')
    value = entry.get(key)
    if value is None:
        raise InputError(f'has no "{key}"')
    return value


def items(holder: Mapping[str, Any], key: str) -> list[Any]:
    """A list under a key; null or nothing is an empty one. Raises InputError where it is something else."""
    value = holder.get(key)
    if value is not None and not isinstance(value, list):
        raise InputError(f'"{key}" must be a list')
    return value or []


def number(value: Any, what: str) -> float:
    """A finite number that float32 can hold; `what` it is of. Raises InputError for anything else."""
    if type(value) not in (float, int) or not abs(value) < _INFINITE:
        raise InputError(f"its {what} {shortened(value)} is not a number")
    if abs(value) > _LARGEST:
        raise InputError(f"its {what} {shortened(value)} is too large")
    return float(value)


def numbers(value: Any, what: str) -> list[float]:
    """Four such numbers; `what` they are. Raises InputError for anything else."""
    if not isinstance(value, list) or len(value) != 4:
        raise InputError(f"the box {shortened(value)} is not {what}")
    return [number(v, "box's coordinate") for v in value]


def identifier(value: Any) -> str:
    """An id, see `data.ids.id_text`. Raises InputError for what is none."""
    text = id_text(value)
    if text is None:
        raise InputError(f"{shortened(value)} is no id")
    return text


def name(value: Any) -> str:
    """A category's or predicate's name as one clean line; a number's are its digits. Raises InputError for others."""
    text = _plain(value) if isinstance(value, str) else id_text(value)
    if not text:
        raise InputError(f"{shortened(value)} is no name")
    return text


def vocabulary(values: Any, where: str | Path) -> tuple[str, ...]:
    """A list of names, each once. Raises InputError naming `where`, a file, for anything else."""
    try:
        if not isinstance(values, list | tuple):
            raise InputError(f"{shortened(values)} is no list of names")
        return Vocabulary(tuple(name(value) for value in values)).names
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def shortened(value: Any) -> str:
    """A value to be named in a message, which need not hold all of it."""
    if isinstance(value, int) and abs(value) >= 10**30:
        return "of more than 30 digits"
    text = f"a {type(value).__name__}" if isinstance(value, Mapping) else repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
