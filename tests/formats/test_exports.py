"""Annotated images for FiftyOne, Neo4j and RDF, and as JSON lines: what the formats' own rules say is there."""

import csv
import json

import numpy as np
import pytest
from formats_world import VOCABULARIES

from groundgraph.data.files import check_output
from groundgraph.data.records import read_lines
from groundgraph.data.types import AnnotatedImage, Graph
from groundgraph.errors import InputError
from groundgraph.formats.annotated import annotated_image
from groundgraph.formats.fiftyone import write_fiftyone
from groundgraph.formats.graph_lines import write_graph_lines
from groundgraph.formats.neo4j import relationship_type, write_neo4j
from groundgraph.formats.rdf import write_rdf

COUNTS = {"images": 2, "boxes": 3, "relations": 2, "images without a box": 1}


def images():
    """A man (0) has a hat (1), the hat is on a dog (2), predicted; and an image of an odd name without a box."""
    graph = Graph(
        boxes=np.array([[10, 20, 60, 80], [30, 10, 50, 40], [70, 60, 90, 100]], np.float32),
        labels=np.array([3, 2, 1]),
        scores=np.array([0.9, 0.8, 0.5], np.float32),
        pairs=np.array([[1, 2], [0, 1], [2, 0]]),
        predicate_scores=np.array([[0, 0.1, 0.4], [0, 0.5, 0.2], [0, -np.inf, -np.inf]], np.float32),
    )
    nothing = AnnotatedImage(
        'b "é"\n, /1', "photos/b c.jpg", (50, 40), *(np.zeros(s, t) for s, t in (((0, 4), "f4"), (0, int), (0, "f4"))),
        np.zeros((0, 3), np.int64),
    )  # fmt: skip
    return [annotated_image("7", "photos/a.jpg", (100, 200), graph), nothing]


def test_a_predicted_graph_as_annotations():
    image = images()[0]
    assert image.relations.tolist() == [[0, 1, 1], [1, 2, 2]]  # best first; the pair without a predicate is left out
    assert np.allclose(image.relation_scores, [0.9 * 0.5 * 0.8, 0.8 * 0.4 * 0.5])


def test_json_lines(tmp_path):
    assert write_graph_lines(tmp_path / "deep" / "g.jsonl", images(), VOCABULARIES) == COUNTS
    first, second = read_lines(tmp_path / "deep" / "g.jsonl")
    assert first["image"].endswith("/photos/a.jpg") and (first["width"], first["height"]) == (100, 200)
    assert first["objects"][1] == {"category": "hat", "score": 0.8, "box": [30, 10, 50, 40]}
    assert [(r["subject"], r["predicate"], r["object"]) for r in first["relations"]] == [(0, "has", 1), (1, "on", 2)]
    assert second["objects"] == second["relations"] == []


def test_fiftyone(tmp_path):
    assert write_fiftyone(tmp_path / "f", images(), VOCABULARIES) == COUNTS
    metadata = json.loads((tmp_path / "f" / "metadata.json").read_text(encoding="utf-8"))
    assert "version" not in metadata  # FiftyOne then infers the fields
    assert metadata["info"]["classes"] == {"objects": [*VOCABULARIES[0]], "relations": [*VOCABULARIES[1]]}
    first, second = json.loads((tmp_path / "f" / "samples.json").read_text(encoding="utf-8"))["samples"]
    assert first["filepath"].startswith("/") or first["filepath"][1] == ":"
    hat = first["objects"]["detections"][1]
    assert hat["label"] == "hat" and hat["index"] == 1 and np.isclose(hat["confidence"], 0.8)
    assert np.allclose(hat["bounding_box"], [0.3, 0.05, 0.2, 0.15])
    has = first["relations"]["detections"][0]
    assert (has["label"], has["subject"], has["object"]) == ("has", 0, 1) and has["subject_label"] == "man"
    assert np.allclose(has["bounding_box"], [0.1, 0.05, 0.5, 0.35])  # of both together
    assert np.isclose(has["confidence"], 0.36) and second["objects"]["detections"] == []


