"""Annotations as COCO-style JSON with relations, the form that `evaluation.formats.coco` reads."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from groundgraph.data.files import write_json
from groundgraph.data.numbers import shortest
from groundgraph.errors import InputError
from groundgraph.formats.labels import LabelledImage, Vocabularies


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
    for number, image in zip(_numbers([image.image_id for image in listed]), listed, strict=True):
        width, height = image.size
        name = Path(os.path.relpath(Path(image.path).absolute(), root)).as_posix()
        content["images"].append({"id": number, "file_name": name, "width": width, "height": height})
        first = len(content["annotations"]) + 1
        for box, label, score in zip(
            image.boxes.astype(float).tolist(), image.labels.tolist(), shortest(image.scores), strict=True
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
    write_json(Path(path), content)
    return {
        "images": len(listed),
        "boxes": len(content["annotations"]),
        "relations": len(content["relations"]),
        "images without a box": sum(not len(image.boxes) for image in listed),
    }


def _numbers(ids: list[str]) -> list[int] | list[str]:
    """COCO's tools sort ids and like numbers: all become numbers, or none where a number could not give one back."""
    if all(name.isascii() and name.isdigit() and len(name) < 19 and str(int(name)) == name for name in ids):
        return [int(name) for name in ids]
    return ids
