"""Files that appear when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from groundgraph.errors import InputError


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
