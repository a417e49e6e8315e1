"""Annotations as COCO-style JSON with relations, the form that `evaluation.formats.coco` reads."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path

from groundgraph.errors import InputError
from groundgraph.interchange.files import appearing, short
from groundgraph.interchange.labels import LabelledImage, Vocabularies


def write_coco(path: str | Path, images: Iterable[LabelledImage], vocabularies: Vocabularies) -> dict[str, int]:
    """Write COCO's images, categories and annotations (bbox is [x, y, width, height] in pixels), and two lists more.

    predicates  [{"id", "name"}]; relations [{"id", "image_id", "subject_id", "object_id", "predicate_id"}], of whose
    ends the ids are annotations'. An annotation's "score" is its entity's share of the region. file_name is relative
    to info's "image_folder". Gives counts.
    """
    listed = list(images)
    if not listed:
        raise InputError(f"{path}: no image to export; finish the run first")
    root = os.path.commonpath([Path(image.path).absolute().parent for image in listed])
    content: dict = {"info": {"image_folder": root}, "images": [], "annotations": [], "relations": []}
    for key, names in zip(("categories", "predicates"), vocabularies, strict=True):
        content[key] = [{"id": k + 1, "name": name} for k, name in enumerate(names)]
    for image in listed:
        number = _number(image.image_id)
        width, height = image.size
        name = os.path.relpath(Path(image.path).absolute(), root)
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        first = len(content["annotations"]) + 1
        for box, label, score in zip(
            image.boxes.astype(float).tolist(), image.labels.tolist(), short(image.scores), strict=True
        ):
            sides = box[2] - box[0], box[3] - box[1]
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_id": label,
                    "bbox": [*box[:2], *sides],
                    "area": sides[0] * sides[1],
                    "iscrowd": 0,
                    "score": score,
                }
            )
        for subject, object_, predicate in image.relations.tolist():
            content["relations"].append(
                {
                    "id": len(content["relations"]) + 1,
                    "image_id": number,
                    "subject_id": first + subject,
                    "object_id": first + object_,
                    "predicate_id": predicate,
                }
            )
    with appearing(Path(path)) as temporary:
        temporary.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    return {
        "images": len(listed),
        "boxes": len(content["annotations"]),
        "relations": len(content["relations"]),
        "images without a box": sum(not len(image.boxes) for image in listed),
    }


def _number(name: str) -> int | str:
    """COCO's tools like ids that are numbers; a name that a number could not give back stays a name."""
    return int(name) if name.isascii() and name.isdigit() and str(int(name)) == name else name
