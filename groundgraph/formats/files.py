"""Files that appear when they are whole."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.errors import InputError

# Lone surrogates, which names of files that are no UTF-8 have, come out as JSON's own escapes, and are read back.
UTF8 = {"encoding": "utf-8", "errors": "backslashreplace"}


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name to write under; what lies there becomes `path` when the block is done, and goes when it raises."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json_file(path: Path, content: Any, indent: int | None = None) -> None:
    """Write a value as a JSON file, whole or not at all."""
    with appearing(path) as temporary, temporary.open("w", **UTF8) as file:
        file.write(json.dumps(content, ensure_ascii=False, indent=indent) + "\n")


def check_output(path: Path, inputs: Iterable[str | Path] = ()) -> None:
    """Whether JSON can be written to `path` and nothing of the user's is lost; asked before the work is done.

    Raises InputError where it is one of the inputs, a folder, or a file that holds no JSON (nor JSON lines).
    """
    if not path.exists():
        return
    if path.is_dir():
        raise InputError(f"{path}: a folder; name the file to write in it")
    if any(os.path.exists(one) and path.samefile(one) for one in inputs):
        raise InputError(f"{path}: read by this command, and would be written over; name another file to write")
    with path.open("rb") as file:
        if file.read(64).lstrip()[:1] not in (b"", b"{", b"["):
            raise InputError(f"{path}: a file that is no JSON, and would be written over; name another file to write")


def short(values: np.ndarray) -> list:
    """float32 numbers as the shortest decimals that are these numbers again, nested as the array is."""
    values = np.asarray(values, np.float32)
    return values.astype(str).astype(np.float64).tolist() if values.size else values.tolist()
