"""COCO's instances as ground truth: which annotated image is which captioned one, and its boxes in upright pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import inside, shares, upright
from groundgraph.data.ids import name_text
from groundgraph.data.images import ImageError, image_frame
from groundgraph.data.sources.boxed import kept_graph
from groundgraph.data.types import Example, GroundTruth, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage
from groundgraph.formats.coco_annotations import read_instances


def add_truth(
    captioned: Sequence[tuple[str, Example]], instances: str | Path, skipped: Skipped, ids: bool = True
) -> list[Example]:
    """Examples with their boxes from an instances file.

    Args:
        captioned: (file name as it is listed, example) of each image.
        instances: As `read_instances` takes it.
        skipped: Gets what is left out: boxes outside their picture; all boxes of an image whose frame is not the
            picture's; and how many images the instances file does not list.
        ids: Whether an example's id is one that the instances file may have; file names count first.

    Raises:
        InputError: As `read_instances`; the file lists none of the images, or has boxes and none of them fits.
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
    own: BoxedImage, example: Example, instances: str | Path, skipped: Skipped, counts: np.ndarray
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
    boxes, labels, relations = kept_graph(boxes.clip(0, np.array([*size, *size])), own.labels, own.relations, good)
    return GroundTruth(boxes.astype(np.float32), labels, relations)


def _same_file(one: str, other: str) -> bool:
    """Whether two names of one id can be one file's: x/1.jpg and 1.jpg, COCO_val2014_000000000139.jpg and 139.jpg."""
    first, second = (name_text(n).rpartition("/")[2].partition(".")[0] for n in (one, other))
    numbers = [(re.search(r"(\d+)$", stem), stem) for stem in (first, second)]
    return first == second or len({int(number[1]) if number else stem for number, stem in numbers}) == 1
