"""Reading predicted and true graphs from files, whoever wrote them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundgraph.data.text import read_json
from groundgraph.errors import InputError
from groundgraph.formats.coco import coco_predictions, coco_truth
from groundgraph.formats.frames import box_notes
from groundgraph.formats.graph_json import graph_json_predictions, graph_json_truth, is_graph_json
from groundgraph.formats.npz import read_npz
from groundgraph.formats.run_folder import read_examples, read_run_graphs, run_truth
from groundgraph.formats.scene_graph_benchmark import TORCH, read_eval_results
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Numbered, Sides, numbered, together
from groundgraph.formats.zeroshot import read_zeroshot

__all__ = ["FORMATS", "Sides", "read_sides", "read_zeroshot"]

FORMATS = """\
.npz          the golden layout, pred_* and gt_* arrays; one file may hold both sides
.pytorch      Scene-Graph-Benchmark's eval_results, both sides
.safetensors  a run's RUN/sgg-METHOD/graphs.safetensors; its ground truth is RUN/examples/SPLIT.jsonl
.json         graphs as `groundgraph predict` writes them, or COCO-style with `predicates` and `relations`"""


def read_sides(predictions: str | Path, truth: str | Path | None = None) -> Sides:
    """Predictions and ground truth from one file that holds both, or from two.

    The readers' docstrings describe the formats, FORMATS lists them. Raises InputError, naming the file and the fix,
    where one cannot be read, a side is missing, or the two do not belong together.
    """
    predictions = Path(predictions)
    found = _read(predictions, "predictions")
    if truth is None:
        if isinstance(found, NamedPredictions) and predictions.suffix == ".safetensors":
            truth = run_truth(predictions)
        elif not isinstance(found, Numbered) or found.truth is None:
            raise InputError(f"{predictions}: holds no ground truth; give its file as second argument")
    true = found if truth is None else _read(Path(truth), "truth")
    where = str(predictions), str(truth if truth is not None else predictions)
    if isinstance(found, NamedPredictions) and isinstance(true, NamedTruth):
        sides = together(found, true, where)
    elif not (isinstance(found, Numbered) and isinstance(true, Numbered)):
        raise InputError(
            f"one of {where[0]} and {where[1]} numbers its categories and the other names them; give both sides in "
            "formats that name them (JSON, COCO-style, a run's), or both as numbers"
        )
    else:
        for side, kind, file in ((found.predictions, "predictions", where[0]), (true.truth, "ground truth", where[1])):
            if side is None:
                raise InputError(f"{file}: holds no {kind}; give a file that does")
        sides = numbered(found, true, where)
    notes = list(sides.notes)
    for side, file in ((sides.predictions, where[0]), (sides.truth, where[1])):
        notes += box_notes(side.boxes, side.box_offsets, sides.images, sides.sizes, file)
    return replace(sides, notes=tuple(notes))


def _read(path: Path, side: str) -> Numbered | NamedPredictions | NamedTruth:
    """What a file holds; `side` says what a named one is read as, "predictions" or "truth"."""
    if not path.is_file():
        why = "a folder, no file" if path.is_dir() else "no such file"
        raise InputError(f"{path.absolute()}: {why}; give one of\n{FORMATS}")
    suffix = path.suffix.lower()
    if suffix == ".npz":
        return read_npz(path)
    if suffix in TORCH:
        return read_eval_results(path)
    if suffix == ".safetensors" and side == "predictions":
        return read_run_graphs(path)
    if suffix == ".jsonl" and side == "truth":
        return read_examples(path)
    if suffix != ".json":
        raise InputError(f"{path}: {side} are not read from {suffix or 'such'} files; give one of\n{FORMATS}")
    content = read_json(path, f"a JSON file of {side}")
    if is_graph_json(content):
        readers = {"predictions": graph_json_predictions, "truth": graph_json_truth}
    elif isinstance(content, dict) and "annotations" in content:
        readers = {"predictions": coco_predictions, "truth": coco_truth}
    else:
        raise InputError(
            f'{path}: neither {{image: {{"objects": [...], "relations": [...]}}}} nor COCO-style with `annotations`'
        )
    return readers[side](content, path)
