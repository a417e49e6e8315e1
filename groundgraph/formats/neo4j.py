"""Annotated images as CSV files for Neo4j's import."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

from groundgraph.data.files import atomic_write, check_own, open_text
from groundgraph.data.numbers import shortest
from groundgraph.data.text import plain
from groundgraph.data.types import AnnotatedImage
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.formats.annotated import counted_annotations, relation_scores

HEADERS = {
    "images.csv": "imageId:ID(Image),name,path,width:int,height:int,:LABEL",
    "objects.csv": "objectId:ID(Object),category,score:double,x1:double,y1:double,x2:double,y2:double,:LABEL",
    "shows.csv": ":START_ID(Image),:END_ID(Object),:TYPE",
    "relations.csv": ":START_ID(Object),:END_ID(Object),predicate,score:double,:TYPE",
}


def write_neo4j(folder: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies) -> dict[str, int]:
    """A folder of CSV files for `neo4j-admin database import full`.

    Nodes are images.csv and objects.csv (boxes in pixels), relationships shows.csv (image to object) and relations.csv,
    of which a type is the predicate in Neo4j's writing (STANDING_ON) and `predicate` the name itself. Names are of one
    line, without control characters.

    Returns:
        Counts.

    Raises:
        InputError: The folder has such files that are no earlier export, or there is no image.
    """
    folder, counts = Path(folder), {}
    for name, header in HEADERS.items():
        check_own(folder / name, header.encode())
    categories, predicates = (list(map(plain, names)) for names in vocabularies)
    types = list(map(relationship_type, predicates))
    with ExitStack() as stack:
        writers = []
        for name, header in HEADERS.items():
            file = stack.enter_context(open_text(stack.enter_context(atomic_write(folder / name))))
            file.write(header + "\n")
            writers.append(csv.writer(file, lineterminator="\n"))
        pictures, objects, shows, relations = writers
        for image in counted_annotations(images, folder, counts):
            number, first = counts["images"], counts["boxes"] - len(image.boxes) + 1
            path = plain(str(Path(image.path).absolute()))
            pictures.writerow([number, plain(image.image_id), path, *image.size, "Image"])
            rows = zip(image.labels.tolist(), shortest(image.scores), shortest(image.boxes), strict=True)
            for k, (label, score, box) in enumerate(rows, first):
                objects.writerow([k, categories[label - 1], score, *box, "Object"])
                shows.writerow([number, k, "SHOWS"])
            for (s, o, p), value in zip(image.relations.tolist(), relation_scores(image), strict=True):
                relations.writerow([first + s, first + o, predicates[p - 1], value, types[p - 1]])
    return counts


def relationship_type(predicate: str) -> str:
    """A predicate as Neo4j's types are written: "standing on" -> "STANDING_ON"."""
    return re.sub(r"\W+", "_", predicate).strip("_").upper() or "RELATED_TO"
