"""Open Images V6's visual relationships (`oidv6-train-annotations-vrd.csv`): two boxes and a relation a line."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

from groundgraph.data.text import plain, read_json, text_file
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import NOT_ONE, BoxedImages, RelatedBoxes
from groundgraph.formats.entries import vocabulary
from groundgraph.formats.psg import numbered_image

RELATION = ("RelationshipLabel", "RelationLabel")  # of V6, and before
SIDES = ("XMin", "YMin", "XMax", "YMax")
COLUMNS = ("ImageID", "LabelName1", "LabelName2", *(f"{side}{end}" for end in (1, 2) for side in SIDES))
ATTRIBUTE = "is"  # the one relation whose second end is no thing, but what the first is made of


def read_open_images(path: Path, names: Path, split: str, skipped: Skipped) -> BoxedImages:
    """The images of a split with their relations; boxes are shares of the picture.

    Boxes of one label and place are one. Lines with "is" say an attribute, and are left out.

    Args:
        path: CSV with COLUMNS and a relation; or vrd-train-anno.json as PySGG and the papers that measure by its split
            have it: a list of {img_fn, img_size, bbox: x1, y1, x2, y2 in pixels, det_labels, rel: [subject, object,
            predicate]}, numbers from 0.
        names: oidv6-class-descriptions.csv or class-descriptions-boxable.csv: label, name; with a header or without.
            Of JSON categories_dict.json: {"obj": names, "rel": names}.
        split: Of which the file is; pictures may lie in a folder of its name, as they are fetched.
        skipped: Gets what is left out, counted.

    Raises:
        InputError: A file or column is missing; names it.
    """
    if path.suffix == ".json":
        return _from_json(path, names, split, skipped)
    with text_file(names, "class descriptions of Open Images", newline="") as file:
        called = {row[0].strip(): plain(row[1]).lower() for row in csv.reader(file) if len(row) > 1 and plain(row[1])}
    images: dict[str, RelatedBoxes] = {}
    wrong: Counter[str] = Counter()
    with text_file(path, "relationships of Open Images", newline="") as file:
        rows = csv.reader(file)
        there = [name.strip() for name in next(rows, [])]
        relation = next((key for key in RELATION if key in there), None)
        absent = [key for key in COLUMNS if key not in there]
        if relation is None or absent:
            raise InputError(
                f"{path}: has no column {', '.join(absent) or RELATION[0]}; there are {', '.join(there)}: give Open "
                "Images' annotations-vrd.csv"
            )
        image, *labels, predicate = (there.index(key) for key in ("ImageID", "LabelName1", "LabelName2", relation))
        sides = [[there.index(f"{side}{end}") for side in SIDES] for end in (1, 2)]
        for row in filter(None, rows):
            try:
                name, verb = plain(row[image]), plain(row[predicate]).replace("_", " ")
                if verb == ATTRIBUTE:
                    wrong['lines of an attribute ("is")'] += 1
                    continue
                boxes = [tuple(float(row[column]) for column in columns) for columns in sides]
                if not name or not verb:
                    raise ValueError("no image or no relation")
                first, second = ((called[row[k]], box) for k, box in zip(labels, boxes, strict=True))
            except (KeyError, ValueError, IndexError):
                wrong["lines of a label without a name, or of what is no box"] += 1
                continue
            if not images.setdefault(name, RelatedBoxes()).relate(first, verb, second):
                wrong["lines of a box without area"] += 1
    for what, count in wrong.items():
        skipped.add(path.name, f"{count} {what} left out")
    return BoxedImages(
        [
            related.image(name, f"{name}.jpg", (1, 1), _places(name, split))
            for name, related in images.items()
            if related.places
        ]
    )


def _from_json(path: Path, names: Path, split: str, skipped: Skipped) -> BoxedImages:
    content, listed = read_json(path, "vrd-train-anno.json of PySGG"), read_json(names, "categories_dict.json of PySGG")
    if not isinstance(content, list) or not isinstance(listed, dict) or not {"obj", "rel"} <= listed.keys():
        wrong = path if not isinstance(content, list) else names
        raise InputError(f"{wrong}: no vrd-train-anno.json or categories_dict.json as PySGG has them; fetch it again")
    categories = vocabulary([name.lower() for name in vocabulary(listed["obj"], names)], names)
    predicates = tuple(name.replace("_", " ") for name in vocabulary(listed["rel"], names))
    images = []
    for number, entry in enumerate(content):
        try:
            name, (width, height) = entry["img_fn"], map(float, entry["img_size"])
            make = numbered_image(
                name,
                f"{name}.jpg",
                (width, height),
                entry["bbox"],
                entry["det_labels"],
                dict.fromkeys(map(tuple, entry["rel"])),
                _places(name, split),
            )
            images.append(make(categories, predicates))
        except NOT_ONE as error:
            skipped.add(f"{path.name}[{number}]", f"an entry that is not PySGG's: {type(error).__name__} {error}")
    return BoxedImages(images, (categories, predicates))


def _places(name: str, split: str) -> tuple[str, ...]:
    """Where else a picture may lie: the split's folder, FiftyOne's, or that of its archive (train_0 to train_f)."""
    return f"{split}/{name}.jpg", f"{split}/data/{name}.jpg", f"{split}_{name[:1]}/{name}.jpg"
