"""Arrays from elsewhere that are to be numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from groundgraph.errors import InputError


def numbers(values: Any, what: str) -> np.ndarray:
    """Values as an array of numbers; what: the file and the array, for messages.

    Raises:
        InputError: They are texts, objects, or lists of unequal length.
    """
    try:
        array = np.asarray(values)
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{what} is no array of numbers ({error}); make the file anew") from error
    if array.dtype.kind not in "biuf":
        kind = "texts" if array.dtype.kind in "SU" else f"values of {array.dtype}"
        raise InputError(f"{what} holds {kind}, not numbers; make the file anew")
    return array


def whole(values: Any, what: str) -> np.ndarray:
    """Values as int64. Raises InputError as `numbers`, and where one of them is no whole number."""
    array = numbers(values, what)
    if array.dtype.kind == "f" and not (np.isfinite(array) & (array == np.trunc(array))).all():
        raise InputError(f"{what} holds numbers that are not whole; make the file anew")
    return array.astype(np.int64)


def shortest(values: np.ndarray) -> Any:
    """float32 numbers as the shortest decimals that are these numbers again, as lists nested as the array is."""
    values = np.asarray(values, np.float32)
    return values.astype(str).astype(np.float64).tolist() if values.size else values.tolist()
