"""COCO's instances as ground truth: which annotated image is which listed one, and its boxes in upright pixels."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import inside, shares, sound, upright
from groundgraph.data.ids import name_text, whole_number
from groundgraph.data.images import ImageError, image_frame
from groundgraph.data.sources.coco_json import box, entries, image_id, name, number, read_listing, text
from groundgraph.data.types import Example, GroundTruth, Skipped
from groundgraph.errors import InputError


@dataclass(frozen=True)
class Annotated:
    """An image of an instances file: its boxes [G, 4] xyxy in pixels of a picture of `frame`, None: not said."""

    image_id: str
    file_name: str
    frame: tuple[float, float] | None
    boxes: np.ndarray
    labels: tuple[str, ...]


def read_instances(instances: str | Path, skipped: Skipped) -> list[Annotated]:
    """Every image listed with its boxes and their categories' names; crowds are left out.

    instances  JSON with `images` (id, file_name, width, height), `categories` (id, name) and `annotations` (image_id,
               bbox xywh in pixels, category_id, iscrowd)
    Left out and recorded: boxes without area and boxes of unknown categories; images listed twice. Raises InputError,
    naming file and fix, where the file is not such JSON, or a category's id stands for two names.
    """
    listing = read_listing(instances, ("images", "annotations", "categories"))
    names: dict[str, str] = {}
    for key, category, _ in entries(listing, "categories", {"id": image_id, "name": name}, instances, skipped):
        if names.setdefault(key, category) != category:
            raise InputError(f"{instances}: category id {key} is {names[key]!r} and {category!r}; give each its own id")
    noted: dict[str, list[tuple[list[float], str]]] = {}
    readers = {"image_id": image_id, "bbox": box, "category_id": image_id}
    for image, (x, y, width, height), category, note in entries(listing, "annotations", readers, instances, skipped):
        if note.get("iscrowd") is True or whole_number(note.get("iscrowd")):
            continue
        corners = [x, y, x + width, y + height]
        if sound(np.array(corners))[0] and category in names:
            noted.setdefault(image, []).append((corners, names[category]))
        else:
            skipped.add(image, f"a box without area or of an unknown category in {instances}")
    annotated: dict[str, Annotated] = {}
    files: set[str] = set()
    for key, file, entry in entries(listing, "images", {"id": image_id, "file_name": text}, instances, skipped):
        if key in annotated or name_text(file) in files:
            skipped.add(key, f"id {key} or {file} is listed twice in {instances}; the first counts")
            continue
        files.add(name_text(file))
        boxes = noted.get(key, [])
        array = np.array([corners for corners, _ in boxes], np.float64).reshape(-1, 4)
        annotated[key] = Annotated(key, file, _frame(entry), array, tuple(label for _, label in boxes))
    return list(annotated.values())


def add_truth(
    captioned: Sequence[tuple[str, Example]], instances: str | Path, skipped: Skipped, ids: bool = True
) -> list[Example]:
    """Examples with their boxes from an instances file.

    captioned  (file name as it is listed, example)
    ids        whether an example's id is one that the instances file may have; file names count first
    Left out and recorded: boxes outside their picture; all boxes of an image whose frame is not the picture's; images
    that the instances file does not list are counted. Raises InputError as `read_instances`, and where the file lists
    none of the images, or has boxes and none of them fits.
    """
    annotated = read_instances(instances, skipped)
    by_name, by_id = {name_text(a.file_name): a for a in annotated}, {a.image_id: a for a in annotated}
    examples, counts, absent = [], np.zeros(3, np.int64), []
    why = Skipped()
    for file, example in captioned:
        own = by_name.get(name_text(file))
        if own is None and ids and example.image_id in by_id:
            own = by_id[example.image_id]
            if not _same_file(own.file_name, file):
                absent.append(f"id {own.image_id} is {file!r} and there {own.file_name!r}")
                own = None
        elif own is None:
            absent.append(repr(file))
        truth = None if own is None else _truth(own, example, instances, why, counts)
        examples.append(replace(example, truth=truth))
    total, kept, outside = counts.tolist()
    if captioned and len(absent) == len(captioned):
        raise InputError(
            f"{instances}: none of its {len(annotated)} images is among the {len(captioned)} with captions "
            f"({absent[0]}); give the file that belongs to them, or none: --set data.instances=null"
        )
    if total and (not kept or 2 * outside > total):
        raise InputError(
            f"{instances}: {total - kept} of its {total} boxes cannot be the pictures' ({why.items[0][1]}); give bbox "
            "as [x, y, width, height] in pixels of the upright picture, or go without: --set data.instances=null"
        )
    skipped.items.extend(why.items)
    if absent:
        note = f"{len(absent)} of {len(captioned)} images are not in it, so nothing is measured on them: {absent[0]}"
        skipped.add(Path(instances).name, note)
    return examples


def _truth(
    own: Annotated, example: Example, instances: str | Path, skipped: Skipped, counts: np.ndarray
) -> GroundTruth | None:
    """An image's boxes in pixels of its upright picture; counts: boxes there are, kept, outside their picture."""
    try:
        size, orientation = image_frame(example.path)
        counts[0] += len(own.boxes)
        if shares(own.boxes):
            raise InputError("boxes are shares of 0..1, not pixels")
        boxes = upright(own.boxes, own.frame, size, orientation)
    except ImageError:
        return None  # whoever opens the picture next records it
    except InputError as error:
        skipped.add(example.image_id, f"{len(own.boxes)} boxes of {instances} left out: {error}")
        return None
    good = inside(boxes, size)
    counts[1:] += good.sum(), (~good).sum()
    if not good.all():
        pixels = f"{size[0]} x {size[1]} pixels"
        skipped.add(example.image_id, f"{(~good).sum()} boxes of {instances} left out: outside the image of {pixels}")
    boxes = boxes[good].clip(0, np.array([*size, *size])).astype(np.float32)
    return GroundTruth(boxes, tuple(label for label, fits in zip(own.labels, good, strict=True) if fits))


def _frame(entry: dict[str, Any]) -> tuple[float, float] | None:
    width, height = (number(entry.get(key)) for key in ("width", "height"))
    return None if math.isnan(width) or math.isnan(height) else (width, height)


def _same_file(one: str, other: str) -> bool:
    """Whether two names of one id can be one file's: x/1.jpg and 1.jpg, COCO_val2014_000000000139.jpg and 139.jpg."""
    first, second = (name_text(n).rpartition("/")[2].partition(".")[0] for n in (one, other))
    numbers = [(re.search(r"(\d+)$", stem), stem) for stem in (first, second)]
    return first == second or len({int(number[1]) if number else stem for number, stem in numbers}) == 1
