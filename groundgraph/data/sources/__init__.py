"""Where images with captions come from: each source yields the same examples."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.sources.coco import read_coco
from groundgraph.data.sources.jsonl import read_jsonl
from groundgraph.data.types import Example, Skipped

SOURCES = {"coco": read_coco, "jsonl": read_jsonl}


def load_examples(
    source: str, images: str | Path, captions: str | Path, instances: str | Path | None, skipped: Skipped
) -> list[Example]:
    """The examples of a source: an image folder, a file of captions, and ground truth (or None).

    What cannot be used is left out and recorded. Raises ValueError on an unknown source, an image folder that is not
    there, or a broken file.
    """
    if source not in SOURCES:
        raise ValueError(f"there is no source {source!r}: choose one of {', '.join(SOURCES)}")
    if not Path(images).is_dir():
        raise ValueError(f"{images}: no such image folder")
    return SOURCES[source](captions, images, skipped, instances)
