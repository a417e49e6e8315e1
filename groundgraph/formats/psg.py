"""PSG's `psg.json` (Yang et al., ECCV 2022): boxes and relations of COCO's images; the masks' boxes stand for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.ids import id_text
from groundgraph.data.text import read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import NOT_ONE, BoxedImage, BoxedImages
from groundgraph.formats.entries import vocabulary

KEYS = ("data", "thing_classes", "stuff_classes", "predicate_classes", "test_image_ids")


def read_psg(path: Path, split: str, skipped: Skipped) -> BoxedImages:
    """The images of a split, with relations as OpenPSG reads them: categories are thing_classes, then stuff_classes.

    Args:
        path: JSON with KEYS; an entry of `data` has image_id, file_name (in COCO's folder), width, height, annotations
            (bbox as x1, y1, x2, y2, category_id from 0) and relations ([subject, object, predicate] from 0).
        split: test (those of test_image_ids) or train.
        skipped: Gets what is left out.

    Raises:
        InputError: The file is no such JSON; names it.
    """
    content = read_json(path, "psg.json of PSG", without="segments_info")  # of the masks: half of the file
    absent = [key for key in KEYS if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if absent:
        raise InputError(f"{path}: has no list `{'`, `'.join(absent)}`; give psg.json as OpenPSG publishes it")
    categories = vocabulary([*content["thing_classes"], *content["stuff_classes"]], path)
    predicates = vocabulary(content["predicate_classes"], path)
    tested = {id_text(key) for key in content["test_image_ids"]}
    images = []
    for entry in content["data"]:
        name = id_text(entry.get("image_id")) if isinstance(entry, dict) else None
        if name is None or (name in tested) != (split == "test"):
            continue
        try:
            boxes = [note["bbox"] for note in entry["annotations"]]
            labels = [note["category_id"] for note in entry["annotations"]]
            frame = float(entry["width"]), float(entry["height"])
            relations = dict.fromkeys(map(tuple, entry["relations"]))  # as OpenPSG: some are there twice
            named = numbered_image(name, entry["file_name"], frame, boxes, labels, relations)
            images.append(named(categories, predicates))
        except NOT_ONE as error:
            skipped.add(name, f"an entry that is not PSG's: {type(error).__name__} {error}")
    return BoxedImages(images, (categories, predicates))


def numbered_image(
    name: str,
    file_name: str,
    frame: tuple[float, float] | None,
    boxes: Any,
    labels: Any,
    relations: Any,
    other_names: tuple[str, ...] = (),
) -> Any:
    """An image whose labels and relations are numbers from 0; gives a function of the names, which makes it.

    Boxes [G, 4] xyxy without area, and relations of them, of a box with itself or of one that is not there, are left
    out. Raises ValueError, TypeError or IndexError for what is none.
    """
    corners = np.array(boxes, np.float64).reshape(-1, 4)
    if len(labels) != len(corners):
        raise ValueError("boxes and labels are of different numbers")
    good = sound(corners)
    places = (np.cumsum(good) - 1).tolist()
    kept = [
        (places[s], p, places[o])
        for s, o, p in relations
        if s != o and 0 <= min(s, o) and max(s, o) < len(good) and good[s] and good[o]
    ]

    def named(categories: Sequence[str], predicates: Sequence[str]) -> BoxedImage:
        if min([*labels, *(p for _, p, _ in kept)], default=0) < 0:
            raise ValueError("a number below 0")
        own = tuple(categories[label] for label, fits in zip(labels, good, strict=True) if fits)
        related = tuple((s, predicates[p], o) for s, p, o in kept)
        return BoxedImage(name, file_name, frame, corners[good], own, related, other_names=other_names)

    return named
