"""Predicted graphs as JSON lines that grow, one image a line, so that what was broken off goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import write_json
from groundgraph.data.numbers import shortest
from groundgraph.data.records import read_lines, write_lines
from groundgraph.data.text import read_json
from groundgraph.data.types import AnnotatedImage, Graph
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.annotated import counted_annotations, relation_scores
from groundgraph.formats.graph_json import graph_record

FIX = "give another folder to --out"


class GraphLines:
    """A file of lines {"image": its path, "width", "height", "objects", "relations"}, see `graph_record`.

    Beside it lies NAME.settings.json, what the graphs were made with. A line that was half written falls.

    Args:
        path: The file; made where there is none.
        vocabularies: The graphs' names.
        settings: What else decides what the graphs are; a file of others is not gone on with.

    Attributes:
        done: The images that it has.

    Raises:
        InputError: The file is of other names or settings.
    """

    def __init__(self, path: Path, vocabularies: Vocabularies, settings: Mapping[str, Any]) -> None:
        self.path, self.vocabularies = path, vocabularies
        made_with = {"categories": [*vocabularies[0]], "predicates": [*vocabularies[1]], **settings}
        beside = path.with_suffix(".settings.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not beside.exists():
            if path.exists():
                raise InputError(f"{path}: not written by `groundgraph predict`, which would add to it; {FIX}")
            write_json(beside, made_with)
        elif (before := read_json(beside, "settings of `groundgraph predict`", FIX)) != made_with:
            other = [key for key, value in made_with.items() if before.get(key) != value]
            raise InputError(f"{path}: its graphs were made with other {', '.join(other)}; {FIX}")
        path.touch()
        whole = path.read_bytes().rfind(b"\n") + 1
        with path.open("rb+") as file:
            file.truncate(whole)
        self.done = {record["image"] for record in read_lines(path)}

    def add(self, image: str, size: tuple[int, int], graph: Graph) -> None:
        """Write one image's graph."""
        record = {"image": image, "width": size[0], "height": size[1], **graph_record(graph, self.vocabularies)}
        # Escaped, since a file's name may be no UTF-8.
        with self.path.open("a", encoding="ascii", newline="") as file:
            file.write(json.dumps(record) + "\n")
        self.done.add(image)

    def graphs(self) -> Iterator[tuple[str, Graph]]:
        """Each image's path and graph; of a pair's predicates the one that was written."""
        columns = 1 + len(self.vocabularies[1])
        for image in self.annotated():
            predicate = image.relations[:, 2]
            table = np.zeros((len(image.relations), columns), np.float32)
            table[np.arange(len(table)), predicate] = 1
            pairs, confidences = image.relations[:, :2], image.relation_scores
            yield image.path, Graph(image.boxes, image.labels, image.scores, pairs, table, confidences)

    def annotated(self) -> Iterator[AnnotatedImage]:
        """Each image with its boxes and relations, numbered from 1."""
        category, predicate = ({name: k + 1 for k, name in enumerate(names)} for names in self.vocabularies)
        for number, record in enumerate(read_lines(self.path), 1):
            objects, relations = record["objects"], record["relations"]
            rows = [(r["subject"], r["object"], predicate[r["predicate"]]) for r in relations]
            yield AnnotatedImage(
                image_id=str(number),
                path=record["image"],
                size=(record["width"], record["height"]),
                boxes=np.array([o["box"] for o in objects], np.float32).reshape(-1, 4),
                labels=np.array([category[o["category"]] for o in objects], np.int64),
                scores=np.array([o["score"] for o in objects], np.float32),
                relations=np.array(rows, np.int64).reshape(-1, 3),
                relation_scores=np.array([r["score"] for r in relations], np.float32),
            )


def write_graph_lines(path: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies) -> dict[str, int]:
    """JSON lines, one an image, as `groundgraph predict` writes them: {"image", "width", "height", "objects", ...}.

    Returns:
        Counts.
    """
    counts: dict[str, int] = {}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    images = counted_annotations(images, path, counts)
    write_lines(Path(path), (_line(image, vocabularies) for image in images))
    return counts


def _line(image: AnnotatedImage, vocabularies: Vocabularies) -> dict[str, Any]:
    categories, predicates = vocabularies
    objects = zip(image.labels.tolist(), shortest(image.scores), shortest(image.boxes), strict=True)
    relations = zip(image.relations.tolist(), relation_scores(image), strict=True)
    return {
        "image": os.path.abspath(image.path),
        "width": image.size[0],
        "height": image.size[1],
        "objects": [{"category": categories[k - 1], "score": score, "box": box} for k, score, box in objects],
        "relations": [
            {"subject": s, "predicate": predicates[p - 1], "object": o, "score": v} for (s, o, p), v in relations
        ],
    }