def test_neo4j(tmp_path):
    assert write_neo4j(tmp_path / "n", images(), VOCABULARIES) == COUNTS
    rows = {path.stem: list(csv.DictReader(path.open(encoding="utf-8"))) for path in (tmp_path / "n").iterdir()}
    assert [row["name"] for row in rows["images"]] == ["7", 'b "é" , /1']
    assert [row[":LABEL"] for row in rows["objects"]] == ["Object"] * 3
    assert [row["category"] for row in rows["objects"]] == ["man", "hat", "dog"]
    assert [float(rows["objects"][2][k]) for k in ("x1:double", "y1:double", "x2:double", "y2:double")] == [
        70, 60, 90, 100,
    ]  # fmt: skip
    ids = {row["objectId:ID(Object)"] for row in rows["objects"]}
    assert len(ids) == 3 and {row[":END_ID(Object)"] for row in rows["shows"]} == ids
    assert {row[":START_ID(Image)"] for row in rows["shows"]} == {rows["images"][0]["imageId:ID(Image)"]}
    ends = [(r[":START_ID(Object)"], r[":TYPE"], r[":END_ID(Object)"]) for r in rows["relations"]]
    assert ends == [("1", "HAS", "2"), ("2", "ON", "3")] and np.isclose(
        float(rows["relations"][0]["score:double"]), 0.36
    )
    assert relationship_type("standing on") == "STANDING_ON" and relationship_type("...") == "RELATED_TO"


def test_rdf(tmp_path):
    rdflib = pytest.importorskip("rdflib")
    assert write_rdf(tmp_path / "g.nt", images(), VOCABULARIES) == COUNTS
    graph = rdflib.Graph().parse(tmp_path / "g.nt", format="nt")
    found = graph.query(
        """PREFIX gg: <urn:groundgraph:>
        PREFIX rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#>
        SELECT ?class ?score ?x1 WHERE {
          ?man <urn:groundgraph:predicate:has> ?hat . ?hat a ?class ; gg:x1 ?x1 ; gg:in ?image .
          ?image gg:width 100 .
          ?statement rdf:subject ?man ; rdf:predicate <urn:groundgraph:predicate:has> ; gg:score ?score . }"""
    )
    ((category, score, x1),) = list(found)
    assert str(category) == "urn:groundgraph:category:hat" and float(x1) == 30 and np.isclose(float(score), 0.36)
    labels = {str(label) for label in graph.objects(predicate=rdflib.RDFS.label)}
    assert labels == {"dog", "hat", "man", "has", "on"}
    pictures = set(graph.subjects(rdflib.RDF.type, rdflib.URIRef("urn:groundgraph:Image")))
    assert len(pictures) == 2


def test_annotations_have_no_score(tmp_path):
    image = images()[0]
    annotation = AnnotatedImage(*(getattr(image, name) for name in list(image.__dataclass_fields__)[:-1]))
    write_neo4j(tmp_path / "n", [annotation], VOCABULARIES)
    rows = list(csv.DictReader((tmp_path / "n" / "relations.csv").open(encoding="utf-8")))
    assert [row["score:double"] for row in rows] == ["", ""]
    write_fiftyone(tmp_path / "f", [annotation], VOCABULARIES)
    (sample,) = json.loads((tmp_path / "f" / "samples.json").read_text(encoding="utf-8"))["samples"]
    assert [relation["confidence"] for relation in sample["relations"]["detections"]] == [None, None]


@pytest.mark.parametrize(
    ("write", "name"),
    [
        (write_fiftyone, "out/metadata.json"),
        (write_fiftyone, "out/samples.json"),
        (write_neo4j, "out/objects.csv"),
        (write_rdf, "out"),
    ],
)
def test_only_an_earlier_export_is_written_over(tmp_path, write, name):
    if write is write_rdf:
        pytest.importorskip("rdflib")
    out = tmp_path / "own"
    for _ in range(2):
        write(out, images(), VOCABULARIES)
    if out.is_file():
        check_output(out)
    foreign = tmp_path / name
    foreign.parent.mkdir(exist_ok=True)
    foreign.write_text("mine")
    with pytest.raises(InputError, match="not written by an earlier export"):
        write(tmp_path / "out", images(), VOCABULARIES)
    assert foreign.read_text() == "mine"
    with pytest.raises(InputError, match="no image to export"):
        write(tmp_path / "new", [], VOCABULARIES)
