"""This package's own graphs: a run's graphs.safetensors and examples, and JSON such as `groundgraph predict` writes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.records import example_of, read_lines
from groundgraph.data.store import Ragged
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import prediction_arrays
from groundgraph.evaluation.formats.sides import NamedPredictions, NamedTruth, Vocabularies, triplet_predictions

_FIELDS = ("boxes", "labels", "scores", "pairs", "predicate_scores")


def read_run_graphs(path: Path) -> NamedPredictions:
    """The graphs that a run's model found, RUN/sgg-METHOD/graphs.safetensors; config.json beside it has the names.

    Raises InputError naming the file where either is missing or damaged.
    """
    store, config = Ragged(path), path.with_name("config.json")
    missing = set(_FIELDS) - set(store.columns)
    if missing:
        raise InputError(f"{path}: holds no graphs (without {', '.join(sorted(missing))}); give a graphs.safetensors")
    try:
        names = json.loads(config.read_text(encoding="utf-8"))["extra"]
        vocabularies = tuple(names["categories"]), tuple(names["predicates"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config}: does not name the graphs' categories and predicates ({error!r})") from error
    graphs = []
    for row in map(store.__getitem__, store):
        boxes, labels, scores, pairs, table = (row[field] for field in _FIELDS)
        table = table.reshape(-1, 1 + len(vocabularies[1]))
        graphs.append(Graph(boxes.reshape(-1, 4), labels, scores, pairs.reshape(-1, 2), table))
    if any(g.labels.max(initial=0) > len(vocabularies[0]) for g in graphs):
        raise InputError(f"{path}: a label is larger than the {len(vocabularies[0])} categories of {config}")
    return NamedPredictions(prediction_arrays(graphs), store.ids, store.ids, vocabularies)


def run_truth(path: Path) -> Path:
    """The file of a run's examples that its graphs `path` are of. Raises InputError where the run has none such."""
    ids, folder = set(Ragged(path).ids), path.parent.parent / "examples"
    for file in sorted(folder.glob("*.jsonl")):
        if {str(record["id"]) for record in read_lines(file)} == ids:
            return file
    raise InputError(f"{folder} has no file of the images in {path}; give the ground truth as second argument")


def read_examples(path: Path) -> NamedTruth:
    """The ground truth of a run's examples, RUN/examples/SPLIT.jsonl; examples without any are left out.

    Raises InputError naming the file where it is no such file or has no ground truth.
    """
    try:
        examples = [example_of(record, path.parent.parent) for record in read_lines(path)]
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not a run's examples ({error!r}); give RUN/examples/SPLIT.jsonl") from error
    known = [e for e in examples if e.truth is not None]
    if not known:
        raise InputError(f"{path}: no image has ground truth")
    return NamedTruth([e.truth for e in known], [e.image_id for e in known], [e.path for e in known])


def is_graph_json(content: Any) -> bool:
    """Whether JSON is of the form that `graph_json_truth` and `graph_json_predictions` read."""
    graphs, _ = _opened(content)
    return isinstance(graphs, Mapping) and all(isinstance(g, Mapping) and "objects" in g for g in graphs.values())


