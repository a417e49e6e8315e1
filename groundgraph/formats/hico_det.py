"""HICO-DET (Chao et al., WACV 2018), person - verb - object: as published, and in two forms made of that."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.text import read_json, read_text
from groundgraph.data.types import Skipped
from groundgraph.data.vocabulary import COCO80
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import NOT_ONE, BoxedImage, BoxedImages, RelatedBoxes
from groundgraph.formats.entries import vocabulary
from groundgraph.formats.mat import load_mat
from groundgraph.formats.psg import numbered_image

_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # numbers of COCO's 1..90 without a category of the 80
COCO_IDS = {number: place for place, number in enumerate(n for n in range(1, 91) if n not in _GAPS)}
NOTHING = "no_interaction"
WITHOUT_AREA = "an interaction left out: a box of it has no area"
SIDES = ("x1", "y1", "x2", "y2")
PARTS = ("annotation", "filenames", "size", "objects", "verbs")


def read_hico(path: Path, verbs: Path, split: str, skipped: Skipped) -> BoxedImages:
    """The images of a split that have an interaction; "no_interaction" is none.

    Args:
        path: anno_bbox.mat of the authors, with both splits, which counts pixels from 1; or instances_train2015.json as
            fredzzhang/hicodet has it (PARTS, pairs of boxes, of which the first pixel counts from 1); or
            trainval_hico.json as PPDM and QPIC have it, which counts pixels from 0 (its boxes are the authors' less 1):
            a list of {file_name, annotations: [{bbox: x1, y1, x2, y2, category_id of COCO}], hoi_annotation:
            [{subject_id, object_id, category_id: a verb's number from 1}]}.
        verbs: hico_list_vb.txt, published with HICO: a number and a verb a line; of the last form.
        split: train, validation or test.
        skipped: Gets what is left out.

    Raises:
        InputError: A file is missing or of no such form; names it.
    """
    if path.suffix == ".mat":
        return _from_mat(path, split, skipped)
    content = read_json(path, "trainval_hico.json")
    if isinstance(content, dict):
        if not all(isinstance(content.get(part), list) for part in PARTS):
            raise InputError(f"{path}: needs the lists {', '.join(PARTS)}; fetch the file again")
        return _from_pairs(content, path, skipped)
    lines = read_text(verbs, "hico_list_vb.txt of HICO").splitlines()
    named = {int(m[1]): m[2] for line in lines if (m := re.match(r"\s*(\d+)\s+(\w+)\s*$", line))}
    if not isinstance(content, list) or not named or sorted(named) != list(range(1, len(named) + 1)):
        raise InputError(f"{path if named else verbs}: no list as HICO-DET publishes it; fetch it again")
    names = [named[number] for number in sorted(named)]

    def image(entry: Any) -> BoxedImage:
        file = entry["file_name"]
        labels = [COCO_IDS[int(note["category_id"])] for note in entry["annotations"]]
        relations = [
            (int(r["subject_id"]), int(r["object_id"]), int(r["category_id"]) - 1)
            for r in entry["hoi_annotation"]
            if names[int(r["category_id"]) - 1] != NOTHING
        ]
        boxes = [note["bbox"] for note in entry["annotations"]]
        make = numbered_image(Path(file).stem, file, None, boxes, labels, relations, _places(file))
        return make(COCO80.names, [_words(name) for name in names])

    return _images(path, content, image, names, COCO80.names, skipped)


def _from_pairs(content: dict[str, Any], path: Path, skipped: Skipped) -> BoxedImages:
    categories, verbs = tuple(map(_words, content["objects"])), content["verbs"]

    def image(entry: tuple[Any, str, Any]) -> BoxedImage:
        pairs, file, size = entry
        related = RelatedBoxes()
        keys = ("boxes_h", "boxes_o", "object", "verb")
        for person, thing, label, verb in zip(*(pairs[key] for key in keys), strict=True):
            ends = [(box[0] - 1, box[1] - 1, box[2], box[3]) for box in (person, thing)]
            if verbs[verb] == NOTHING:
                continue
            if not related.relate(("person", ends[0]), _words(verbs[verb]), (categories[label], ends[1])):
                skipped.add(file, WITHOUT_AREA)
        return related.image(Path(file).stem, file, (float(size[0]), float(size[1])), _places(file))

    entries = zip(content["annotation"], content["filenames"], content["size"], strict=False)
    return _images(path, entries, image, verbs, categories, skipped)


def _from_mat(path: Path, split: str, skipped: Skipped) -> BoxedImages:
    part = "bbox_test" if split == "test" else "bbox_train"
    content = load_mat(path, (part, "list_action"), simplified=True)
    listed = [_listed(content.get(key)) for key in (part, "list_action")]
    if not all(listed) or not all(
        isinstance(action, dict) and action.keys() >= {"nname", "vname"} for action in listed[1]
    ):
        raise InputError(f"{path}: holds no {part} and list_action of HICO-DET; give anno_bbox.mat")
    actions = [(_words(action["nname"]), str(action["vname"])) for action in listed[1]]

    def image(entry: Any) -> BoxedImage:
        related, file, size = RelatedBoxes(), str(entry["filename"]), entry["size"]
        for interaction in _listed(entry["hoi"]):
            label, verb = actions[int(interaction["id"]) - 1]
            if interaction["invis"] or verb == NOTHING:
                continue
            people, things = (
                [tuple(float(box[side]) - 1 for side in SIDES) for box in _listed(interaction[key])]
                for key in ("bboxhuman", "bboxobject")
            )
            for person, thing in np.reshape(interaction["connection"], (-1, 2)).tolist():
                if not related.relate(("person", people[person - 1]), _words(verb), (label, things[thing - 1])):
                    skipped.add(file, WITHOUT_AREA)
        return related.image(Path(file).stem, file, (float(size["width"]), float(size["height"])), _places(file))

    categories = tuple(dict.fromkeys(label for label, _ in actions))
    verbs = list(dict.fromkeys(verb for _, verb in actions))
    return _images(path, listed[0], image, verbs, categories, skipped)


def _images(
    path: Path,
    entries: Iterable[Any],
    image: Callable[[Any], BoxedImage],
    verbs: Iterable[str],
    categories: tuple[str, ...],
    skipped: Skipped,
) -> BoxedImages:
    """The images that have an interaction, of entries that `image` reads."""
    images: list[BoxedImage] = []
    for number, entry in enumerate(entries):
        try:
            own = image(entry)
            images += [own] if own.relations else []
        except NOT_ONE as error:
            skipped.add(f"{path.name}[{number}]", f"an entry that is not HICO-DET's: {type(error).__name__} {error}")
    if set(categories) == set(COCO80.names):
        categories = COCO80.names
    predicates = dict.fromkeys(_words(verb) for verb in verbs if verb != NOTHING)
    return BoxedImages(images, (vocabulary(categories, path), vocabulary(tuple(predicates), path)))


def _listed(value: Any) -> list[Any]:
    """MATLAB's array of structures, of which one alone is no array."""
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _places(file: str) -> tuple[str, ...]:
    """Where else a picture may lie: the authors' archive has images/train2015 and images/test2015."""
    folder = re.match(r"HICO_(\w+)_\d+\.", file)
    return (f"{folder[1]}/{file}",) if folder else ()


def _words(name: str) -> str:
    return str(name).replace("_", " ")
