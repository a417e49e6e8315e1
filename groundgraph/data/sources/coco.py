"""COCO: a captions file and an image folder, with an instances file as ground truth where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.images import ImageError, locate
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import Example, GroundTruth, Skipped
from groundgraph.errors import InputError


def read_coco(
    captions: str | Path, images: str | Path, skipped: Skipped, instances: str | Path | None = None
) -> list[Example]:
    """The examples of a COCO captions file, in the order of its image list.

    captions   JSON with `images` (id, file_name) and `annotations` (image_id, caption)
    images     the folder that file_name is relative to
    instances  as `read_instances` takes it
    Left out and recorded: images that are missing, without a caption, listed twice or outside the folder; empty
    captions; captions of images not listed. Raises InputError, naming file and fix, where a file is not such JSON.
    """
    listing = _listing(captions, ("images", "annotations"))
    spoken: dict[str, list[str]] = {}
    for note in _entries(listing, "annotations", ("image_id", "caption"), captions, skipped):
        text = plain(str(note["caption"]))
        if text:
            spoken.setdefault(plain(str(note["image_id"])), []).append(text)
        else:
            skipped.add(str(note["image_id"]), f"an empty caption in {captions}")
    truths = {} if instances is None else read_instances(instances, skipped)
    listed: set[str] = set()
    examples = []
    for entry in _entries(listing, "images", ("id", "file_name"), captions, skipped):
        name, file = plain(str(entry["id"])), str(entry["file_name"])
        if name in listed:
            skipped.add(name, f"image id {name} is listed twice in {captions}; the first counts")
            continue
        listed.add(name)
        try:
            path = locate(images, file)
        except ImageError as error:
            skipped.add(name, str(error))
            continue
        if name in spoken:
            examples.append(Example(name, str(path), tuple(spoken[name]), truth=truths.get(file)))
        else:
            skipped.add(name, f"{file} is listed without a caption in {captions}")
    for name in spoken.keys() - listed:
        skipped.add(name, f"{len(spoken[name])} captions of an image that {captions} does not list")
    return examples


def read_instances(instances: str | Path, skipped: Skipped) -> dict[str, GroundTruth]:
    """file_name -> its boxes with category names, for every image listed; crowds are left out.

    instances  JSON with `images`, `categories` (id, name) and `annotations` (image_id, bbox xywh, category_id, iscrowd)
    Left out and recorded: boxes without area and boxes of unknown categories. Raises InputError as `read_coco`.
    """
    listing = _listing(instances, ("images", "annotations", "categories"))
    names = {
        entry["id"]: plain(str(entry["name"]))
        for entry in _entries(listing, "categories", ("id", "name"), instances, skipped)
    }
    found: dict[Any, list[tuple[list[float], str]]] = {}
    for note in _entries(listing, "annotations", ("image_id", "bbox", "category_id"), instances, skipped):
        if note.get("iscrowd"):
            continue
        try:
            x, y, width, height = (float(v) for v in note["bbox"])
        except (TypeError, ValueError):
            width = height = 0.0
        if not (0 < width < np.inf and 0 < height < np.inf) or note["category_id"] not in names:
            skipped.add(str(note["image_id"]), f"a box without area or of an unknown category in {instances}")
            continue
        box = [x, y, x + width, y + height]
        found.setdefault(note["image_id"], []).append((box, names[note["category_id"]]))
    truths = {}
    for entry in _entries(listing, "images", ("id", "file_name"), instances, skipped):
        boxes = found.get(entry["id"], [])
        array = np.array([box for box, _ in boxes], np.float32).reshape(-1, 4)
        truths[str(entry["file_name"])] = GroundTruth(array, tuple(name for _, name in boxes))
    return truths


def _listing(path: str | Path, keys: tuple[str, ...]) -> dict[str, Any]:
    """The JSON object of a file, with lists under `keys`. Raises InputError naming the file, the line and the fix."""
    content = read_json(path, "a file of COCO annotations")
    absent = [key for key in keys if not isinstance(content, dict) or not isinstance(content.get(key), list)]
    if absent:
        raise InputError(f"{path}: has no list `{'`, `'.join(absent)}`; it must be a COCO annotation file")
    return content


def _entries(
    listing: dict[str, Any], part: str, keys: tuple[str, ...], path: str | Path, skipped: Skipped
) -> Iterator[dict[str, Any]]:
    """The entries of a list that have all the keys, each a number or a text (bbox: a list); others are recorded."""
    for number, entry in enumerate(listing[part]):
        if isinstance(entry, dict) and all(
            isinstance(entry.get(key), list if key == "bbox" else str | int | float) for key in keys
        ):
            yield entry
        else:
            skipped.add(f"{Path(path).name}: {part}[{number}]", f"has no {' and '.join(keys)}")
