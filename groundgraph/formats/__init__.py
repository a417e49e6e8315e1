"""Every foreign format, in and out: one file a format, and the one safe unpickler.

A new format is a file and a line for each way it goes. Here too: predicted and true graphs from files, whoever wrote
them.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from groundgraph.errors import InputError
from groundgraph.formats.frames import box_notes
from groundgraph.formats.run_folder import run_truth
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Numbered, Side, Sides, numbered, together
from groundgraph.registry import lookup

# How a file of graphs ends -> who reads it, (path, side) -> Numbered, NamedPredictions or NamedTruth; the first line of
# a reader's docstring says of what.
READERS = {
    ".npz": "groundgraph.formats.npz:read_npz",
    ".pytorch": "groundgraph.formats.scene_graph_benchmark:read_eval_results",
    ".pth": "groundgraph.formats.scene_graph_benchmark:read_eval_results",
    ".pt": "groundgraph.formats.scene_graph_benchmark:read_eval_results",
    ".safetensors": "groundgraph.formats.run_folder:read_run_graphs",
    ".jsonl": "groundgraph.formats.run_folder:read_examples",
    ".json": "groundgraph.formats.json_graphs:read_json_graphs",
    ".mat": "groundgraph.formats.vrd_mat:read_vrd_mat",
}
# Who writes predicted graphs, (path, (image id, Graph) of each image, vocabularies) -> counts; annotations, (path,
# AnnotatedImages, vocabularies) -> counts; and pseudo labels with all that is known of them, (path, lines) -> counts.
GRAPH_WRITERS = {
    "json": "groundgraph.formats.graph_json:write_graph_json",
    "graphml": "groundgraph.formats.graphml:write_graphml",
    "networkx": "groundgraph.formats.graphml:write_networkx",
}
ANNOTATION_WRITERS = {
    "vg150": "groundgraph.formats.vg150:write_vg150",
    "coco": "groundgraph.formats.coco:write_coco",
    "fiftyone": "groundgraph.formats.fiftyone:write_fiftyone",
    "rdf": "groundgraph.formats.rdf:write_rdf",
    "neo4j": "groundgraph.formats.neo4j:write_neo4j",
    "jsonl": "groundgraph.formats.graph_lines:write_graph_lines",
    "coco-relations": "groundgraph.formats.coco_relations:write_coco_relations",
    "label-studio": "groundgraph.formats.label_studio:write_label_studio",
}
PSEUDO_LABEL_WRITERS = {"jsonl": "groundgraph.formats.pseudo_jsonl:write_pseudo_lines"}
# Of predictions, all that have room for scores.
PREDICTION_WRITERS = GRAPH_WRITERS | {form: w for form, w in ANNOTATION_WRITERS.items() if form != "vg150"}
# What `groundgraph predict` calls a format's file; a format that has none here is a folder.
FILE_NAMES = {
    "json": "graphs.all.json",
    "networkx": "graphs.networkx.jsonl",
    "coco": "graphs.coco.json",
    "rdf": "graphs.nt",
    "jsonl": "graphs.jsonl",
    "coco-relations": "graphs.coco-relations.json",
    "label-studio": "graphs.label-studio.json",
}


def read_sides(predictions: str | Path, truth: str | Path | None = None) -> Sides:
    """Predictions and ground truth from one file that holds both, or from two.

    Args:
        predictions: A file of one of the formats in READERS, whose functions' docstrings describe them.
        truth: The file of the ground truth; None: it is in the same file, or that run's.

    Raises:
        InputError: A file cannot be read, a side is missing, or the two do not belong together; names file and fix.
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
    suffix = path.suffix.lower()
    if path.is_file() and suffix in READERS:
        graphs: Numbered | NamedPredictions | NamedTruth = lookup(READERS, suffix, "reader")(path, side)
        return graphs
    readers = {ending: lookup(READERS, ending, "reader") for ending in READERS}
    formats = "\n".join(f"{ending:<14}{(reader.__doc__ or '').splitlines()[0]}" for ending, reader in readers.items())
    if path.is_file():
        raise InputError(f"{path}: {side} are not read from {suffix or 'such'} files; give one of\n{formats}")
    why = "a folder, no file" if path.is_dir() else "no such file"
    raise InputError(f"{path.absolute()}: {why}; give one of\n{formats}")
