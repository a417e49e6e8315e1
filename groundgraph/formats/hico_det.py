"""HICO-DET as PPDM and QPIC read it (`trainval_hico.json`, `test_hico.json`): person - verb - object."""

from __future__ import annotations

import re
from pathlib import Path

from groundgraph.data.text import read_json, read_text
from groundgraph.data.types import Skipped
from groundgraph.data.vocabulary import COCO80, Vocabulary
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages
from groundgraph.formats.psg import numbered_image

_GAPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # numbers of COCO's 1..90 without a category of the 80
COCO_IDS = {number: place for place, number in enumerate(n for n in range(1, 91) if n not in _GAPS)}
NOTHING = "no_interaction"


def read_hico(path: Path, verbs: Path, skipped: Skipped) -> BoxedImages:
    """The images of a split that have an interaction; "no_interaction" is none.

    Args:
        path: A list of {file_name, annotations: [{bbox: x1, y1, x2, y2, category_id of COCO}], hoi_annotation:
            [{subject_id, object_id, category_id: a verb's number from 1}]}.
        verbs: hico_list_vb.txt, published with HICO: a number and a verb a line.
        skipped: Gets what is left out.

    Raises:
        InputError: A file is missing or no such list; names it.
    """
    lines = read_text(verbs, "hico_list_vb.txt of HICO").splitlines()
    named = {int(m[1]): m[2] for line in lines if (m := re.match(r"\s*(\d+)\s+(\w+)\s*$", line))}
    content = read_json(path, "trainval_hico.json")
    if not isinstance(content, list) or not named or sorted(named) != list(range(1, len(named) + 1)):
        raise InputError(f"{path if named else verbs}: no list as HICO-DET publishes it; fetch it again")
    predicates = tuple(named[number].replace("_", " ") for number in sorted(named))
    nothing = {number for number, name in named.items() if name == NOTHING}
    images: list[BoxedImage] = []
    for entry in content:
        try:
            file = entry["file_name"]
            labels = [COCO_IDS[int(note["category_id"])] for note in entry["annotations"]]
            relations = [
                (int(r["subject_id"]), int(r["object_id"]), int(r["category_id"]) - 1)
                for r in entry["hoi_annotation"]
                if int(r["category_id"]) not in nothing
            ]
            boxes = [note["bbox"] for note in entry["annotations"]]
            image = numbered_image(Path(file).stem, file, None, boxes, labels, relations)(COCO80.names, predicates)
            images += [image] if image.relations else []
        except (KeyError, TypeError, ValueError, IndexError) as error:
            skipped.add(path.name, f"an entry that is not HICO-DET's: {type(error).__name__} {error}")
    kept = tuple(name for name in predicates if name != NOTHING.replace("_", " "))
    return BoxedImages(images, (COCO80.names, Vocabulary(kept).names))
