"""V-COCO (Gupta and Malik, 2015): who does what, with which object and which instrument, over COCO's boxes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.text import read_json
from groundgraph.data.types import Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImages
from groundgraph.formats.coco_annotations import image_id, read_boxed, read_listing, read_names

KEYS = ("image_id", "ann_id", "label", "action_name", "role_name", "role_object_id")
_PART = re.compile(r"(?:train|val|test)20\d\d(?=[_/])")


def read_vcoco(path: Path, instances: Sequence[Path], skipped: Skipped) -> BoxedImages:
    """The images of a split with an interaction, and all of COCO's boxes in them: agent - verb - object.

    An agent that does something without an object ("smile", or one that is not seen) has no relation by it. Of a verb
    with both roles ("hit", "eat", "cut"), the object is what is hit, and the instrument what is "hit with"; of one with
    one role, whichever it is called, that is its object.

    Args:
        path: vcoco_train.json, vcoco_val.json or vcoco_test.json: a list of verbs with KEYS. `label` says of each agent
            (an annotation's id in `ann_id`, in the image of `image_id`) whether it does so; `role_object_id` is
            [roles x agents] as one list, a role after the other, of annotations' ids, 0 for none.
        instances: COCO's instances of these images: instances_vcoco_all_2014.json, or those of train2014 and val2014;
            2017's have the same ids. A picture is in a folder of its part of COCO: train2014/COCO_train2014_....jpg.
        skipped: Gets what is left out.

    Raises:
        InputError: A file is missing or no such list; names it.
    """
    verbs = read_json(path, "vcoco_train.json of V-COCO")
    if not isinstance(verbs, list) or not all(isinstance(v, dict) and v.keys() >= set(KEYS) for v in verbs):
        raise InputError(f"{path}: no list of verbs with {', '.join(KEYS)}; give V-COCO's data/vcoco/vcoco_train.json")
    predicates: dict[str, int] = {}
    relations: dict[tuple[int, int, int], None] = {}
    shown: set[str] = set()
    for verb in verbs:
        images, agents, done, objects = _columns(verb, path)
        shown |= set(map(str, images.tolist()))
        for role, column in zip(verb["role_name"][1:], objects[1:], strict=True):
            number = predicates.setdefault(predicate_of(verb["action_name"], role, verb["role_name"]), len(predicates))
            rows = (done == 1) & (column > 0)
            relations |= dict.fromkeys(
                (a, number, o) for a, o in zip(agents[rows].tolist(), column[rows].tolist(), strict=True)
            )
    listing = _instances(instances, shown, skipped) | {
        "rel_categories": [{"id": number, "name": name} for name, number in predicates.items()],
        "rel_annotations": [{"subject_id": s, "predicate_id": p, "object_id": o} for s, p, o in relations],
    }
    read = read_boxed(listing, path, skipped)
    if len(read) < len(shown):
        skipped.add(path.name, f"{len(shown) - len(read)} images left out that {instances[0].name} does not list")
    categories = tuple(read_names(listing, "categories", instances[0], skipped).values())
    return BoxedImages([image for image in read if image.relations], (categories, tuple(predicates)))


def predicate_of(verb: str, role: str, roles: Sequence[str]) -> str:
    """A verb's name for one of its roles: hit's "obj" is "hit", its "instr" "hit with"; ride's one role "ride"."""
    words = verb.replace("_", " ")
    return f"{words} with" if role == "instr" and "obj" in roles else words


def _columns(verb: dict[str, Any], path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """A verb's images, agents and labels [N], and its objects [roles, N]."""
    try:
        if not all(isinstance(name, str) for name in (verb["action_name"], *verb["role_name"])):
            raise ValueError("names that are no text")
        images, agents, labels = (np.array(verb[key], np.int64).ravel() for key in ("image_id", "ann_id", "label"))
        objects = np.array(verb["role_object_id"], np.int64).reshape(len(verb["role_name"]), len(agents))
        if not len(images) == len(agents) == len(labels):
            raise ValueError("lists of different lengths")
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: {verb['action_name']!r} is not V-COCO's ({error}); fetch the file again") from error
    return images, agents, labels, objects


def _instances(paths: Sequence[Path], shown: set[str], skipped: Skipped) -> dict[str, Any]:
    """What COCO's files have of the images shown, as one, with the pictures' places."""
    listing: dict[str, Any] = {"images": [], "annotations": [], "categories": []}
    for path in paths:
        if len(listing["images"]) == len(shown):  # a split is in one part of COCO, whose files take minutes to read
            break
        content = read_listing(path, tuple(listing))
        for key, own in (("images", "id"), ("annotations", "image_id")):
            listing[key] += [e for e in content[key] if isinstance(e, dict) and image_id(e.get(own)) in shown]
        listing["categories"] = listing["categories"] or content["categories"]
    listing["images"] = [entry | {"file_name": _place(entry)} for entry in listing["images"]]
    return listing


def _place(entry: dict[str, Any]) -> Any:
    """A picture's file in the folder of its part of COCO, by its name (2014) or address (2017)."""
    name = entry.get("file_name")
    for text in (name, entry.get("coco_url")):
        if isinstance(name, str) and isinstance(text, str) and "/" not in name and (part := _PART.search(text)):
            return f"{part[0]}/{name}"
    return name
