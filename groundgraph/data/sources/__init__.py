"""Where images with captions come from: each source yields the same examples, split by split.

A new one is a file with a class like `Source`, a model of its part of a recipe (config.py), and a line in SOURCES.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from groundgraph.data.sources.config import MiniGenomeData, PhotoData, Vg150Data
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Bar, Example, Skipped

# source of a recipe's data -> where its class is; imported when asked for, since some bring a library of their own.
SOURCES = {
    "minigenome": "groundgraph.data.sources.minigenome:MiniGenomeSource",
    "coco": "groundgraph.data.sources.photos:PhotoSource",
    "jsonl": "groundgraph.data.sources.photos:PhotoSource",
    "vg150": "groundgraph.data.sources.vg150:Vg150Source",
}


class Source(Protocol):
    """Anything that yields examples.

    needs     the files it reads, there or not
    pictures  the image files that its examples may name, there or not. Raises ValueError where the files that say
              which are missing or broken
    examples  a split's examples in a fixed order; what cannot be used is left out and recorded; bar(what, total) is a
              context manager that gives a function to call with how many more are done. Raises ValueError where a file
              is missing or broken.
    """

    def needs(self) -> list[Need]: ...

    def pictures(self) -> Iterable[Path]: ...

    def examples(self, split: str, skipped: Skipped, bar: Bar) -> list[Example]: ...


def open_source(data: MiniGenomeData | PhotoData | Vg150Data, images: Path) -> Source:
    """The source that a recipe's data asks for; `images` is where one that draws its pictures keeps them."""
    module, name = SOURCES[data.source].split(":")
    return getattr(importlib.import_module(module), name)(data, images)
