"""GQA's graphs: GQA-200 as SHA-GCL splits it (three JSON files), and GQA's own scene graphs (`*_sceneGraphs.json`)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.text import read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import NOT_ONE, BoxedImage, BoxedImages
from groundgraph.formats.entries import name as name_of
from groundgraph.formats.entries import vocabulary
from groundgraph.formats.psg import numbered_image

PARTS = ("filenames_all", "img_info_all", "gt_boxes_all", "gt_classes_all", "relationships_all")
UNUSED = 5579  # of the test file's entries: SHA-GCL leaves it out


def read_gqa(path: Path, names: Path, split: str, skipped: Skipped) -> BoxedImages:
    """The images of a file that have relations.

    Args:
        path: GQA_200_Train.json or GQA_200_Test.json (PARTS, one entry an image, numbers from 1), or GQA's
            *_sceneGraphs.json: image id -> {width, height, objects: {id: {name, x, y, w, h, relations}}}.
        names: GQA_200_ID_Info.json, of the former: ind_to_classes and ind_to_predicates, the first the background.
        split: Of which the file is; SHA-GCL leaves an entry of its test file out.
        skipped: Gets what is left out.

    Raises:
        InputError: A file is no such JSON; names it.
    """
    content = read_json(path, "GQA's graphs", without="attributes")  # nobody's need, a tenth of the memory
    if not isinstance(content, dict):
        raise InputError(f"{path}: no JSON object; give GQA_200_Train.json or train_sceneGraphs.json")
    if not any(part in content for part in PARTS):
        return BoxedImages(_scene_graphs(content, path, skipped))
    if not all(isinstance(content.get(part), list) for part in PARTS) or len({len(content[p]) for p in PARTS}) > 1:
        raise InputError(f"{path}: needs the lists {', '.join(PARTS)}, one entry an image; fetch the file again")
    listed = read_json(names, "GQA_200_ID_Info.json")
    keys = ("ind_to_classes", "ind_to_predicates")
    if not isinstance(listed, dict) or not all(isinstance(listed.get(key), list) for key in keys):
        raise InputError(f"{names}: has no lists {' and '.join(keys)}; give GQA_200_ID_Info.json")
    categories, predicates = (vocabulary(listed[key], names) for key in keys)
    images = []
    for row, (file, info, boxes, labels, relations) in enumerate(zip(*(content[p] for p in PARTS), strict=True)):
        if not relations or not boxes or (split == "test" and row == UNUSED):
            continue
        try:
            name, frame = Path(file).stem, (float(info["width"]), float(info["height"]))
            images.append(numbered_image(name, file, frame, boxes, labels, relations)(categories, predicates))
        except NOT_ONE as error:
            skipped.add(str(file), f"an entry that is not GQA-200's: {type(error).__name__} {error}")
    return BoxedImages(images, (categories[1:], predicates[1:]))


def _scene_graphs(content: dict, path: Path, skipped: Skipped) -> list[BoxedImage]:
    images = []
    for name, graph in content.items():
        try:
            objects = list(graph["objects"].items())
            boxes = [[o["x"], o["y"], o["x"] + o["w"], o["y"] + o["h"]] for _, o in objects]
            corners = np.array(boxes, np.float64).reshape(-1, 4)
            good = sound(corners).tolist()
            kept = [entry for entry, fits in zip(objects, good, strict=True) if fits]
            place = {key: row for row, (key, _) in enumerate(kept)}
            relations = tuple(
                (place[key], name_of(r["name"]), place[str(r["object"])])
                for key, o in kept
                for r in _listed(o.get("relations"))
                if str(r["object"]) in place and str(r["object"]) != key
            )
            frame, labels = (float(graph["width"]), float(graph["height"])), tuple(name_of(o["name"]) for _, o in kept)
            images.append(BoxedImage(name, f"{name}.jpg", frame, corners[good], labels, relations))
        except NOT_ONE as error:
            skipped.add(f"{path.name}: {name}", f"a graph that is not GQA's: {type(error).__name__} {error}")
    return images


def _listed(relations: Any) -> Iterable[Any]:
    """An object's relations: a list in the files, an object in the data set's description."""
    return relations.values() if isinstance(relations, dict) else relations or ()
