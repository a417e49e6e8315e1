"""Open Images V6's visual relationships (`oidv6-train-annotations-vrd.csv`): two boxes and a relation a line."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.text import text_file
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages

RELATION = ("RelationshipLabel", "RelationLabel")  # of V6, and before
SIDES = ("XMin", "YMin", "XMax", "YMax")
COLUMNS = ("ImageID", "LabelName1", "LabelName2", *(f"{side}{end}" for end in (1, 2) for side in SIDES))
ATTRIBUTE = "is"  # the one relation whose second end is no thing, but what the first is made of


def read_open_images(path: Path, names: Path, skipped: Skipped) -> BoxedImages:
    """The images of a split with their relations; boxes are shares of the picture.

    Boxes of one label and place are one. Lines with "is" say an attribute, and are left out.

    Args:
        path: CSV with COLUMNS and a relation.
        names: oidv6-class-descriptions.csv or class-descriptions-boxable.csv: label, name.
        skipped: Gets what is left out, counted.

    Raises:
        InputError: A file or column is missing; names it.
    """
    with text_file(names, "class descriptions of Open Images", newline="") as file:
        called = {row[0]: row[1].lower() for row in csv.reader(file) if len(row) > 1}
    images: dict[str, tuple[dict[tuple[str, tuple[float, ...]], int], list[tuple[int, str, int]]]] = {}
    wrong: Counter[str] = Counter()
    with text_file(path, "relationships of Open Images", newline="") as file:
        rows = csv.DictReader(file)
        there = rows.fieldnames or []
        relation = next((key for key in RELATION if key in there), None)
        absent = [key for key in COLUMNS if key not in there]
        if relation is None or absent:
            raise InputError(
                f"{path}: has no column {', '.join(absent) or RELATION[0]}; there are {', '.join(there)}: give Open "
                "Images' annotations-vrd.csv"
            )
        for row in rows:
            if row[relation] == ATTRIBUTE:
                wrong['lines of an attribute ("is")'] += 1
                continue
            try:
                boxes = [tuple(float(row[f"{side}{end}"]) for side in SIDES) for end in (1, 2)]
                labels = called[row["LabelName1"]], called[row["LabelName2"]]
            except (KeyError, TypeError, ValueError):
                wrong["lines of a label without a name, or of what is no box"] += 1
                continue
            if not sound(np.array(boxes)).all():
                wrong["lines of a box without area"] += 1
                continue
            places, relations = images.setdefault(row["ImageID"], ({}, []))
            first, second = (places.setdefault(end, len(places)) for end in zip(labels, boxes, strict=True))
            if first != second:
                relations.append((first, row[relation].replace("_", " "), second))
    for what, count in wrong.items():
        skipped.add(path.name, f"{count} {what} left out")
    return BoxedImages(
        [
            BoxedImage(
                name,
                f"{name}.jpg",
                (1, 1),
                np.array([box for _, box in places], np.float64).reshape(-1, 4),
                tuple(label for label, _ in places),
                tuple(relations),
            )
            for name, (places, relations) in images.items()
        ]
    )
