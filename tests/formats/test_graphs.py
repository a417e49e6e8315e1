"""Predicted graphs as JSON, GraphML and networkx: what is written is read back as it was."""

import json

import networkx
import numpy as np
import pytest
from formats_world import VOCABULARIES

from groundgraph.data.types import Graph
from groundgraph.formats.graph_json import graph_json_predictions, graph_record, write_graph_json
from groundgraph.formats.graphml import to_networkx, write_graphml, write_networkx

NAMES = ["a/../b <é>", "7"]


def graphs():
    first = Graph(
        boxes=np.array([[0.1, 0, 10, 10.3], [1, 2, 3, 4], [5, 6, 7, 8]], np.float32),
        labels=np.array([3, 1, 2]),
        scores=np.array([0.9, 0.8, 0.1], np.float32),
        pairs=np.array([[1, 0], [0, 1], [0, 1]]),
        predicate_scores=np.array([[0.1, 0.2, 0.7], [0.0, 0.9, 0.1], [0.5, 0.2, 0.3]], np.float32),
    )
    empty = Graph(*(np.zeros(s, k) for s, k in (((0, 4), "f4"), (0, int), (0, "f4"), ((0, 2), int), ((0, 3), "f4"))))
    return list(zip(NAMES, [first, empty], strict=True))


def test_a_graph_whole():
    record = graph_record(graphs()[0][1], VOCABULARIES)
    assert record["objects"][0] == {"category": "man", "score": 0.9, "box": [0.1, 0, 10, 10.3]}
    assert [o["category"] for o in record["objects"]] == ["man", "dog", "hat"]  # one without a relation too
    assert [(r["subject"], r["predicate"], r["object"]) for r in record["relations"]] == [
        (0, "has", 1), (1, "on", 0), (0, "on", 1),
    ]  # fmt: skip
    assert np.allclose([r["score"] for r in record["relations"]], [0.72 * 0.9, 0.72 * 0.7, 0.72 * 0.3])


def test_json_is_what_the_evaluation_reads(tmp_path):
    path = tmp_path / "deep" / "g.json"
    assert write_graph_json(path, graphs(), VOCABULARIES) == {"images": 2, "objects": 3, "relations": 3}
    read = graph_json_predictions(json.loads(path.read_text(encoding="utf-8")), path)
    graph = graphs()[0][1]
    assert read.images == NAMES and read.vocabularies == VOCABULARIES
    assert np.array_equal(read.arrays.boxes, graph.boxes) and np.array_equal(read.arrays.scores, graph.scores)
    assert read.arrays.labels.tolist() == graph.labels.tolist()
    assert read.arrays.pairs.tolist() == [[0, 1], [1, 0]]  # a pair listed twice is one pair with two predicates
    assert np.allclose(read.arrays.predicate_scores[:, 1:], [[0.648, 0.216], [-np.inf, 0.504]])


def same(one, two):
    return networkx.utils.graphs_equal(one, two)


def test_networkx_round_trip(tmp_path):
    path = tmp_path / "g.jsonl"
    assert write_networkx(path, graphs(), VOCABULARIES) == {"images": 2, "objects": 3, "relations": 3}
    lines = path.read_text(encoding="utf-8").splitlines()
    for line, (name, graph) in zip(lines, graphs(), strict=True):
        made = to_networkx(name, graph, VOCABULARIES)
        assert same(networkx.node_link_graph(json.loads(line), edges="edges"), made) and made.graph["image"] == name
    made = to_networkx(*graphs()[0], VOCABULARIES)
    assert made.nodes[2] == {"category": "hat", "score": 0.1, "x1": 5, "y1": 6, "x2": 7, "y2": 8}
    assert {d["predicate"] for d in made.get_edge_data(0, 1).values()} == {"has", "on"}


def test_graphml_round_trip(tmp_path):
    assert write_graphml(tmp_path / "g", graphs(), VOCABULARIES)["relations"] == 3
    files = sorted(p.name for p in (tmp_path / "g").iterdir())
    assert files == ["7.graphml", "a%2F..%2Fb %3C%C3%A9%3E.graphml"]
    for name, graph in graphs():
        file = tmp_path / "g" / files[NAMES[::-1].index(name)]
        read = networkx.read_graphml(file, node_type=int, force_multigraph=True)
        made = to_networkx(name, graph, VOCABULARIES)
        for key in ("node_default", "edge_default"):  # networkx's own, empty
            assert read.graph.pop(key) == {}
        assert same(read, made) and read.graph["image"] == name


ODD = "b\udc80\x1b[31m\ufffe\x00.jpg"  # a file name that is no UTF-8, and what steers a terminal


def test_odd_names_are_written_and_read_back(tmp_path):
    named = [(ODD, graphs()[0][1]), (7, graphs()[1][1])]
    vocabularies = (("dog", "hat" + ODD, "man\x0b"), ("has\ud83d", "on"))
    write_graph_json(tmp_path / "g.json", named, vocabularies)
    content = json.loads((tmp_path / "g.json").read_text(encoding="utf-8"))
    assert list(content["graphs"]) == [ODD, "7"] and content["categories"] == list(vocabularies[0])
    write_networkx(tmp_path / "g.jsonl", named, vocabularies)
    first = json.loads((tmp_path / "g.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["graph"]["image"] == ODD
    write_graphml(tmp_path / "ml", named, vocabularies)
    read = [networkx.read_graphml(path) for path in sorted((tmp_path / "ml").iterdir())]
    assert len(read) == 2 and {made.graph["image"] for made in read} == {"b?[31m?.jpg", "7"}
    names = {data["category"] for made in read for _, data in made.nodes(data=True)}
    assert names == {"dog", "hatb?[31m?.jpg", "man"}


@pytest.mark.parametrize("write", [write_graph_json, write_graphml, write_networkx])
def test_no_image_and_one_that_comes_twice(tmp_path, write):
    with pytest.raises(ValueError, match=r"out.*: no image to export"):
        write(tmp_path / "out", [], VOCABULARIES)
    twice = [("7", graphs()[0][1]), (7, graphs()[1][1])]
    with pytest.raises(ValueError, match=r"out.*: the image '7' comes twice"):
        write(tmp_path / "out", twice, VOCABULARIES)
    assert not (tmp_path / "out").is_file()


def test_a_pair_without_a_predicate_is_no_relation():
    graph = graphs()[0][1]
    graph.predicate_scores[1] = -np.inf
    record = graph_record(graph, VOCABULARIES)
    assert [(r["subject"], r["object"]) for r in record["relations"]] == [(1, 0), (0, 1)]
    assert "Infinity" not in json.dumps(record)
