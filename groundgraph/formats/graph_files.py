"""This package's own graphs: a run's graphs.safetensors and examples, and JSON such as `groundgraph predict` writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.ids import whole_number
from groundgraph.data.records import example_of, read_lines
from groundgraph.data.store import Ragged
from groundgraph.data.text import read_json
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.evaluation.arrays import prediction_arrays
from groundgraph.formats.entries import field, items, number, numbers, shortened
from groundgraph.formats.entries import name as name_of
from groundgraph.formats.sides import NamedPredictions, NamedTruth, Vocabularies, triplet_predictions

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
        names = read_json(config, "the run's own")["extra"]
        vocabularies = tuple(tuple(map(name_of, names[part])) for part in ("categories", "predicates"))
        for part in vocabularies:
            Vocabulary(part)
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{config}: does not name the graphs' categories and predicates ({error!r})") from error
    graphs = []
    for image in store:
        boxes, labels, scores, pairs, table = (store[image][field] for field in _FIELDS)
        width = 1 + len(vocabularies[1])
        if boxes.size != 4 * len(labels) or pairs.size % 2 or table.size != width * (pairs.size // 2):
            raise InputError(
                f"{path}, image {image!r}: {boxes.shape} boxes, {labels.shape} labels, {pairs.shape} pairs and "
                f"{table.shape} scores do not fit each other and the {width - 1} predicates of {config}"
            )
        graphs.append(Graph(boxes.reshape(-1, 4), labels, scores, pairs.reshape(-1, 2), table.reshape(-1, width)))
    if any(g.labels.max(initial=0) > len(vocabularies[0]) for g in graphs):
        raise InputError(f"{path}: a label is larger than the {len(vocabularies[0])} categories of {config}")
    return NamedPredictions(prediction_arrays(graphs), store.ids, None, vocabularies)


def run_truth(path: Path) -> Path:
    """The file of a run's examples that its graphs `path` are of. Raises InputError where the run has none such."""
    ids, folder = set(Ragged(path).ids), path.parent.parent / "examples"
    for file in sorted(folder.glob("*.jsonl")):
        if {str(record.get("id")) for record in read_lines(file)} == ids:
            return file
    raise InputError(f"{folder} has no file of the images in {path}; give the ground truth as second argument")


def read_examples(path: Path) -> NamedTruth:
    """The ground truth of a run's examples, RUN/examples/SPLIT.jsonl; examples without any are left out.

    Raises InputError naming the file where it is no such file or has no ground truth.
    """
    try:
        known = [e for record in read_lines(path) if (e := example_of(record, path.parent.parent)).truth is not None]
        for truth in (e.truth for e in known):
            ends = [end for subject, _, object_ in truth.relations for end in (subject, object_)]
            if len(truth.boxes) != len(truth.labels) or not all(0 <= end < len(truth.labels) for end in ends):
                raise ValueError("boxes, labels and relations do not fit each other")
    except InputError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: not a run's examples ({error!r}); give RUN/examples/SPLIT.jsonl") from error
    if not known:
        raise InputError(f"{path}: no image has ground truth")
    return NamedTruth([e.truth for e in known], [str(e.image_id) for e in known], [e.path for e in known])


def is_graph_json(content: Any) -> bool:
    """Whether JSON is of the form that `graph_json_truth` and `graph_json_predictions` read."""
    graphs, _ = _opened(content)
    return isinstance(graphs, Mapping) and any(isinstance(g, Mapping) and "objects" in g for g in graphs.values())


