"""Text and JSON as strangers send them, made safe to write, print and read on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from groundgraph.errors import InputError
from groundgraph.terminal import visible


def plain(text: str) -> str:
    """One line without control characters; lone surrogates, which no file can hold, become question marks."""
    return " ".join(visible(text).split())


def parse_json(text: str, path: str | Path, fix: str, first: int = 1) -> Any:
    """JSON text as Python has it; it starts in line `first` of a file. Raises InputError naming file, line and fix."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = first + error.lineno - 1
        raise InputError(f"{path}, line {line}: not valid JSON ({error.msg}); {fix}") from error
    except (RecursionError, ValueError) as error:  # nested without end; a number of more than 4,300 digits
        raise InputError(f"{path}, from line {first}: JSON that cannot be read ({error}); {fix}") from error
