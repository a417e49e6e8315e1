"""The golden layout: flat NumPy arrays of one side or both in one npz file."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import as_predictions, as_truth
from groundgraph.evaluation.formats.sides import Numbered


def read_npz(path: Path) -> Numbered:
    """Read gt_* and pred_* arrays as `arrays.as_truth` and `arrays.as_predictions` describe them, and `zeroshot`.

    A file may hold one side only. Raises InputError, naming the file, where it is damaged, holds pickled objects, or
    lacks an array of a side that it has.
    """
    arrays = load_npz(path)
    sides = {prefix: any(name.startswith(prefix) for name in arrays) for prefix in ("pred_", "gt_")}
    if not any(sides.values()):
        raise InputError(
            f"{path}: has neither pred_* nor gt_* arrays; see groundgraph.evaluation.arrays for the layout"
        )
    return Numbered(
        as_predictions(arrays, str(path)) if sides["pred_"] else None,
        as_truth(arrays, str(path)) if sides["gt_"] else None,
        arrays.get("zeroshot"),
    )


def load_npz(path: Path) -> dict[str, np.ndarray]:
    """All arrays of an npz file. Raises InputError, naming it, where it is no such file or holds pickled objects."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (ValueError, OSError, AttributeError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(
            f"{path}: not an npz file of plain arrays ({error}); write it again with numpy.savez"
        ) from error
