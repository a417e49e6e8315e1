"""Captions as data sets of captions are stored, streamed: an image at a time, whatever the files' size.

Rows of one image that follow one another are one image. Pictures that lie in the files themselves (tars, Arrow,
parquet) are written into the run's folder, where every later stage finds them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from groundgraph.data.files import atomic_write
from groundgraph.data.images import ImageError, locate_any
from groundgraph.data.sources.caption_config import CaptionsData
from groundgraph.data.sources.needs import Need
from groundgraph.data.text import plain
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import captions_of, read_rows
from groundgraph.formats.karpathy import read_karpathy
from groundgraph.formats.webdataset import read_tar

_COCO = re.compile(r"COCO_(\w+?)_\d+\.")
MOST = 1000  # captions of an image


class CaptionsSource:
    """The splits of a `CaptionsData`; pictures of the files' own are written to `images`."""

    def __init__(self, data: CaptionsData, images: Path) -> None:
        self.data, self.images = data, images

    def needs(self) -> list[Need]:
        """The files and folders that the recipe names."""
        required = [Need("captions", name, "your own", key="data.captions") for name in self.data.captions]
        return required + ([Need("images", self.data.images, "your own")] if self.data.images else [])

    def pictures(self) -> list[Path]:
        """The files of the captions, whose sizes and times stand for the millions of pictures that they name."""
        return self.data.files()

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """A split's examples, all of them held. Raises as `stream`."""
        return list(self.stream(split, skipped, progress))

    def stream(self, split: str, skipped: Skipped, progress: ProgressBar) -> Iterator[Example]:
        """A split's examples, one after another; of those that were, a number or two each are kept, to know doubles.

        Args:
            split: One of the recipe's.
            skipped: Gets, counted, what is left out: rows without a caption or picture, and images that come again.
            progress: Shows how many files are done.

        Raises:
            InputError: A file, folder or column is missing, or a file damaged; names it.
        """
        if self.data.images is not None and not Path(self.data.images).is_dir():
            raise InputError(f"{self.data.images}: no such image folder; name it in data.images")
        files, known, count = self.data.files(split), set[int](), 0
        wrong: Counter[str] = Counter()
        first: dict[str, str] = {}

        def leave_out(why: str, where: str) -> None:
            wrong[why] += 1
            first.setdefault(why, where)

        with progress(f"reading {split} captions", len(files)) as advance:
            for file in files:
                for (name, mark), rows in groupby(self._rows(file, split), key=lambda row: _picture(row[1])):
                    if split == "train" and count == self.data.train:
                        break
                    (number, picture, _), texts = (own := list(islice(rows, MOST)))[0], _texts(own)
                    where = f"{file.name}, row {number}"
                    if name is None or not texts:
                        leave_out("rows without a " + ("picture" if name is None else "caption"), where)
                        continue
                    key = hash((name, mark))
                    if key in known:
                        leave_out("images that come again, after others", f"{where}: {name}")
                        continue
                    if mark and hash(name) in known:  # "0.jpg" of two folders, which `datasets` names by their ends
                        name = f"{mark}-{name}"
                    try:
                        path = self._path(name, picture, self.images / split / file.name.partition(".")[0], number)
                    except ImageError as error:
                        leave_out("images that are not there", f"{where}: {error}")
                        continue
                    known |= {key, hash(name)} if mark else {key}
                    count += 1
                    yield Example(plain(name), str(path), tuple(texts))
                advance(1)
        for why, many in wrong.items():
            skipped.add(file.parent.name or str(file.parent), f"{many:,} {why}, such as {first[why]}")
        if split == "train" and self.data.unread:
            skipped.add(self.data.captions[0], f"splits that are not read: {', '.join(self.data.unread)}")

    def _rows(self, file: Path, split: str) -> Iterator[tuple[int, Any, Any]]:
        if self.data.source == "karpathy":
            return read_karpathy(file, split)
        if self.data.source == "webdataset":
            return read_tar(file)
        return read_rows(file, self.data.columns.image, self.data.columns.caption)

    def _path(self, name: str, picture: Any, folder: Path, number: int) -> Path:
        """Where an image is: written out into `folder` where the file holds it, else in the folder of the pictures.

        A name without an ending (img2dataset's keys) is looked for with .jpg, and in the folder of its first five
        digits; COCO's of 2014 in the folder that it has the name of too.
        """
        if isinstance(picture, dict) and picture.get("bytes"):
            ending = Path(name).suffix.lower() or ".jpg"
            path = folder / f"{number:09d}{ending}"
            if not path.exists() or path.stat().st_size != len(picture["bytes"]):
                with atomic_write(path, sync=False) as temporary:
                    temporary.write_bytes(picture["bytes"])
            return path
        if self.data.images is None:
            raise ImageError(f"{name}: data.images is null, and the file has no pictures in it; name their folder")
        part = _COCO.match(name)
        others = [f"{part[1]}/{name}"] if part else []
        if not Path(name).suffix:
            others = [f"{name}.jpg", f"{name[:5]}/{name}.jpg", f"{name}.png"]
        return locate_any(self.data.images, [name, *others])


def _texts(rows: Iterable[tuple[int, Any, Any]]) -> list[str]:
    """The captions of an image's rows, empty ones left out."""
    texts = (plain(text) for _, _, cell in rows for text in captions_of(cell) or ())
    return [text for text in texts if text]


def _picture(picture: Any) -> tuple[str | None, str]:
    """What an image is called, and the mark of its bytes: "" where they are not there.

    One that has only bytes is called by them, one that has neither is None.
    """
    if isinstance(picture, dict):
        path, content = picture.get("path"), picture.get("bytes")
        mark = hashlib.sha1(content, usedforsecurity=False).hexdigest() if isinstance(content, bytes) else ""
        return (str(path) if path else mark or None), mark
    text = str(picture).strip() if isinstance(picture, str | int) else ""
    return text or None, ""
