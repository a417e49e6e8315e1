"""Regions in HDF5, in the three layouts that bottom-up attention's users have."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from groundgraph.data.types import Example
from groundgraph.data.unpickle import read_pickle
from groundgraph.errors import InputError
from groundgraph.vision.stored import Stored, StoredRegions, key_of, read_categories

FEATURES, BOXES = ("image_features", "features"), ("image_bb", "boxes")
SHARES = "spatial_features"  # [.., 6]: x0, y0, x1, y1, width, height as shares of the picture
LABELS, SCORES = ("objects_id", "classes", "labels"), ("objects_conf", "scores")
IDS = ("image_id", "image_ids", "ids")


class BottomUpH5(StoredRegions):
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
        rows: dict[str, int],
        repeated: set[str],
        categories: Sequence[str],
        count: int | None = None,
    ) -> None:
        super().__init__(path, categories, count, repeated)
        self._file, self._rows = file, rows

    @classmethod
    def load(cls, source: str | Path, *, count: int | None = None, device: str = "cpu") -> BottomUpH5:
        """Opens the file; nothing runs on `device`. Raises InputError, naming file and fix, for any other file."""
        path = Path(source)
        try:
            file = h5py.File(path, "r")
            sets = {name: file[name] for name in file}
        except FileNotFoundError as error:
            raise InputError(f"{path}: no such file of regions") from error
        except (OSError, RuntimeError, KeyError) as error:
            raise InputError(f"{path}: damaged, or no HDF5 file ({error}); fetch it again") from error
        names = path.parent / "objects_vocab.txt"
        categories = read_categories(names if names.is_file() else None)
        if any(name in sets for name in FEATURES):
            rows, repeated = _table(path, sets)
        else:
            rows, repeated = {name: -1 for name, part in sets.items() if isinstance(part, h5py.Group)}, set()
        if not rows:
            raise InputError(f"{path}: holds {', '.join(sets) or 'nothing'}, but no image_features and no groups")
        return cls(path, file, rows, repeated, categories, count)

    def find(self, example: Example) -> tuple[str, Stored] | None:
        """See `StoredRegions.find`."""
        key = key_of(example, self._rows)
        if key is None:
            return None
        try:
            return key, self._read(key)
        except (OSError, RuntimeError, KeyError, IndexError, TypeError) as error:
            raise InputError(f"{self.source}, image {key}: damaged ({error}); fetch it again") from error

    def _read(self, key: str) -> Stored:
        row = self._rows[key]
        place = self._file[key] if row < 0 else self._file
        part: Any = slice(None)
        if row >= 0 and "pos_boxes" in place:
            first, last = (int(x) for x in place["pos_boxes"][row])
            if not 0 <= first <= last:
                raise InputError(f"{self.source}, image {key}: rows {first} to {last}; fetch it again")
            part = slice(first, last)
        elif row >= 0:
            count = int(place["num_boxes"][row]) if "num_boxes" in place else None
            part = (row, slice(count))
        names = {name: _first(place, options) for name, options in (("features", FEATURES), ("boxes", BOXES))}
        size = None
        if SHARES in place:
            names["boxes"], size = SHARES, (1.0, 1.0)
        if names["boxes"] is None or names["features"] is None:
            raise InputError(f"{self.source}, image {key}: holds no features with boxes; make it anew")
        labels = _first(place, LABELS) if self.categories else None
        scores = _first(place, SCORES)
        return Stored(
            place[names["boxes"]][part][:, :4],
            place[names["features"]][part],
            None if labels is None else place[labels][part],
            None if scores is None else place[scores][part],
            size,
        )


def _first(place: Any, names: Sequence[str]) -> str | None:
    return next((name for name in names if name in place), None)


def _table(path: Path, sets: dict[str, Any]) -> tuple[dict[str, int], set[str]]:
    """Image id -> row, and ids that occur twice."""
    name = next((name for name in IDS if name in sets), None)
    if name is not None:
        ids = [x.decode() if isinstance(x, bytes) else str(x) for x in sets[name][:].tolist()]
        rows = {key: row for row, key in reversed(list(enumerate(ids)))}
        return rows, {key for row, key in enumerate(ids) if rows[key] != row}
    beside = path.with_name(f"{path.stem}_imgid2idx.pkl")
    if not beside.is_file():
        raise InputError(f"{path}: says not which image is which; put {beside.name} beside it")
    table = read_pickle(beside)
    if not isinstance(table, dict) or not all(isinstance(row, int | np.integer) and row >= 0 for row in table.values()):
        raise InputError(f"{beside}: not a table of image ids and rows; fetch it again")
    return {str(key): int(row) for key, row in table.items()}, set()
