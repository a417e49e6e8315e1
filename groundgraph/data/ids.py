"""Ids and file names as programs write them, in one form: what means the same image compares equal."""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import numpy as np

_WHOLE = re.compile(r"(-?)0*(\d+)(?:\.0*)?")
_EXACT = 2**53  # the whole numbers below it are exact as floats


def id_text(value: Any) -> str | None:
    """An id as text: 1, 1.0, "1", "1.0", b"1" and "000000000001" are all "1"; other texts without spaces at the ends.

    None for what is no id: a truth value, NaN, an empty text, null, a list.
    """
    if isinstance(value, bytes | np.bytes_):
        value = value.decode("utf-8", "replace")
    if isinstance(value, str):
        text = value.strip()
        whole = _WHOLE.fullmatch(text) if text.isascii() else None
        return (whole[1] + whole[2] if whole[2] != "0" else "0") if whole else text or None
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, float | np.floating):
        if not np.isfinite(value):
            return None
        return str(int(value)) if value == int(value) and abs(float(value)) < _EXACT else str(value)
    if isinstance(value, int | np.integer):
        # Numbers too long to be written (Python stops at 4,300 digits) are nobody's ids.
        return str(value) if abs(int(value)) < 10**100 else None
    return None


def whole_number(value: Any) -> int | None:
    """The number that an id is (7, 7.0, "7", "007"), None for any other value."""
    text = id_text(value)
    return int(text) if text is not None and len(text) < 20 and re.fullmatch(r"-?\d+", text) else None


def name_text(name: str) -> str:
    r"""A file's name as text: `./a/1.JPG` and `a\1.jpg` are both "a/1.jpg"."""
    path = PurePosixPath(name.replace("\\", "/"))
    return str(path.with_suffix(path.suffix.lower()) if path.suffix else path)
