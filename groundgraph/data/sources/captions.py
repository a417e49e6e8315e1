"""Captions as data sets of captions are stored, streamed: an image at a time, whatever the files' size.

Rows of one image that follow one another are one image, and of a file's first rows all that name it. Pictures that lie
in the files themselves (tars, Arrow, parquet) are written into the run's folder, where every later stage finds them.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby, islice
from pathlib import Path
from typing import Any

from groundgraph.data.files import atomic_write
from groundgraph.data.images import IMAGE_ENDINGS, ImageError, locate_any
from groundgraph.data.sources.caption_config import CaptionsData
from groundgraph.data.sources.needs import Need
from groundgraph.data.sources.shards import shard_paths
from groundgraph.data.text import plain, read_text
from groundgraph.data.types import Example, ProgressBar, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.caption_tables import Row, captions_of, read_rows
from groundgraph.formats.karpathy import read_karpathy
from groundgraph.formats.webdataset import read_tar

_COCO = re.compile(r"COCO_(\w+?)_\d+\.")
METADATA = "metadata"  # what the `datasets` library calls a table that lies beside its pictures
MOST = 1000  # captions of an image
HELD = 600_000  # rows of a file, of which those of an image may lie apart: COCO's captions by their ids do


class CaptionsSource:
    """The splits of a `CaptionsData`; pictures of the files' own are written to `images`."""

    def __init__(self, data: CaptionsData, images: Path) -> None:
        self.data, self.images = data, images

    def needs(self) -> list[Need]:
        """The files and folders that the recipe names."""
        paths = [shard_paths(name) for name in self.data.captions]
        named = [next((path for path in own if not path.exists()), own[0]) for own in paths]  # a shard stands for all
        required = [Need("captions", str(path), "your own", key="data.captions") for path in named]
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
        row_split = split if self.data.split_by_row else None
        wrong: Counter[str] = Counter()
        first: dict[str, str] = {}

        def leave_out(why: str, where: str) -> None:
            wrong[why] += 1
            first.setdefault(why, where)

        with progress(f"reading {split} captions", len(files)) as advance:
            for file, folder in zip(files, _folders(files, self.images / split), strict=True):
                beside = self._beside(file)
                for (name, mark), rows in self._by_picture(self._rows(file, split, row_split)):
                    if split == "train" and count == self.data.train:
                        break
                    (number, picture, _), texts = (own := list(islice(rows, MOST)))[0], _texts(own)
                    where = f"{file.name}, row {number}"
                    if name is None or not texts:
                        leave_out("rows without a " + ("picture" if name is None else "caption"), where)
                        continue
                    own_name, name = name, self._named(name, mark, beside)
                    key = hash((name, mark))
                    if key in known:
                        leave_out("images that come again, after others", f"{where}: {name}")
                        continue
                    if mark and hash(name) in known:  # "0.jpg" of two folders, which `datasets` names by their ends
                        name = f"{mark}-{name}"
                    try:
                        path = self._path(own_name, picture, beside, folder / f"{number:09d}")
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

    def _rows(self, file: Path, split: str, row_split: str | None) -> Iterator[tuple[int, Any, Any]]:
        if self.data.source == "karpathy":
            return read_karpathy(file, split)
        if self.data.source == "webdataset":
            return read_tar(file)
        if (picture := _picture_of(file)) is not None:
            return iter([(1, picture, read_text(file, "captions").split("\n"))])
        return read_rows(file, self.data.columns.image, self.data.columns.caption, row_split)

    def _by_picture(self, rows_of_file: Iterator[Row]) -> Iterator[tuple[tuple[str | None, str], Iterable[Row]]]:
        """The rows of each image: (its name, the mark of its bytes), and the rows.

        Of the first HELD rows all that are of an image, wherever they lie; after them those that follow one another.
        """
        grouped = groupby(rows_of_file, key=lambda row: _picture(row[1]))
        held: dict[tuple[str | None, str], list[Row]] = {}
        count = 0
        for key, rows in grouped if self.data.source == "table" else ():
            own = list(islice(rows, HELD - count))
            held.setdefault(key, []).extend(own)
            count += len(own)
            if key[1] or count >= HELD:  # a picture in the file, or a long one: from here on row by row
                break
        for known, own in held.items():  # rows without a picture are told one by one
            yield from ((known, [row]) for row in own) if known[0] is None else [(known, own)]
        if count >= HELD and (row := next(rows, None)) is not None:  # the last image's, beyond
            yield key, chain([row], rows)
        yield from grouped

    def _beside(self, file: Path) -> Path | None:
        """The folder of a table whose pictures lie beside it, as those of `datasets`' `metadata.csv` do."""
        alone = self.data.images is None or file.stem == METADATA or _picture_of(file) is not None
        return file.parent if self.data.source == "table" and alone else None

    def _named(self, name: str, mark: str, beside: Path | None) -> str:
        """What an image is called: with the folder of its table, where pictures lie beside tables."""
        inner = "" if mark or beside is None else self.data.folder_of(beside)
        return f"{inner}/{name}" if inner else name

    def _path(self, name: str, picture: Any, beside: Path | None, written: Path) -> Path:
        """Where an image is: where the file holds it, it is written out as `written`.

        Else it is beside its table, or in the folder of the pictures. A name without an ending (img2dataset's keys) is
        looked for with .jpg, and in the folder of its first five digits; COCO's of 2014 in the folder that it has the
        name of too, and one with folders, or a path on another machine, by its last part.
        """
        content = picture.get("bytes") if isinstance(picture, dict) else picture
        if isinstance(content, bytes) and content:
            path = written.with_suffix(Path(name).suffix.lower() or ".jpg")
            if not path.exists() or path.stat().st_size != len(content):
                with atomic_write(path, sync=False) as temporary:
                    temporary.write_bytes(content)
            return path
        alone = re.split(r"[/\\]", name)[-1]
        others = [f"{part[1]}/{alone}"] if (part := _COCO.match(alone)) else []
        if not Path(name).suffix:
            others = [f"{name}.jpg", f"{name[:5]}/{name}.jpg", f"{name}.png"]
        places = (beside, None if self.data.images is None else Path(self.data.images))
        folders = [place for place in places if place is not None]
        if not folders:
            raise ImageError(f"{name}: data.images is null, and the file has no pictures in it; name their folder")
        for folder in folders[:-1]:
            with suppress(ImageError):
                return locate_any(folder, [name, *others])
        try:
            return locate_any(folders[-1], [name, *others, *filter(None, [alone])])
        except ImageError as error:
            if self.data.images is not None:
                raise
            raise ImageError(f"{error}; or name the folder of the pictures as data.images") from error


def _folders(files: Sequence[Path], folder: Path) -> list[Path]:
    """Where each file's pictures are written: by its name, and files of one name by their number too."""
    stems = [file.name.partition(".")[0] for file in files]
    first = {stem: n for n, stem in reversed([*enumerate(stems)])}
    return [folder / (stem if first[stem] == n else f"{stem}-{n}") for n, stem in enumerate(stems)]


def _picture_of(text: Path) -> str | None:
    """The picture that a text lies beside, by its name: `a.jpg` of `a.txt`."""
    if text.suffix.lower() != ".txt":
        return None
    endings = (case for ending in IMAGE_ENDINGS for case in (ending, ending.upper()))
    return next((name.name for ending in endings if (name := text.with_suffix(ending)).is_file()), None)


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
    if isinstance(picture, bytes):
        return _picture({"bytes": picture})
    text = str(picture).strip() if isinstance(picture, str | int) else ""
    return text or None, ""