def graph_json_predictions(content: Any, path: Path) -> NamedPredictions:
    """Predicted graphs as JSON: {image: {"objects": [{"category", "box", "score"}], "relations": [{"subject",
    "predicate", "object", "score"}]}}, what `groundgraph predict` writes.

    box is [x1, y1, x2, y2] in pixels; subject and object are places in `objects`; relations rank by `score`, which is
    the whole triplet's. {"categories": [name, ...], "predicates": [name, ...], "graphs": {image: graph}} lists the
    vocabularies too. Raises InputError, naming file, image and entry, on anything missing.
    """
    graphs, listed = _read(content, path, scored=True)
    occurring: tuple[dict[str, str], dict[str, str]] = {}, {}  # name -> the first image that it is in
    for image, graph in graphs.items():
        for name, *_ in graph.objects:
            occurring[0].setdefault(name, image)
        for _, name, *_ in graph.relations:
            occurring[1].setdefault(name, image)
    vocabularies = listed or (tuple(occurring[0]), tuple(occurring[1]))
    for names, known, what in zip(occurring, map(set, vocabularies), ("categories", "predicates"), strict=True):
        for name, image in names.items():
            if name not in known:
                raise InputError(f'{path}, image {image!r}: {name!r} is not among the file\'s "{what}"; list it there')
    category, predicate = ({name: i + 1 for i, name in enumerate(part)} for part in vocabularies)
    arrays = triplet_predictions(
        [g.boxes for g in graphs.values()],
        [[category[name] for name, _, _ in g.objects] for g in graphs.values()],
        [[score for _, _, score in g.objects] for g in graphs.values()],
        [[(s, o, predicate[name]) for s, name, o, _ in g.relations] for g in graphs.values()],
        [[score for *_, score in g.relations] for g in graphs.values()],
        len(vocabularies[1]),
    )
    return NamedPredictions(arrays, list(graphs), None, vocabularies, listed=listed is not None)


def graph_json_truth(content: Any, path: Path) -> NamedTruth:
    """True graphs as JSON of the same form as predicted ones; scores are not needed. Raises InputError likewise."""
    graphs, listed = _read(content, path, scored=False)
    truths = [
        GroundTruth(g.boxes, tuple(name for name, _, _ in g.objects), tuple((s, p, o) for s, p, o, _ in g.relations))
        for g in graphs.values()
    ]
    return NamedTruth(truths, list(graphs), None, listed)


class _Graph(NamedTuple):
    """Objects are (category, box, score), relations (subject, predicate, object, score)."""

    objects: list[tuple[str, list[float], float]]
    relations: list[tuple[int, str, int, float]]

    @property
    def boxes(self) -> np.ndarray:
        return np.array([box for _, box, _ in self.objects], np.float32).reshape(-1, 4)


def _opened(content: Any) -> tuple[Any, Mapping[str, Any]]:
    """(image -> graph, the lists around it)."""
    inner = content.get("graphs") if isinstance(content, Mapping) else None
    if isinstance(inner, Mapping) and "objects" not in inner:
        return inner, {k: content[k] for k in ("categories", "predicates") if k in content}
    return content, {}


def _read(content: Any, path: Path, scored: bool) -> tuple[dict[str, _Graph], Vocabularies | None]:
    """(image -> graph, the vocabularies if the file lists them)."""
    opened, listed = _opened(content)
    graphs = {image: _graph(graph, f"{path}, image {image!r}", scored) for image, graph in opened.items()}
    if not listed:
        return graphs, None
    if not all(isinstance(listed.get(part), list) for part in ("categories", "predicates")):
        raise InputError(f'{path}: give both "categories" and "predicates" as lists of names, or neither')
    try:
        categories, predicates = (
            Vocabulary(tuple(map(name_of, listed[part]))).names for part in ("categories", "predicates")
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return graphs, (categories, predicates)


def _graph(graph: Any, where: str, scored: bool) -> _Graph:
    if not isinstance(graph, Mapping) or "objects" not in graph:
        raise InputError(f'{where}: has no list "objects"; give {{"objects": [...], "relations": [...]}}')
    made = _Graph([], [])
    for part, entries, read in (("objects", made.objects, _object), ("relations", made.relations, _relation)):
        try:
            listed = items(graph, part)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        for i, entry in enumerate(listed):
            try:
                entries.append(
                    (*read(entry, len(made.objects)), number(field(entry, "score"), "score") if scored else 1.0)
                )
            except InputError as error:
                raise InputError(f"{where}, {part[:-1]} {i}: {error}") from error
    return made


def _object(entry: Any, _: int) -> tuple[str, list[float]]:
    return name_of(field(entry, "category")), numbers(field(entry, "box"), "[x1, y1, x2, y2]")


def _relation(entry: Any, objects: int) -> tuple[int, str, int]:
    ends = [field(entry, key) for key in ("subject", "object")]
    subject, object_ = ends = [end if type(end) is int else whole_number(end) for end in ends]
    if not all(end is not None and 0 <= end < objects for end in ends):
        raise InputError(
            f"subject and object {shortened([entry['subject'], entry['object']])} must be places among the {objects} "
            "objects"
        )
    return subject, name_of(field(entry, "predicate")), object_
