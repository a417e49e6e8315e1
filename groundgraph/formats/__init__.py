"""Every foreign format, in and out. Here: predicted and true graphs from files, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from groundgraph.errors import InputError
from groundgraph.formats.frames import box_notes
from groundgraph.formats.json_graphs import read_json_graphs
from groundgraph.formats.npz import read_npz
from groundgraph.formats.run_folder import read_examples, read_run_graphs, run_truth
from groundgraph.formats.scene_graph_benchmark import read_eval_results
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Numbered, Side, Sides, numbered, together
from groundgraph.formats.zeroshot import read_zeroshot

__all__ = ["READERS", "Sides", "read_sides", "read_zeroshot"]

# How a file of graphs ends -> who reads it; the first line of a reader's docstring says of what.
READERS: dict[str, Callable[[Path, Side], Numbered | NamedPredictions | NamedTruth]] = {
    ".npz": read_npz,
    ".pytorch": read_eval_results,
    ".pth": read_eval_results,
    ".pt": read_eval_results,
    ".safetensors": read_run_graphs,
    ".jsonl": read_examples,
    ".json": read_json_graphs,
}


def read_sides(predictions: str | Path, truth: str | Path | None = None) -> Sides:
    """Predictions and ground truth from one file that holds both, or from two.

    READERS lists the formats, its functions' docstrings describe them. Raises InputError, naming the file and the fix,
    where one cannot be read, a side is missing, or the two do not belong together.
    """
    predictions = Path(predictions)
    predicted = _read(predictions, "predictions")
    if truth is None:
        if isinstance(predicted, NamedPredictions) and predictions.suffix == ".safetensors":
            truth = run_truth(predictions)
        elif not isinstance(predicted, Numbered) or predicted.truth is None:
            raise InputError(f"{predictions}: holds no ground truth; give its file as second argument")
    true = predicted if truth is None else _read(Path(truth), "truth")
    where = str(predictions), str(truth if truth is not None else predictions)
    if isinstance(predicted, NamedPredictions) and isinstance(true, NamedTruth):
        sides = together(predicted, true, where)
    elif not (isinstance(predicted, Numbered) and isinstance(true, Numbered)):
        raise InputError(
            f"one of {where[0]} and {where[1]} numbers its categories and the other names them; give both sides in "
            "formats that name them (JSON, COCO-style, a run's), or both as numbers"
        )
    else:
        for side, kind, file in (
            (predicted.predictions, "predictions", where[0]),
            (true.truth, "ground truth", where[1]),
        ):
            if side is None:
                raise InputError(f"{file}: holds no {kind}; give a file that does")
        sides = numbered(predicted, true, where)
    notes = list(sides.notes)
    for side, file in ((sides.predictions, where[0]), (sides.truth, where[1])):
        notes += box_notes(side.boxes, side.box_offsets, sides.images, sides.sizes, file)
    return replace(sides, notes=tuple(notes))


def _read(path: Path, side: Side) -> Numbered | NamedPredictions | NamedTruth:
    """What a file holds; a named one is read as the side that is asked for."""
    formats = "\n".join(f"{suffix:<14}{(reader.__doc__ or '').splitlines()[0]}" for suffix, reader in READERS.items())
    if not path.is_file():
        why = "a folder, no file" if path.is_dir() else "no such file"
        raise InputError(f"{path.absolute()}: {why}; give one of\n{formats}")
    suffix = path.suffix.lower()
    if suffix not in READERS:
        raise InputError(f"{path}: {side} are not read from {suffix or 'such'} files; give one of\n{formats}")
    return READERS[suffix](path, side)
