"""Where images with captions come from: each source yields the same examples, split by split.

A new one is a file with a class like `Source`, a model of its part of a recipe (config.py), and a line in SOURCES.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from groundgraph.data.sources.config import Data
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.registry import lookup

# source of a recipe's data -> where its class is; imported when asked for, since some bring a library of their own.
SOURCES = {
    "minigenome": "groundgraph.data.sources.minigenome:MiniGenomeSource",
    "coco": "groundgraph.data.sources.photos:PhotoSource",
    "jsonl": "groundgraph.data.sources.photos:PhotoSource",
    "table": "groundgraph.data.sources.captions:CaptionsSource",
    "webdataset": "groundgraph.data.sources.captions:CaptionsSource",
    "karpathy": "groundgraph.data.sources.captions:CaptionsSource",
    "vg150": "groundgraph.data.sources.vg150:Vg150Source",
    "vrd": "groundgraph.data.sources.vrd:VrdSource",
    "coco-relations": "groundgraph.data.sources.graphs:GraphSource",
    "label-studio": "groundgraph.data.sources.graphs:GraphSource",
    "psg": "groundgraph.data.sources.graphs:GraphSource",
    "hico-det": "groundgraph.data.sources.graphs:GraphSource",
    "gqa": "groundgraph.data.sources.graphs:GraphSource",
    "open-images": "groundgraph.data.sources.graphs:GraphSource",
    "flickr30k-entities": "groundgraph.data.sources.graphs:GraphSource",
    "vcoco": "groundgraph.data.sources.graphs:GraphSource",
    "refcoco": "groundgraph.data.sources.graphs:GraphSource",
}


class Source(Protocol):
    """Anything that yields examples."""

    def needs(self) -> list[Need]:
        """The files it reads, there or not."""

    def pictures(self) -> Iterable[Path]:
        """The image files that its examples may name, there or not.

        Raises:
            InputError: The files that say which are missing or broken.
        """

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """A split's examples in a fixed order.

        Args:
            split: One of those that its part of the recipe lists.
            skipped: Gets what cannot be used, which is left out.
            progress: Shows how far it is.

        Raises:
            InputError: A file is missing or broken; names file and fix.
        """


def open_source(data: Data, images: Path) -> Source:
    """The source that a recipe's data asks for; `images` is where one that draws its pictures keeps them."""
    source: Source = lookup(SOURCES, data.source, "data source")(data, images)
    return source
