"""Predicted graphs for networkx and for what reads GraphML (Gephi, yEd, Cytoscape)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from groundgraph.data.files import atomic_write, open_text
from groundgraph.data.text import plain
from groundgraph.data.types import Graph
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.formats.graph_json import counted_images, graph_record

if TYPE_CHECKING:
    import networkx


def to_networkx(name: str, graph: Graph, vocabularies: Vocabularies) -> networkx.MultiDiGraph:
    """A graph for networkx.

    Nodes 0.. are objects with category, score and x1, y1, x2, y2 in pixels; an edge from subject to object has
    predicate and score. `graph.graph["image"]` is the image's id.
    """
    import networkx

    record = graph_record(graph, vocabularies)
    converted = networkx.MultiDiGraph(image=name)
    for i, entry in enumerate(record["objects"]):
        corners = dict(zip(("x1", "y1", "x2", "y2"), entry["box"], strict=True))
        converted.add_node(i, category=entry["category"], score=entry["score"], **corners)
    for entry in record["relations"]:
        converted.add_edge(entry["subject"], entry["object"], predicate=entry["predicate"], score=entry["score"])
    return converted


def write_graphml(
    folder: str | Path, graphs: Iterable[tuple[str, Graph]], vocabularies: Vocabularies
) -> dict[str, int]:
    """Write FOLDER/ID.graphml for each image (Gephi, yEd, Cytoscape, networkx.read_graphml), of `to_networkx`'s form.

    An id's characters that a file name may not have are percent-encoded; characters that XML may not have are left out
    of names.

    Returns:
        Counts.
    """
    import networkx

    counts: dict[str, int] = {}
    for converted in _converted(graphs, folder, vocabularies, counts):
        name = quote(converted.graph["image"], safe=" ", errors="surrogatepass")
        _clean(converted)
        with atomic_write(Path(folder) / f"{name}.graphml", sync=False) as temporary:
            networkx.write_graphml_xml(converted, str(temporary), infer_numeric_types=True)
    return counts


def write_networkx(path: str | Path, graphs: Iterable[tuple[str, Graph]], vocabularies: Vocabularies) -> dict[str, int]:
    """Write networkx's node-link form, a line an image: `networkx.node_link_graph(json.loads(line), edges="edges")`.

    Returns:
        Counts.
    """
    import networkx

    counts: dict[str, int] = {}
    with atomic_write(Path(path)) as temporary, open_text(temporary) as file:
        for converted in _converted(graphs, path, vocabularies, counts):
            file.write(json.dumps(networkx.node_link_data(converted, edges="edges"), ensure_ascii=False) + "\n")
    return counts


def _clean(converted: networkx.MultiDiGraph) -> None:
    """Leave out of a graph's names what no XML file may hold: control characters, and what stands for no character."""
    for holder in (
        converted.graph,
        *(d for _, d in converted.nodes(data=True)),
        *(d for *_, d in converted.edges(data=True)),
    ):
        for key in holder.keys() & {"image", "category", "predicate"}:
            holder[key] = plain(holder[key]).translate({0xFFFE: "?", 0xFFFF: "?"})


def _converted(
    graphs: Iterable[tuple[str, Graph]], path: str | Path, vocabularies: Vocabularies, counts: dict[str, int]
) -> Iterator[networkx.MultiDiGraph]:
    for name, graph in counted_images(graphs, path, counts):
        converted = to_networkx(name, graph, vocabularies)
        counts["objects"] += converted.number_of_nodes()
        counts["relations"] += converted.number_of_edges()
        yield converted
