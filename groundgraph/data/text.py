"""Text and JSON as strangers send them, made safe to write, print and read on."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from groundgraph.data.fetched import START, not_fetched
from groundgraph.errors import InputError
from groundgraph.terminal import visible

_PACKED = {  # first bytes -> what packed a file, and what unpacks it
    b"\x1f\x8b": ("gzip", "gunzip"),
    b"PK\x03\x04": ("zip", "unzip"),
    b"BZh": ("bzip2", "bunzip2"),
    b"\xfd7zX": ("xz", "unxz"),
}


def plain(text: str) -> str:
    """One line without control characters; lone surrogates, which no file can hold, become question marks."""
    return " ".join(visible(text).split())


@contextmanager
def text_file(path: str | Path, kind: str, newline: str | None = None) -> Iterator[TextIO]:
    """Open a text file to be read, in UTF-8, or in UTF-16 or 32 where its first bytes say so; their mark is left out.

    Args:
        path: The file.
        kind: What is meant to be there, for messages: "image_data.json of Visual Genome".
        newline: As of `open`.

    Raises:
        InputError: The file is absent, a folder, or no such text; when it is opened, or read on in the block.
    """
    try:
        with open(path, "rb") as raw:
            start = raw.peek(START)[:START]
            if what := not_fetched(start):
                raise InputError(f"{path}: {what}")
            for mark, (packed, program) in _PACKED.items():
                if start.startswith(mark):
                    raise InputError(f"{path}: packed by {packed}; unpack it ({program}), or give {kind}")
            encoding = json.detect_encoding(start[:4])
            # utf-8-sig passes over a mark and needs none
            yield io.TextIOWrapper(raw, encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline=newline)
    except FileNotFoundError as error:
        raise InputError(f"{os.path.abspath(path)}: no such file; give {kind}") from error
    except IsADirectoryError as error:
        raise InputError(f"{os.path.abspath(path)}: a folder, no file; give {kind}") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); give {kind}") from error
    except UnicodeError as error:
        why = f"{error.reason} at byte {error.start:,}" if isinstance(error, UnicodeDecodeError) else str(error)
        raise InputError(f"{path}: not text in UTF-8 ({why}); save it as UTF-8, or give {kind}") from error


def read_text(path: str | Path, kind: str) -> str:
    """The text of a file. Arguments and errors as of `text_file`."""
    with text_file(path, kind) as file:
        return file.read()


def read_json(
    path: str | Path, kind: str, fix: str = "mend it there, or fetch the file again", without: str | None = None
) -> Any:
    """The JSON of a file as Python has it, less what lies under the key `without` anywhere, for memory's sake.

    Raises InputError as `text_file` and `parse_json`.
    """
    return parse_json(read_text(path, kind), path, fix, without=without)


def parse_json(text: str, path: str | Path, fix: str, first: int = 1, without: str | None = None) -> Any:
    """JSON text as Python has it; it starts in line `first` of a file. Raises InputError naming file, line and fix."""
    try:
        return json.loads(text, object_pairs_hook=_unique if without is None else partial(_unique, without=without))
    except json.JSONDecodeError as error:
        line = first + error.lineno - 1
        raise InputError(f"{path}, line {line}: not valid JSON ({error.msg}); {fix}") from error
    except (RecursionError, ValueError) as error:  # nested without end; a number of more than 4,300 digits; see below
        raise InputError(f"{path}, from line {first}: JSON that cannot be read ({error}); {fix}") from error


def _unique(pairs: list[tuple[str, Any]], without: str | None = None) -> dict[str, Any]:
    """A JSON object; json would keep the last of two images of one name, without a word."""
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        raise ValueError(f"the key {next(key for key in keys if keys.count(key) > 1)!r} occurs twice in one object")
    content.pop(without, None)  # type: ignore[arg-type]
    return content
