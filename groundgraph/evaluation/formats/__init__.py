"""Reading predicted and true graphs from files, whoever wrote them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.text import read_json
from groundgraph.errors import InputError
from groundgraph.evaluation.formats.coco import coco_predictions, coco_truth
from groundgraph.evaluation.formats.graphs import (
    graph_json_predictions,
    graph_json_truth,
    is_graph_json,
    read_examples,
    read_run_graphs,
    run_truth,
)
from groundgraph.evaluation.formats.npz import load_npz, read_npz
from groundgraph.evaluation.formats.scene_graph_benchmark import load_tensors, read_eval_results
from groundgraph.evaluation.formats.sides import NamedPredictions, NamedTruth, Numbered, Sides, Vocabularies, together

_TORCH = (".pytorch", ".pth", ".pt")
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
        return together(found, true, where)
    if not (isinstance(found, Numbered) and isinstance(true, Numbered)):
        raise InputError(
            f"one of {where[0]} and {where[1]} numbers its categories and the other names them; give both sides in "
            "formats that name them (JSON, COCO-style, a run's), or both as numbers"
        )
    for side, name, file in ((found.predictions, "predictions", where[0]), (true.truth, "ground truth", where[1])):
        if side is None:
            raise InputError(f"{file}: holds no {name}; give a file that does")
    zeroshot = true.zeroshot if true.zeroshot is not None else found.zeroshot
    return Sides(found.predictions, true.truth, zeroshot)


def read_zeroshot(path: str | Path, vocabularies: Vocabularies | None = None) -> np.ndarray:
    """The triplets that training never saw: [Z, 3] int64 (subject label, object label, predicate).

    path  an npz with `zeroshot`, Scene-Graph-Benchmark's zeroshot_triplet.pytorch, or JSON: a list of [subject
          category, object category, predicate], as names (then `vocabularies` number them; a triplet with a name
          outside is left out) or as numbers
    Raises InputError, naming the file, where it is neither.
    """
    path = Path(path)
    if path.suffix in _TORCH:
        content = load_tensors(path)
        rows = content.numpy() if hasattr(content, "numpy") else None
    elif path.suffix == ".json":
        rows = read_json(path, "a JSON list of triplets")
        if isinstance(rows, list) and all(isinstance(r, list) and all(isinstance(n, str) for n in r) for r in rows):
            if vocabularies is None:
                raise InputError(f"{path}: names categories, but the predictions number them; give numbers")
            kinds = (vocabularies[0], vocabularies[0], vocabularies[1])
            place = [{name: i + 1 for i, name in enumerate(names)} for names in kinds]
            numbered = [[p.get(n, 0) for p, n in zip(place, r, strict=False)] for r in rows if len(r) == 3]
            rows = [r for r in numbered if all(r)] if len(numbered) == len(rows) else None
    else:
        rows = load_npz(path).get("zeroshot")
    try:
        array = np.asarray(rows)
        if rows is None or (array.size and (array.ndim != 2 or array.shape[1] != 3)) or array.dtype.kind not in "iuf":
            raise InputError
        return array.reshape(-1, 3).astype(np.int64)
    except (ValueError, TypeError) as error:
        raise InputError(f"{path}: holds no rows of (subject label, object label, predicate)") from error


def _read(path: Path, side: str) -> Numbered | NamedPredictions | NamedTruth:
    """What a file holds; `side` says what a named one is read as, "predictions" or "truth"."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give one of\n{FORMATS}")
    if path.suffix == ".npz":
        return read_npz(path)
    if path.suffix in _TORCH:
        return read_eval_results(path)
    if path.suffix == ".safetensors" and side == "predictions":
        return read_run_graphs(path)
    if path.suffix == ".jsonl" and side == "truth":
        return read_examples(path)
    if path.suffix != ".json":
        raise InputError(f"{path}: {side} are not read from {path.suffix or 'such'} files; give one of\n{FORMATS}")
    content = read_json(path, f"a JSON file of {side}")
    readers: dict[str, Callable[[Any, Path], NamedPredictions | NamedTruth]]
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        readers = {"predictions": coco_predictions, "truth": coco_truth}
    elif is_graph_json(content):
        readers = {"predictions": graph_json_predictions, "truth": graph_json_truth}
    else:
        raise InputError(
            f'{path}: neither {{image: {{"objects": [...], "relations": [...]}}}} nor COCO-style with `annotations`'
        )
    return readers[side](content, path)
