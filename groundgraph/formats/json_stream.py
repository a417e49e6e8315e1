"""Reading a JSON list of objects from a file too large to hold at once (Visual Genome's regions are 0.7 GB)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from groundgraph.data.text import text_file
from groundgraph.errors import InputError

CHUNK = 1 << 20  # characters read at a time
LONGEST = 64 << 20  # characters of one object; beyond it the file is taken for damaged
_BETWEEN = " \t\r\n,"


def read_objects(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSON list, one after the other. Raises InputError, naming the file, where it is no such list."""
    decoder, start = json.JSONDecoder(), 0
    try:
        with text_file(path, "a JSON list") as file:
            text = file.read(CHUNK).lstrip()
            if not text.startswith("["):
                raise InputError(f"{path}: not a JSON list; fetch the file again")
            at = 1
            while True:
                while at < len(text) and text[at] in _BETWEEN:
                    at += 1
                if text.startswith("]", at):
                    return
                try:
                    # An object ends with its own brace: one cut off by the chunk's end is never taken for whole.
                    value, at = decoder.raw_decode(text, at)
                except json.JSONDecodeError as error:
                    more = file.read(CHUNK)
                    if not more or len(text) - at > LONGEST:
                        where = f"after {start + at:,} characters"
                        raise InputError(f"{path}: truncated or damaged {where}; fetch the file again") from error
                    text, start, at = text[at:] + more, start + at, 0
                    continue
                if not isinstance(value, dict):
                    raise InputError(f"{path}: lists something that is no object after {start + at:,} characters")
                yield value
    except ValueError as error:  # a number of more digits than Python takes
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: damaged after {start:,} characters ({error}); fetch the file again") from error
    except RecursionError as error:
        raise InputError(f"{path}: nested too deep after {start:,} characters; fetch the file again") from error
