"""Regions that another program found, in a file: what its readers share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.ids import id_text, name_text
from groundgraph.data.text import plain, read_text
from groundgraph.errors import InputError

BACKGROUND = ("__background__", "background")  # what a list of names may begin with


@dataclass(frozen=True)
class FileRegions:
    """An image's regions as a file holds them.

    Attributes:
        boxes: [V, 4] xyxy in pixels of a picture of `size` (width, height); None: of the image itself; (1, 1): shares.
        features: [V, D].
        labels: [V] into the categories, -1 = none; None: the file has none.
        scores: [V] in 0..1; None: the file has none, its order counts.
    """

    boxes: np.ndarray
    features: np.ndarray
    labels: np.ndarray | None = None
    scores: np.ndarray | None = None
    size: tuple[float, float] | None = None


class RegionFile(ABC):
    """An open file, or folder, of many images' regions; what is new in a format is `load` and `read` alone.

    Args:
        source: Where it lies, for messages.
        keys: What its images are called, as `keyed` writes them.
        categories: Names that the labels index; none where the file knows no classes.
        repeated: Keys that it has twice: the first counts.
    """

    def __init__(
        self, source: str | Path, keys: Container[str], categories: Sequence[str], repeated: Iterable[str] = ()
    ) -> None:
        self.source, self.keys = source, keys
        self.categories, self.repeated = tuple(map(plain, categories)), frozenset(repeated)

    @classmethod
    @abstractmethod
    def load(cls, source: str | Path) -> RegionFile:
        """Open a file. Raises InputError, naming file and fix, for any other one."""

    @abstractmethod
    def read(self, key: str) -> FileRegions | None:
        """The regions of a key, None where there are none after all. Raises InputError where they are damaged."""


def keyed(names: Iterable[Any], what: str) -> tuple[dict[str, int], set[str]]:
    """Key -> number of the first image of that name, and the keys that occur twice.

    Args:
        names: What a file calls its images: ids, or names of files with or without folders and ending.
        what: The file, for messages.

    Raises:
        InputError: A name is neither a number nor a text.
    """
    rows: dict[str, int] = {}
    repeated = set()
    for row, name in enumerate(names):
        text = id_text(name)
        if text is None:
            raise InputError(
                f"{what}: image {row} is called {str(name)[:50]!r}, which is no id or file name; make it anew"
            )
        key = name_text(text)
        if rows.setdefault(key, row) != row:
            repeated.add(key)
    return rows, repeated


def read_categories(path: Path) -> tuple[str, ...]:
    """Names from a file of one a line (what follows a comma is a synonym and left out), () where there is no file.

    Every line keeps its number, a background's too: labels count lines. Bottom-up attention's list of 1,600 has
    doubles.

    Raises:
        InputError: It is no text or a name between others is missing; names the file.
    """
    if not path.is_file():
        return ()
    names = [line.split(",")[0].strip() for line in read_text(path, "one name a line").rstrip().splitlines()]
    if "" in names:
        raise InputError(f"{path}, line {names.index('') + 1}: holds no name; labels would count beyond it wrongly")
    return tuple(names)
