"""Annotated images as RDF, predicates as IRIs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from groundgraph.data.files import EXPORT_MARK, atomic_write, check_own, open_text
from groundgraph.data.numbers import shortest
from groundgraph.data.text import plain
from groundgraph.data.types import AnnotatedImage
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.annotated import counted_annotations, relation_scores

if TYPE_CHECKING:
    import rdflib

TERMS = "urn:groundgraph:"


def iri(kind: str, name: str) -> str:
    """The IRI of a "category", "predicate" or "image" of some name: urn:groundgraph:predicate:standing%20on."""
    return f"{TERMS}{kind}:{quote(name, safe='', errors='surrogatepass')}"


def write_rdf(path: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies) -> dict[str, int]:
    """A file of N-Triples (RDF; rdflib, Jena, Protégé): an object is of its category's class, a predicate is an IRI.

    <image:ID:object:0> <predicate:standing%20on> <image:ID:object:1>, all after urn:groundgraph:. An object has `in`
    (its image), `score`, `x1`, `y1`, `x2`, `y2` in pixels; an image `file`, `width`, `height`; and each relation is
    also an rdf:Statement, with a `score` where a model predicted it. Classes and predicates have their names as labels.

    Returns:
        Counts.

    Raises:
        InputError: The file is no earlier export, rdflib is absent, or there is no image.
    """
    try:
        import rdflib
    except ImportError as error:
        raise InputError('RDF is written by rdflib, which is not installed: pip install "groundgraph[rdf]"') from error

    path, counts = Path(path), {}
    check_own(path, EXPORT_MARK)
    with atomic_write(path) as temporary, open_text(temporary) as file:
        file.write(f"{EXPORT_MARK.decode()}\n")
        file.write(_lines(_terms(vocabularies)))
        for image in counted_annotations(images, path, counts):
            graph = rdflib.Graph()
            _add_image(graph, image, vocabularies)
            file.write(_lines(graph))
    return counts


def _terms(vocabularies: Vocabularies) -> rdflib.Graph:
    """What the classes and predicates are called."""
    from rdflib import RDF, RDFS, Graph, Literal, URIRef

    graph = Graph()
    for kind, of, names in zip(("category", "predicate"), (RDFS.Class, RDF.Property), vocabularies, strict=True):
        for name in names:
            term = URIRef(iri(kind, name))
            graph.add((term, RDF.type, of))
            graph.add((term, RDFS.label, Literal(plain(name))))
    return graph


def _add_image(graph: rdflib.Graph, image: AnnotatedImage, vocabularies: Vocabularies) -> None:
    from rdflib import RDF, Literal, URIRef

    def term(name: str) -> URIRef:
        return URIRef(TERMS + name)

    own = iri("image", image.image_id)
    picture = URIRef(own)
    graph.add((picture, RDF.type, term("Image")))
    graph.add((picture, term("file"), URIRef(Path(image.path).absolute().as_uri())))
    for side, pixels in zip(("width", "height"), image.size, strict=True):
        graph.add((picture, term(side), Literal(int(pixels))))
    objects = [URIRef(f"{own}:object:{k}") for k in range(len(image.boxes))]
    rows = zip(objects, image.labels.tolist(), shortest(image.scores), shortest(image.boxes), strict=True)
    for node, label, score, box in rows:
        graph.add((node, RDF.type, URIRef(iri("category", vocabularies[0][label - 1]))))
        graph.add((node, term("in"), picture))
        for name, value in zip(("score", "x1", "y1", "x2", "y2"), (score, *box), strict=True):
            graph.add((node, term(name), Literal(float(value))))
    scored = zip(image.relations.tolist(), relation_scores(image), strict=True)
    for k, ((subject, object_, predicate), value) in enumerate(scored):
        triple = objects[subject], URIRef(iri("predicate", vocabularies[1][predicate - 1])), objects[object_]
        graph.add(triple)
        statement = URIRef(f"{own}:relation:{k}")
        graph.add((statement, RDF.type, RDF.Statement))
        for part, node in zip((RDF.subject, RDF.predicate, RDF.object), triple, strict=True):
            graph.add((statement, part, node))
        if value is not None:
            graph.add((statement, term("score"), Literal(value)))


def _lines(graph: rdflib.Graph) -> str:
    """A graph's triples as N-Triples, in order, since rdflib has them in none."""
    lines = sorted(line for line in graph.serialize(format="nt").split("\n") if line)
    return "".join(f"{line}\n" for line in lines)
