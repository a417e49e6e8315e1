"""Predicted scene graphs as JSON, GraphML, and networkx graphs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from groundgraph.data.files import UTF8, atomic_write
from groundgraph.data.numbers import shortest
from groundgraph.data.text import plain
from groundgraph.data.types import Graph
from groundgraph.errors import InputError
from groundgraph.formats.labels import Vocabularies

if TYPE_CHECKING:
    import networkx

Named = Iterable[tuple[str, Graph]]  # image ids with their graphs


def graph_record(graph: Graph, vocabularies: Vocabularies) -> dict[str, list[dict[str, Any]]]:
    """A graph whole: {"objects": [{"category", "score", "box": [x1, y1, x2, y2] in pixels}] in the graph's order,
    "relations": [{"subject", "predicate", "object", "score"}] best first}.

    subject and object are places in "objects". A pair has one relation, its best predicate; its score is subject score
    x predicate score x object score, as the evaluation ranks.
    """
    categories, predicates = vocabularies
    numbers = zip(np.asarray(graph.labels).tolist(), shortest(graph.scores), shortest(graph.boxes), strict=True)
    objects = [{"category": categories[label - 1], "score": score, "box": box} for label, score, box in numbers]
    pairs, table = np.asarray(graph.pairs).reshape(-1, 2), np.asarray(graph.predicate_scores)[:, 1:]
    if not table.size:
        return {"objects": objects, "relations": []}
    best, values = table.argmax(1), np.asarray(graph.scores)[pairs].prod(1) * table.max(1)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] > -np.inf]  # a pair may have no predicate that is predicted
    rows = zip(pairs[order].tolist(), best[order].tolist(), shortest(values[order]), strict=True)
    relations = [{"subject": s, "predicate": predicates[p], "object": o, "score": v} for (s, o), p, v in rows]
    return {"objects": objects, "relations": relations}


def write_graph_json(path: str | Path, graphs: Named, vocabularies: Vocabularies) -> dict[str, int]:
    """Write {"categories": [...], "predicates": [...], "graphs": {image: graph_record}}, which `groundgraph evaluate`
    reads; an image at a time. Gives counts."""
    counts = {"images": 0, "objects": 0, "relations": 0}
    with atomic_write(Path(path)) as temporary, temporary.open("w", **UTF8) as file:
        listed = dict(zip(("categories", "predicates"), map(list, vocabularies), strict=True))
        file.write(json.dumps(listed, ensure_ascii=False)[:-1] + ', "graphs": {')
        for name, graph in _each(graphs, path):
            record = graph_record(graph, vocabularies)
            comma = ",\n" if counts["images"] else "\n"
            file.write(f"{comma}{json.dumps(name, ensure_ascii=False)}: {json.dumps(record, ensure_ascii=False)}")
            _count(counts, len(record["objects"]), len(record["relations"]))
        file.write("}}\n")
    return counts


def to_networkx(name: str, graph: Graph, vocabularies: Vocabularies) -> networkx.MultiDiGraph:
    """A graph for networkx: nodes 0.. are objects with category, score and x1, y1, x2, y2 in pixels; an edge from
    subject to object has predicate and score. `graph.graph["image"]` is the image's id."""
    import networkx

    record = graph_record(graph, vocabularies)
    made = networkx.MultiDiGraph(image=name)
    for i, entry in enumerate(record["objects"]):
        corners = dict(zip(("x1", "y1", "x2", "y2"), entry["box"], strict=True))
        made.add_node(i, category=entry["category"], score=entry["score"], **corners)
    for entry in record["relations"]:
        made.add_edge(entry["subject"], entry["object"], predicate=entry["predicate"], score=entry["score"])
    return made


def write_graphml(folder: str | Path, graphs: Named, vocabularies: Vocabularies) -> dict[str, int]:
    """Write FOLDER/ID.graphml for each image (Gephi, yEd, Cytoscape, networkx.read_graphml), of `to_networkx`'s form.

    An id's characters that a file name may not have are percent-encoded; characters that XML may not have are left out
    of names. Gives counts.
    """
    import networkx

    counts = {"images": 0, "objects": 0, "relations": 0}
    for made in _made(_each(graphs, folder), vocabularies, counts):
        name = quote(made.graph["image"], safe=" ", errors="surrogatepass")
        _clean(made)
        with atomic_write(Path(folder) / f"{name}.graphml", sync=False) as temporary:
            networkx.write_graphml_xml(made, str(temporary), infer_numeric_types=True)
    return counts


def write_networkx(path: str | Path, graphs: Named, vocabularies: Vocabularies) -> dict[str, int]:
    """Write networkx's node-link form, a line an image: `networkx.node_link_graph(json.loads(line), edges="edges")`.

    Gives counts.
    """
    import networkx

    counts = {"images": 0, "objects": 0, "relations": 0}
    with atomic_write(Path(path)) as temporary, temporary.open("w", **UTF8) as file:
        for made in _made(_each(graphs, path), vocabularies, counts):
            file.write(json.dumps(networkx.node_link_data(made, edges="edges"), ensure_ascii=False) + "\n")
    return counts


def _each(graphs: Named, path: str | Path) -> Iterator[tuple[str, Graph]]:
    """The images, each once. Raises InputError, naming the file to write, for none, or for one that comes twice."""
    names: set[str] = set()
    for name, graph in graphs:
        name = str(name)
        if name in names:
            raise InputError(f"{path}: the image {name!r} comes twice; give each image once")
        names.add(name)
        yield name, graph
    if not names:
        raise InputError(f"{path}: no image to export; finish the run first")


def _clean(made: networkx.MultiDiGraph) -> None:
    """Leave out of a graph's names what no XML file may hold: control characters, and what stands for no character."""
    for holder in (made.graph, *(d for _, d in made.nodes(data=True)), *(d for *_, d in made.edges(data=True))):
        for key in holder.keys() & {"image", "category", "predicate"}:
            holder[key] = plain(holder[key]).translate({0xFFFE: "?", 0xFFFF: "?"})


def _made(graphs: Named, vocabularies: Vocabularies, counts: dict[str, int]) -> Iterator[networkx.MultiDiGraph]:
    for name, graph in graphs:
        made = to_networkx(name, graph, vocabularies)
        _count(counts, made.number_of_nodes(), made.number_of_edges())
        yield made


def _count(counts: dict[str, int], objects: int, relations: int) -> None:
    for name, more in (("images", 1), ("objects", objects), ("relations", relations)):
        counts[name] += more
