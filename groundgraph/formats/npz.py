"""The golden layout: flat NumPy arrays of one side or both in one npz file."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.graph_checks import as_predictions, as_truth
from groundgraph.errors import InputError
from groundgraph.formats import unpickle
from groundgraph.formats.sides import Numbered, Side

_FIELDS = ("boxes", "labels", "scores", "pairs", "rel_scores", "rels", "box_offsets", "pair_offsets", "rel_offsets")
_NAMES = {f"{side}{field}" for side in ("", "pred_", "gt_") for field in _FIELDS} | {"zeroshot"}


def read_npz(path: Path, side: Side) -> Numbered:
    """The golden layout, arrays pred_* and gt_*; one file may hold both sides.

    `data.graph_arrays.as_truth` and `as_predictions` describe the arrays; `zeroshot` may be among them.

    A file may hold one side only.

    Raises:
        InputError: It is damaged, holds pickled objects, or lacks an array of a side that it has; names the file.
    """
    arrays = unpickle.read_npz(path, _NAMES)
    sides = {prefix: any(name.startswith(prefix) for name in arrays) for prefix in ("pred_", "gt_")}
    if not any(sides.values()):
        raise InputError(
            f"{path}: has neither pred_* nor gt_* arrays; see groundgraph.data.graph_arrays for the layout"
        )
    return Numbered(
        as_predictions(arrays, str(path)) if sides["pred_"] else None,
        as_truth(arrays, str(path)) if sides["gt_"] else None,
        arrays.get("zeroshot"),
    )
