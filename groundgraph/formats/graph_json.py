"""Graphs as JSON, in and out: what `groundgraph predict` writes and a person can write by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groundgraph.data.files import atomic_write, open_text
from groundgraph.data.ids import whole_number
from groundgraph.data.numbers import shortest
from groundgraph.data.types import Graph, GroundTruth
from groundgraph.data.vocabulary import Vocabularies, Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats.annotated import best_relations
from groundgraph.formats.entries import field, items, number, numbers, shortened
from groundgraph.formats.entries import name as name_of
from groundgraph.formats.sides import NamedPredictions, NamedTruth, triplet_predictions

DetectedObject = tuple[str, list[float], float]  # category, box, score


def is_graph_json(content: Any) -> bool:
    """Whether JSON is of the form that `graph_json_truth` and `graph_json_predictions` read."""
    graphs, _ = _opened(content)
    return isinstance(graphs, Mapping) and any(isinstance(g, Mapping) and "objects" in g for g in graphs.values())


def graph_json_predictions(content: Any, path: Path) -> NamedPredictions:
    """Predicted graphs as JSON, as `groundgraph predict` writes them.

    {image: {"objects": [{"category", "box", "score"}], "relations": [{"subject", "predicate", "object", "score"}]}}:
    box is [x1, y1, x2, y2] in pixels; subject and object are places in `objects`; relations rank by `score`, which is
    the whole triplet's. {"categories": [name, ...], "predicates": [name, ...], "graphs": {image: graph}} lists the
    vocabularies too.

    Raises:
        InputError: Anything missing; names file, image and entry.
    """
    graphs, declared = _read(content, path, scored=True)
    occurring: tuple[dict[str, str], dict[str, str]] = {}, {}  # name -> the first image that it is in
    for image, graph in graphs.items():
        for name, *_ in graph.objects:
            occurring[0].setdefault(name, image)
        for _, name, *_ in graph.relations:
            occurring[1].setdefault(name, image)
    vocabularies = declared or (tuple(occurring[0]), tuple(occurring[1]))
    for names, vocabulary, what in zip(occurring, map(set, vocabularies), ("categories", "predicates"), strict=True):
        for name, image in names.items():
            if name not in vocabulary:
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
    return NamedPredictions(arrays, list(graphs), None, vocabularies, listed=declared is not None)


def graph_json_truth(content: Any, path: Path) -> NamedTruth:
    """True graphs as JSON of the same form as predicted ones; scores are not needed. Raises InputError likewise."""
    graphs, declared = _read(content, path, scored=False)
    truths = [
        GroundTruth(g.boxes, tuple(name for name, _, _ in g.objects), tuple((s, p, o) for s, p, o, _ in g.relations))
        for g in graphs.values()
    ]
    return NamedTruth(truths, list(graphs), None, declared)


def graph_json_objects(content: Any, path: Path) -> tuple[dict[str, list[DetectedObject]], tuple[str, ...]]:
    """The objects of each image of such JSON, and the categories: as listed, else those that occur.

    Raises:
        InputError: As `graph_json_predictions`.
    """
    graphs, declared = _read(content, path, scored=True)
    occurring = dict.fromkeys(name for graph in graphs.values() for name, *_ in graph.objects)
    categories = declared[0] if declared else tuple(occurring)
    if unlisted := next((name for name in occurring if name not in set(categories)), None):
        raise InputError(f'{path}: {unlisted!r} is not among the file\'s "categories"; list it there')
    return {image: graph.objects for image, graph in graphs.items()}, categories


class _Graph(NamedTuple):
    """Objects are (category, box, score), relations (subject, predicate, object, score)."""

    objects: list[DetectedObject]
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
    opened, declared = _opened(content)
    graphs = {image: _graph(graph, f"{path}, image {image!r}", scored) for image, graph in opened.items()}
    if not declared:
        return graphs, None
    if not all(isinstance(declared.get(part), list) for part in ("categories", "predicates")):
        raise InputError(f'{path}: give both "categories" and "predicates" as lists of names, or neither')
    try:
        categories, predicates = (
            Vocabulary(tuple(map(name_of, declared[part]))).names for part in ("categories", "predicates")
        )
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    return graphs, (categories, predicates)


def _graph(graph: Any, where: str, scored: bool) -> _Graph:
    if not isinstance(graph, Mapping) or "objects" not in graph:
        raise InputError(f'{where}: has no list "objects"; give {{"objects": [...], "relations": [...]}}')
    result = _Graph([], [])
    for part, entries, read in (("objects", result.objects, _object), ("relations", result.relations, _relation)):
        try:
            values = items(graph, part)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        for i, entry in enumerate(values):
            try:
                entries.append(
                    (*read(entry, len(result.objects)), number(field(entry, "score"), "score") if scored else 1.0)
                )
            except InputError as error:
                raise InputError(f"{where}, {part[:-1]} {i}: {error}") from error
    return result


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


def graph_record(graph: Graph, vocabularies: Vocabularies) -> dict[str, list[dict[str, Any]]]:
    """A graph whole, as JSON.

    {"objects": [{"category", "score", "box": [x1, y1, x2, y2] in pixels}] in the graph's order,
    "relations": [{"subject", "predicate", "object", "score"}] best first}:
    subject and object are places in "objects". A pair has one relation, its best predicate; its score is that of
    `Graph.relation_scores`, as the evaluation ranks.
    """
    categories, predicates = vocabularies
    numbers = zip(np.asarray(graph.labels).tolist(), shortest(graph.scores), shortest(graph.boxes), strict=True)
    objects = [{"category": categories[label - 1], "score": score, "box": box} for label, score, box in numbers]
    rows, values = best_relations(graph)
    relations = [
        {"subject": subject, "predicate": predicates[predicate - 1], "object": object_, "score": score}
        for (subject, object_, predicate), score in zip(rows.tolist(), shortest(values), strict=True)
    ]
    return {"objects": objects, "relations": relations}


def write_graph_json(
    path: str | Path, graphs: Iterable[tuple[str, Graph]], vocabularies: Vocabularies
) -> dict[str, int]:
    """Write graphs as JSON that `groundgraph evaluate` reads, an image at a time; gives counts.

    {"categories": [...], "predicates": [...], "graphs": {image: graph_record}}
    """
    counts: dict[str, int] = {}
    with atomic_write(Path(path)) as temporary, open_text(temporary) as file:
        header = dict(zip(("categories", "predicates"), map(list, vocabularies), strict=True))
        file.write(json.dumps(header, ensure_ascii=False)[:-1] + ', "graphs": {')
        for name, graph in counted_images(graphs, path, counts):
            record = graph_record(graph, vocabularies)
            comma = ",\n" if counts["images"] > 1 else "\n"
            file.write(f"{comma}{json.dumps(name, ensure_ascii=False)}: {json.dumps(record, ensure_ascii=False)}")
            counts["objects"] += len(record["objects"])
            counts["relations"] += len(record["relations"])
        file.write("}}\n")
    return counts


def counted_images(
    graphs: Iterable[tuple[str, Graph]], path: str | Path, counts: dict[str, int]
) -> Iterator[tuple[str, Graph]]:
    """Graphs as they come, counted in "images", "objects" and "relations".

    Raises:
        InputError: There is none, or an image comes twice; names the file to write.
    """
    counts.update(images=0, objects=0, relations=0)
    names: set[str] = set()
    for name, graph in graphs:
        name = str(name)
        if name in names:
            raise InputError(f"{path}: the image {name!r} comes twice; give each image once")
        names.add(name)
        counts["images"] += 1
        yield name, graph
    if not names:
        raise InputError(f"{path}: no image to export; finish the run first")
