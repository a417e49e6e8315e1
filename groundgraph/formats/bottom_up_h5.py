"""Regions in HDF5, in the three layouts that bottom-up attention's users have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from groundgraph.data.numbers import whole
from groundgraph.errors import InputError
from groundgraph.formats.h5 import DAMAGED, check_links, dataset, open_h5, taken
from groundgraph.formats.region_file import FileRegions, RegionFile, keyed, read_categories
from groundgraph.formats.unpickle import read_pickle

FEATURES, BOXES = ("image_features", "features"), ("image_bb", "boxes")
SHARES = "spatial_features"  # [.., 6]: x0, y0, x1, y1, width, height as shares of the picture
LABELS, SCORES = ("objects_id", "classes", "labels"), ("objects_conf", "scores")
IDS = ("image_id", "image_ids", "ids")


class BottomUpH5(RegionFile):
    """Regions from one HDF5 file; read an image at a time.

    even    image_features [N, V, D], image_bb [N, V, 4] in pixels, spatial_features [N, V, 6] (hengyuan-hu's converter)
    uneven  image_features [total, D], image_bb and spatial_features [total, ...], pos_boxes [N, 2] = first and
            past-last row of each image (jnhwkim's)
    groups  a group an image, named by its id, with features [V, D] and boxes [V, 4]
    The ids of the N images are a dataset image_id in the file, or NAME_imgid2idx.pkl beside it. `features` and `boxes`
    are taken as well, num_boxes [N] where rows are padding, and classes or objects_id with scores or objects_conf;
    their names are in objects_vocab.txt beside the file, without which regions have no labels.
    """

    def __init__(
        self,
        path: str | Path,
        file: Any,
        rows: dict[str, int | str],
        repeated: set[str],
        categories: Sequence[str],
    ) -> None:
        super().__init__(path, rows, categories, repeated)
        self._file, self._rows = file, rows

    @classmethod
    def load(cls, source: str | Path) -> BottomUpH5:
        """Opens the file. Raises InputError, naming file and fix, for any other file."""
        path = Path(source)
        file = open_h5(path, "a file of regions")
        categories = read_categories(path.parent / "objects_vocab.txt")
        try:
            sets = list(file)
            check_links(file, sets, path)
            if any(name in sets for name in FEATURES):
                rows, repeated = _table(path, file)
            else:
                groups = [name for name in sets if isinstance(file[name], h5py.Group)]
                rows, repeated = keyed(groups, str(path))
                rows = {key: groups[row] for key, row in rows.items()}
        except InputError:
            raise
        except DAMAGED as error:
            raise InputError(f"{path}: damaged ({error}); fetch it again") from error
        if not rows:
            raise InputError(f"{path}: holds {', '.join(sets) or 'nothing'}, but no image_features and no groups")
        return cls(path, file, rows, repeated, categories)

    def read(self, key: str) -> FileRegions:
        """See `RegionFile.read`."""
        try:
            return self._read(key)
        except InputError:
            raise
        except DAMAGED as error:
            raise InputError(f"{self.source}, image {key}: damaged ({error}); fetch it again") from error

    def _read(self, key: str) -> FileRegions:
        row, what = self._rows[key], f"{self.source}, image {key}"
        place = self._file[row] if isinstance(row, str) else self._file
        part: Any = slice(None)
        if isinstance(row, int) and "pos_boxes" in place:
            first, last = whole(taken(dataset(place, "pos_boxes", what), row, what), f"{what}: pos_boxes").tolist()
            if not 0 <= first <= last:
                raise InputError(f"{what}: rows {first} to {last}; fetch it again")
            part = slice(first, last)
        elif isinstance(row, int):
            count = None
            if "num_boxes" in place:
                count = int(whole(taken(dataset(place, "num_boxes", what), row, what), f"{what}: num_boxes").item())
                if count < 0:
                    raise InputError(f"{what}: {count} boxes; fetch it again")
            part = (row, slice(count))
        names = {name: _first(place, options) for name, options in (("features", FEATURES), ("boxes", BOXES))}
        size = None
        if SHARES in place:
            names["boxes"], size = SHARES, (1.0, 1.0)
        if names["boxes"] is None or names["features"] is None:
            raise InputError(f"{what}: holds no features with boxes; make it anew")
        labels = _first(place, LABELS) if self.categories else None
        scores = _first(place, SCORES)
        return FileRegions(
            taken(dataset(place, names["boxes"], what), part, what)[..., :4],
            taken(dataset(place, names["features"], what), part, what),
            None if labels is None else taken(dataset(place, labels, what), part, what),
            None if scores is None else taken(dataset(place, scores, what), part, what),
            size,
        )


def _first(place: Any, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in place), None)


def _table(path: Path, file: h5py.File) -> tuple[dict[str, int], set[str]]:
    """Image id -> row, and ids that occur twice."""
    owner = "pos_boxes" if "pos_boxes" in file else _first(file, FEATURES)
    count = len(dataset(file, owner, path))
    name = _first(file, IDS)
    if name is not None:
        ids = file[name]
        if not isinstance(ids, h5py.Dataset) or ids.shape != (count,):
            raise InputError(f"{path}: {name} is not one id for each of the {count} images of {owner}; make it anew")
        return keyed(taken(ids, (), path).tolist(), f"{path}: {name}")
    beside = path.with_name(f"{path.stem}_imgid2idx.pkl")
    if not beside.is_file():
        raise InputError(f"{path}: says not which image is which; put {beside.name} beside it")
    table = read_pickle(beside)
    if not isinstance(table, dict) or not all(type(row) in (int, np.int64, np.int32) for row in table.values()):
        raise InputError(f"{beside}: not a table of image ids and rows; fetch it again")
    keys, repeated = keyed(table, str(beside))
    rows = [int(row) for row in table.values()]
    if repeated or len(set(rows)) < len(rows):
        raise InputError(f"{beside}: gives an image two rows, or two images one; fetch it again")
    if rows and not (0 <= min(rows) and max(rows) < count):
        raise InputError(f"{beside}: a row is beyond the {count} images of {path.name}; fetch both again")
    return dict(zip(keys, rows, strict=True)), set()
