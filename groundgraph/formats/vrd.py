"""VRD's annotations (Lu et al., ECCV 2016): JSON of image: relations, each with its two boxes and its numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import GroundTruth, Skipped
from groundgraph.data.vocabulary import VRD_OBJECTS, VRD_PREDICATES, Vocabularies, Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats.entries import field as value_of
from groundgraph.formats.entries import numbers
from groundgraph.formats.sides import NamedTruth

NAMES = ("objects.json", "predicates.json")  # published beside the annotations
_KIND = "VRD's annotations: JSON of image: relations"


@dataclass
class VrdImage:
    """An image's annotation.

    Attributes:
        name: Its file's.
        boxes: [G, 4] float64 xyxy in pixels; a box that has two categories is two objects.
        labels: G category names.
        relations: (subject box, predicate, object box) as they are listed, doubles too.
    """

    name: str
    boxes: np.ndarray = field(default_factory=lambda: np.zeros((0, 4)))
    labels: tuple[str, ...] = ()
    relations: list[tuple[int, str, int]] = field(default_factory=list)


def read_vrd_names(folder: str | Path) -> Vocabularies:
    """The categories and predicates that numbers stand for: objects.json and predicates.json in a folder, else VRD's.

    Raises:
        InputError: One of them is no list of names; names it.
    """
    there = [Path(folder) / name for name in NAMES]
    bundled = (VRD_OBJECTS, VRD_PREDICATES)
    own = [Vocabulary.from_file(path) if path.is_file() else names for path, names in zip(there, bundled, strict=True)]
    return own[0].names, own[1].names


def is_vrd(content: Any) -> bool:
    """Whether JSON has the form of VRD's annotations: image: list of relations with subject, predicate and object."""
    if not isinstance(content, dict) or not content or not all(isinstance(own, list) for own in content.values()):
        return False
    first = next((own[0] for own in content.values() if own), None)
    return isinstance(first, dict) and {"subject", "predicate", "object"} <= set(first)


def read_vrd(path: str | Path, names: Vocabularies, skipped: Skipped) -> list[VrdImage]:
    """The annotated images of a file, in its order; those without a relation have no box.

    Args:
        path: {image: [{"predicate": number, "subject": {"category": number, "bbox": [ymin, ymax, xmin, xmax]},
            "object": likewise}]}, numbers from 0.
        names: What the numbers stand for.
        skipped: Gets how many relations are left out (no numbers, no area) with the first of them, how many are listed
            twice or join a box with itself, and how many boxes have two categories.

    Raises:
        InputError: It has another form or no relation can be used; names file and fix.
    """
    return vrd_images(read_json(path, _KIND), path, names, skipped)


def vrd_images(content: Any, path: str | Path, names: Vocabularies, skipped: Skipped) -> list[VrdImage]:
    """What `read_vrd` gives, of the content of a file."""
    if not is_vrd(content):
        raise InputError(
            f'{path}: not {_KIND}, {{image: [{{"predicate": 0, "subject": {{"category": 0, "bbox": [ymin, ymax, xmin, '
            'xmax]}, "object": ...}]}; give annotations_train.json as it is published'
        )
    counts: Counter[str] = Counter()
    first: list[str] = []
    images = [_image(plain(name), own, names, counts, first) for name, own in content.items()]
    if not any(image.relations for image in images):
        raise InputError(f"{path}: no relation of it can be used: {first[0]}; fetch the file again")
    for what, count in counts.items():
        if count:
            why = f", such as {first[0]}" if what.startswith("relations left out") else ""
            skipped.add(Path(path).name, f"{count} {what}{why}")
    return images


def _image(name: str, listed: list[Any], names: Vocabularies, counts: Counter[str], first: list[str]) -> VrdImage:
    objects: dict[tuple[Any, ...], int] = {}
    relations = []
    for number, entry in enumerate(listed):
        try:
            predicate = _named(value_of(entry, "predicate"), names[1], "predicate")
            ends = [_object(value_of(entry, end), names[0]) for end in ("subject", "object")]
        except InputError as error:
            counts["relations left out that have no two boxes with categories and a predicate"] += 1
            first.append(f"{name}, relation {number}: {error}")
            continue
        places = [objects.setdefault(end, len(objects)) for end in ends]
        relations.append((places[0], predicate, places[1]))
    counts["images without a relation"] += not listed
    counts["relations listed twice"] += len(relations) - len(set(relations))
    counts["relations of a box with itself"] += sum(s == o for s, _, o in relations)
    counts["boxes of two categories, which are two objects"] += len(objects) - len({box[1:] for box in objects})
    boxes = np.array([box for _, *box in objects], np.float64).reshape(-1, 4)
    return VrdImage(name, boxes, tuple(label for label, *_ in objects), relations)


def vrd_truth(content: Any, path: Path) -> NamedTruth:
    """VRD's annotations as ground truth: its relations as they are listed. Raises InputError as `read_vrd`."""
    names = read_vrd_names(path.parent)
    images = [image for image in vrd_images(content, path, names, Skipped()) if image.relations]
    truths = [GroundTruth(i.boxes.astype(np.float32), i.labels, tuple(i.relations)) for i in images]
    ids = [image.name for image in images]
    return NamedTruth(truths, ids, ids, names)


def unseen_triplets(content: Any, path: Path, vocabularies: Vocabularies) -> np.ndarray:
    """All triplets that annotations lack.

    Args:
        content: Of the training annotations.
        path: Their file.
        vocabularies: Number the triplets.

    Returns:
        [Z, 3] int64 (subject label, object label, predicate), from 1.

    Raises:
        InputError: As `read_vrd`.
    """
    own = read_vrd_names(path.parent)
    place = [{name: number for number, name in enumerate(names)} for names in vocabularies]
    unseen = np.ones((len(vocabularies[0]), len(vocabularies[0]), len(vocabularies[1])), bool)
    for image in vrd_images(content, path, own, Skipped()):
        for s, p, o in image.relations:
            ends = [place[0].get(image.labels[end], -1) for end in (s, o)]
            if min(*ends, place[1].get(p, -1)) >= 0:
                unseen[(*ends, place[1][p])] = False
    return np.argwhere(unseen) + 1


def _named(value: Any, names: tuple[str, ...], what: str) -> str:
    if type(value) is not int or not 0 <= value < len(names):
        raise InputError(f"its {what} {str(value)[:30]!r} is no number of 0..{len(names) - 1}")
    return names[value]


def _object(value: Any, names: tuple[str, ...]) -> tuple[Any, ...]:
    """(category, x1, y1, x2, y2) of a relation's end."""
    category = _named(value_of(value, "category"), names, "category")
    top, bottom, left, right = numbers(value_of(value, "bbox"), "[ymin, ymax, xmin, xmax]")
    if not sound(np.array([[left, top, right, bottom]])).all() or min(left, top) < 0:
        raise InputError(f"its box {[top, bottom, left, right]} has no area or lies outside the image")
    return category, left, top, right, bottom