def graph_json_predictions(content: Any, path: Path) -> NamedPredictions:
    """Predicted graphs as JSON: {image: {"objects": [{"category", "box", "score"}], "relations": [{"subject",
    "predicate", "object", "score"}]}}, what `groundgraph predict` writes.

    box is [x1, y1, x2, y2] in pixels; subject and object are places in `objects`; relations rank by `score`, which is
    the whole triplet's. {"categories": [name, ...], "predicates": [name, ...], "graphs": {image: graph}} lists the
    vocabularies too. Raises InputError, naming file, image and entry, on anything missing.
    """
    graphs, listed = _opened(content)
    vocabularies = _vocabularies(listed, path)
    if vocabularies is None:
        names = {name: {e[name]: None for g in graphs.values() for e in g.get(part, ()) if isinstance(e, Mapping)
                        and isinstance(e.get(name), str)}
                 for part, name in (("objects", "category"), ("relations", "predicate"))}  # fmt: skip
        vocabularies = tuple(names["category"]), tuple(names["predicate"])
    numbers = [{name: i + 1 for i, name in enumerate(part)} for part in vocabularies]
    boxes, labels, scores, relations, relation_scores = [], [], [], [], []
    for image, graph in graphs.items():
        where = f"{path}, image {image!r}"
        objects, triplets = _entries(graph, where, scored=True)
        boxes.append(np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4))
        labels.append([_number(name, numbers[0], where, "categories") for name, _, _ in objects])
        scores.append([score for _, _, score in objects])
        relations.append([(s, o, _number(name, numbers[1], where, "predicates")) for s, name, o, _ in triplets])
        relation_scores.append([score for *_, score in triplets])
    arrays = triplet_predictions(boxes, labels, scores, relations, relation_scores, len(vocabularies[1]))
    return NamedPredictions(arrays, list(graphs), list(graphs), vocabularies, listed=bool(listed))


def graph_json_truth(content: Any, path: Path) -> NamedTruth:
    """True graphs as JSON of the same form as predicted ones; scores are not needed. Raises InputError likewise."""
    graphs, listed = _opened(content)
    truths = []
    for image, graph in graphs.items():
        objects, triplets = _entries(graph, f"{path}, image {image!r}", scored=False)
        boxes = np.array([box for _, box, _ in objects], np.float32).reshape(-1, 4)
        names = tuple(name for name, _, _ in objects)
        truths.append(GroundTruth(boxes, names, tuple((s, name, o) for s, name, o, _ in triplets)))
    return NamedTruth(truths, list(graphs), list(graphs), _vocabularies(listed, path))


def _opened(content: Any) -> tuple[Any, Mapping[str, Any]]:
    """(image -> graph, the lists around it)."""
    inner = content.get("graphs") if isinstance(content, Mapping) else None
    if isinstance(inner, Mapping) and "objects" not in inner:
        return inner, {k: content[k] for k in ("categories", "predicates") if k in content}
    return content, {}


def _vocabularies(listed: Mapping[str, Any], path: Path) -> Vocabularies | None:
    if not listed:
        return None
    for name in ("categories", "predicates"):
        names = listed.get(name)
        if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
            raise InputError(f'{path}: give both "categories" and "predicates" as lists of names, or neither')
    try:
        return Vocabulary(tuple(listed["categories"])).names, Vocabulary(tuple(listed["predicates"])).names
    except ValueError as error:
        raise InputError(f"{path}: {error}") from error


def _number(name: str, numbers: Mapping[str, int], where: str, what: str) -> int:
    if name not in numbers:
        raise InputError(f'{where}: {name!r} is not among the file\'s "{what}"; list it there')
    return numbers[name]


def _entries(
    graph: Mapping[str, Any], where: str, scored: bool
) -> tuple[list[tuple[str, list[float], float]], list[tuple[int, str, int, float]]]:
    """A graph's objects (category, box, score) and relations (subject, predicate, object, score)."""
    objects, relations = [], []
    for i, entry in enumerate(graph["objects"]):
        try:
            box = [float(v) for v in entry["box"]]
            if len(box) != 4 or not np.isfinite(box).all():
                raise InputError(f"the box {entry['box']} is not [x1, y1, x2, y2]")
            objects.append((str(entry["category"]), box, float(entry["score"]) if scored else 1.0))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}, object {i}: {_why(error)}") from error
    for i, entry in enumerate(graph.get("relations", ())):
        try:
            ends = entry["subject"], entry["object"]
            if not all(isinstance(e, int) and 0 <= e < len(objects) for e in ends):
                raise InputError(f"subject and object {list(ends)} must be places among the {len(objects)} objects")
            relations.append((ends[0], str(entry["predicate"]), ends[1], float(entry["score"]) if scored else 1.0))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}, relation {i}: {_why(error)}") from error
    return objects, relations


def _why(error: Exception) -> str:
    return f'has no "{error.args[0]}"' if isinstance(error, KeyError) else str(error)
