"""Files that appear when they are whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np


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


def short(values: np.ndarray) -> list:
    """float32 numbers as the shortest decimals that are these numbers again, nested as the array is."""
    values = np.asarray(values, np.float32)
    return values.astype(str).astype(np.float64).tolist() if values.size else values.tolist()
