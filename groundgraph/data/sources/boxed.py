"""Annotated boxes and relations as examples: in pixels of the upright picture, with the set of triplets that they say.

Two triplets that name one category are not known to share an object, nor a triplet to hold of one pair alone: of
"person wear shirt", said of two persons, one triplet is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import inside, shares, sound, upright
from groundgraph.data.images import image_frame, locate_any
from groundgraph.data.types import Example, GroundTruth, Mention, Skipped
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage

Relation = tuple[int, str, int]
Words = tuple[str, str, str]


def picture_of(image: BoxedImage, folder: str | Path) -> Path:
    """Where an image's picture lies in a folder. Raises ImageError naming the usual place, if it is nowhere."""
    return locate_any(folder, (image.file_name, *image.other_names))


def boxed_example(image: BoxedImage, folder: str | Path | None, skipped: Skipped, cut: bool = False) -> Example | None:
    """An image with what is trained on (its captions, else its triplets) and its boxes as the truth.

    A box that reaches beyond the picture is left out with its relations, or cut.

    Args:
        image: As a file has it.
        folder: Of the pictures; None: without pictures, the image is as large as the file says, else as its boxes
            reach.
        skipped: Gets what is left out.
        cut: Where the file says how large the picture is, boxes end at its sides, as public loaders have it
            (clip_to_image); only one that has nothing in it is left out.

    Returns:
        The example; None, and recorded: its picture cannot be used or nothing is left of it.
    """
    path, size, boxes, known = Path(image.file_name), None, image.boxes, True
    try:
        if image.frame != (1, 1) and shares(boxes):
            raise InputError("boxes are shares of 0..1, not pixels: multiply them by the picture's width and height")
        if folder is not None:
            path = picture_of(image, folder)
            size, orientation = image_frame(path)
            boxes = upright(boxes, image.frame, size, orientation)
        elif image.frame == (1, 1):
            raise InputError("its boxes are shares of the picture: name the folder of the pictures, data.images")
    except InputError as error:
        skipped.add(image.image_id, str(error))
        return None
    if size is None:
        known = image.frame is not None
        width, height = image.frame or np.ceil(boxes[:, 2:].max(0, initial=1)).tolist()
        size = int(width), int(height)
    good = inside(boxes, size)
    if cut and image.frame is not None and not good.all():
        ends = ~good & sound(boxes.clip(0, np.array([*size, *size])))
        good |= ends
        if ends.any():
            beyond = f"{ends.sum()} boxes that reach beyond the image of {size[0]} x {size[1]} pixels end at its sides"
            skipped.add(image.image_id, beyond)
    labels, relations = image.labels, image.relations
    if known and not good.all():
        boxes, labels, relations = kept_graph(boxes, labels, relations, good)
        lost = f"{(~good).sum()} boxes left out that reach beyond the image of {size[0]} x {size[1]} pixels"
        skipped.add(image.image_id, f"{lost}, with {len(image.relations) - len(relations)} relations")
    mentions = image.mentions if known and good.all() else _kept_mentions(image.mentions, good)
    triplets: tuple[Words, ...] = ()
    if not image.captions:
        triplets, mentions = unlocalized(labels, relations)
        if not triplets:
            skipped.add(image.image_id, "has no relation")
            return None
    boxes = boxes.clip(0, np.array([*size, *size])).astype(np.float32)
    truth = GroundTruth(boxes, labels, tuple(relations), mentions)
    own_size = None if folder is not None else size
    return Example(image.image_id, str(path), image.captions, triplets, truth, own_size)


def kept_graph(
    boxes: np.ndarray, labels: Sequence[str], relations: Sequence[Relation], good: np.ndarray
) -> tuple[np.ndarray, tuple[str, ...], tuple[Relation, ...]]:
    """The boxes [G, 4] that are good ([G] bool), their labels, and the relations between them, renumbered."""
    places = (np.cumsum(good) - 1).tolist()
    return (
        boxes[good],
        tuple(label for label, fits in zip(labels, good, strict=True) if fits),
        tuple((places[s], p, places[o]) for s, p, o in relations if good[s] and good[o]),
    )


def _kept_mentions(mentions: Sequence[Mention], good: np.ndarray) -> tuple[Mention, ...]:
    """Mentions of boxes that are left, renumbered."""
    places = (np.cumsum(good) - 1).tolist()
    kept = ((m, tuple(places[box] for box in m.objects if good[box])) for m in mentions)
    return tuple(Mention(m.caption, m.span, boxes, m.entity) for m, boxes in kept if boxes)


def unlocalized(labels: Sequence[str], relations: Sequence[Relation]) -> tuple[tuple[Words, ...], tuple[Mention, ...]]:
    """The set of triplets of names that relations say, in order, and which boxes may be meant by each end of each."""
    meant: dict[Words, tuple[set[int], set[int]]] = {}
    for s, p, o in relations:
        ends = meant.setdefault((labels[s], p, labels[o]), (set(), set()))
        ends[0].add(s)
        ends[1].add(o)
    mentions = tuple(
        Mention(number, (0, 0), tuple(sorted(objects)), end)
        for number, ends in enumerate(meant.values())
        for end, objects in enumerate(ends)
    )
    return tuple(meant), mentions
