"""Graphs as JSON: which of the forms a file has."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.text import read_json
from groundgraph.errors import InputError
from groundgraph.formats.coco import coco_predictions, coco_truth
from groundgraph.formats.graph_json import graph_json_predictions, graph_json_truth, is_graph_json
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Side
from groundgraph.formats.vrd import is_vrd, vrd_truth


def read_json_graphs(path: Path, side: Side) -> NamedPredictions | NamedTruth:
    """Graphs as `groundgraph predict` writes them, COCO-style with `predicates` and `relations`, or VRD's annotations.

    Args:
        path: The file.
        side: What its graphs are.

    Raises:
        InputError: The file has neither form; names it, and the entry that is wrong.
    """
    content = read_json(path, f"a JSON file of {side}")
    if is_graph_json(content):
        return (graph_json_predictions if side == "predictions" else graph_json_truth)(content, path)
    if isinstance(content, dict) and "annotations" in content:
        return (coco_predictions if side == "predictions" else coco_truth)(content, path)
    if is_vrd(content):
        if side == "predictions":
            raise InputError(f"{path}: VRD's annotations, which are ground truth; give predictions first")
        return vrd_truth(content, path)
    raise InputError(
        f'{path}: neither {{image: {{"objects": [...], "relations": [...]}}}} nor COCO-style with `annotations` nor '
        "VRD's annotations"
    )
