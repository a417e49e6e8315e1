"""A folder of images with captions as a source: COCO JSON or JSON lines."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.images import ImageError, locate
from groundgraph.data.sources.coco import read_coco
from groundgraph.data.sources.config import PhotoData
from groundgraph.data.sources.jsonl import read_jsonl, read_rows
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.coco_annotations import entries, read_listing, text

READERS = {"coco": read_coco, "jsonl": read_jsonl}


class PhotoSource:
    """The one split of a `PhotoData`."""

    def __init__(self, data: PhotoData, images: Path) -> None:
        self.data = data

    def needs(self) -> list[Need]:
        """The folder and the files that the recipe names."""
        data = self.data
        required = [Need("images", data.images, "your own"), Need("captions", data.captions, "your own")]
        return required + ([Need("true boxes", data.instances, "your own")] if data.instances else [])

    def pictures(self) -> list[Path]:
        """The images that the captions file names."""
        captions, images = self.data.captions, self.data.images
        if self.data.source == "jsonl":
            names = [entry["image"] for _, entry in read_rows(captions)]
        else:
            listing = read_listing(captions, ("images",))
            names = [name for name, _ in entries(listing, "images", {"file_name": text}, captions, Skipped())]
        paths = []
        for name in names:
            try:
                paths.append(locate(images, name))
            except ImageError:  # not there, or no name of a picture: it may come to be
                paths.append(Path(images, name))
        return paths

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """All of them, whatever the split. Raises InputError where the folder or a file is missing or broken."""
        data = self.data
        if not Path(data.images).is_dir():
            raise InputError(f"{data.images}: no such image folder")
        return READERS[data.source](data.captions, data.images, skipped, data.instances)
