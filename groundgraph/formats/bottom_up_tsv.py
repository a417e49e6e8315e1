"""Regions of bottom-up attention's Faster R-CNN, from the TSV files of its authors and of LXMERT."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from groundgraph.errors import InputError
from groundgraph.formats.region_file import BACKGROUND, FileRegions, RegionFile, keyed, read_categories

# Columns by their number: bottom-up-attention's tools, the same with class probabilities (Conceptual Captions), LXMERT.
COLUMNS = {
    6: ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features"),
    7: ("image_id", "image_w", "image_h", "num_boxes", "boxes", "features", "cls_prob"),
    10: (
        "image_id",
        "image_h",
        "image_w",
        "objects_id",
        "objects_conf",
        "attrs_id",
        "attrs_conf",
        "num_boxes",
        "boxes",
        "features",
    ),
}
TYPES = {"boxes": np.float32, "features": np.float32, "cls_prob": np.float32} | {
    "objects_id": np.int64,
    "objects_conf": np.float32,
}


class BottomUpTsv(RegionFile):
    """Lines of image id, size, number of boxes, and base64 arrays: boxes [V, 4] xyxy in pixels, features [V, D].

    `COLUMNS` tells which columns a line of 6, 7 or 10 fields has. Class numbers (objects_id, or the best of cls_prob
    behind its background column) index the 1,600 names of objects_vocab.txt beside the files; without that file the
    regions have no labels. Opening reads every line once to learn where it starts, nothing more is kept in memory.
    """

    def __init__(
        self,
        source: str | Path,
        places: dict[str, tuple[Path, int]],
        repeated: set[str],
        categories: Sequence[str],
    ) -> None:
        super().__init__(source, places, categories, repeated)
        self._places = places

    @classmethod
    def load(cls, source: str | Path) -> BottomUpTsv:
        """From a file, or a folder of *.tsv and *.tsv.N.

        Raises:
            InputError: There is none or its first line is no such line; names file and line.
        """
        path = Path(source)
        files = sorted(p for p in path.glob("*.tsv*") if p.is_file()) if path.is_dir() else [path]
        if not files or not all(p.is_file() for p in files):
            raise InputError(f"{source}: no such TSV file of regions; give the file or the folder that holds it")
        starts = [(name, (file, start)) for file in files for name, start in _lines(file)]
        rows, repeated = keyed((name for name, _ in starts), str(source))
        places = {key: starts[row][1] for key, row in rows.items()}
        return cls(source, places, repeated, read_categories(files[0].parent / "objects_vocab.txt"))

    def read(self, key: str) -> FileRegions:
        """See `RegionFile.read`."""
        path, start = self._places[key]
        with open(path, "rb") as file:
            file.seek(start)
            fields = file.readline().rstrip(b"\r\n").split(b"\t")
        try:
            return self._parse(fields)
        except (ValueError, binascii.Error) as error:
            raise InputError(f"{path}, the line of image {key}: damaged ({error}); fetch it again") from error

    def _parse(self, fields: list[bytes]) -> FileRegions:
        if len(fields) not in COLUMNS:
            raise InputError(f"{len(fields)} fields")
        row = dict(zip(COLUMNS[len(fields)], fields, strict=True))
        count, width, height = (int(row[name]) for name in ("num_boxes", "image_w", "image_h"))
        if count <= 0:
            raise InputError(f"{count} boxes")
        arrays = {
            name: np.frombuffer(base64.b64decode(row[name], validate=True), kind).reshape(count, -1)
            for name, kind in TYPES.items()
            if name in row
        }
        labels = scores = None
        if "cls_prob" in arrays:
            chance, classes = arrays["cls_prob"], len(self.categories)
            named = bool(classes) and self.categories[0] in BACKGROUND  # its column is the first, whether listed or not
            if classes and chance.shape[1] != classes + (not named):
                raise InputError(f"{chance.shape[1]} class probabilities, {classes} names in objects_vocab.txt")
            labels, scores = chance[:, 1:].argmax(1) + named, chance[:, 1:].max(1)
        elif "objects_id" in arrays:
            labels, scores = arrays["objects_id"][:, 0], arrays["objects_conf"][:, 0]
        return FileRegions(
            arrays["boxes"], arrays["features"], labels if self.categories else None, scores, (width, height)
        )


def _lines(path: Path) -> Iterator[tuple[str, int]]:
    """The image id and first byte of every line. ValueError where the first is no line of regions."""
    start = 0
    with open(path, "rb") as file:
        for number, line in enumerate(file, 1):
            if number == 1 and line.count(b"\t") + 1 not in COLUMNS:
                raise InputError(
                    f"{path}, line 1: {line.count(bytes([9])) + 1} columns, not {[*COLUMNS]}; give a TSV of regions"
                )
            yield line.split(b"\t", 1)[0].decode("ascii", "replace").strip(), start
            start += len(line)
    if not start:
        raise InputError(f"{path}: is empty; fetch it again")
