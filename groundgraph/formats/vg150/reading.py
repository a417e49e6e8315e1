"""Visual Genome's published files as arrays: `VG-SGG*.h5`, its dictionary, `image_data.json`.

The layout, as scene-graph-TF-release writes it and neural-motifs and Scene-Graph-Benchmark read it. A row of the h5
file is an entry of image_data.json without the four corrupt images. Of N images, B boxes and R relations:

    split [N]                           0 train, 2 test
    img_to_first_box, img_to_last_box   [N] rows of boxes, both included, -1: none; img_to_*_rel: of relationships
    boxes_1024, boxes_512 [B, 4]        centre x, centre y, width, height, the image's longer side being 1024 or 512
    labels [B, 1], predicates [R, 1]    1-based, as the dictionary numbers them; 0 is the background
    relationships [R, 2]                rows of boxes: subject, object
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from groundgraph.data.boxes import inside, shares, sound
from groundgraph.data.ids import id_text, whole_number
from groundgraph.data.numbers import whole
from groundgraph.data.text import plain, read_json
from groundgraph.errors import InputError
from groundgraph.formats.h5 import DAMAGED, dataset, open_h5, taken

CORRUPT = (1592, 1722, 4616, 4617)  # ids of images that cannot be decoded; they have no row in the h5 file
_RANGES = ("img_to_first_box", "img_to_last_box", "img_to_first_rel", "img_to_last_rel")


@dataclass(frozen=True)
class ListedImage:
    """An entry of image_data.json; coco_id is None for the half that is not in COCO; size (width, height), if said."""

    id: int
    coco_id: int | None
    size: tuple[float, float] | None = None


@dataclass(frozen=True)
class VgGraphs:
    """The annotations, by image row.

    Attributes:
        test: [N] bool: the test split.
        box_rows: [N, 2] int64, first and one past the last row of its boxes (equal: none).
        relation_rows: Those of its relations, likewise.
        boxes: [B, 4] float64 xyxy, in fractions of the image's longer side.
        usable: [B] bool: which of the boxes are numbers, have an area and lie in the square of that side.
        labels: [B] int64 from 0.
        relations: [R, 2] int64, rows of boxes.
        predicates: [R] int64 from 0.
        categories: What the labels number.
        predicate_names: What the predicates number.
    """

    test: np.ndarray
    box_rows: np.ndarray
    relation_rows: np.ndarray
    boxes: np.ndarray
    usable: np.ndarray
    labels: np.ndarray
    relations: np.ndarray
    predicates: np.ndarray
    categories: tuple[str, ...]
    predicate_names: tuple[str, ...]

    @property
    def related(self) -> np.ndarray:
        """[N] bool: has a box and a relation (the field's first filter)."""
        return (self.box_rows[:, 1] > self.box_rows[:, 0]) & (self.relation_rows[:, 1] > self.relation_rows[:, 0])

    def image(self, row: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Boxes [G, 4], usable [G], labels [G] and relations [K, 3] (subject, object: among the boxes; predicate)."""
        (a, b), (c, d) = self.box_rows[row], self.relation_rows[row]
        pairs = self.relations[c:d] - a
        return self.boxes[a:b], self.usable[a:b], self.labels[a:b], np.column_stack([pairs, self.predicates[c:d]])

    def outside(self, images: list[ListedImage]) -> int:
        """How many images have a box that does not lie in the picture of the size that is listed in their row."""
        owner, rows = _spans(self.box_rows)
        sizes = np.array([image.size or (np.nan, np.nan) for image in images], np.float64)[owner]
        boxes = self.boxes[rows] * sizes.max(1, keepdims=True)
        out = self.usable[rows] & np.isfinite(sizes[:, 0]) & ~inside(boxes, sizes)
        return len(np.unique(owner[out]))


def read_image_list(path: str | Path) -> list[ListedImage]:
    """image_data.json without the corrupt images, in the order of the h5 file's rows. Raises InputError naming it."""
    raw = read_json(path, "image_data.json of Visual Genome")
    if not isinstance(raw, list):
        raise InputError(f"{path}: not a JSON list of images; give image_data.json of Visual Genome")
    images: dict[int, ListedImage] = {}
    for number, entry in enumerate(raw):
        # Version 1.0 calls it id.
        name = whole_number(entry.get("image_id", entry.get("id"))) if isinstance(entry, dict) else None
        if name is None:
            raise InputError(f"{path}: entry {number} has no whole number as image_id; fetch the file again")
        if name in images:
            raise InputError(f"{path}: lists image {name} twice; fetch the file again")
        coco = whole_number(entry.get("coco_id"))
        if coco is None and id_text(entry.get("coco_id")) is not None:
            raise InputError(f"{path}: entry {number} has a coco_id that is no whole number; fetch the file again")
        sides = [whole_number(entry.get(key)) for key in ("width", "height")]
        size = tuple(sides) if all(side and side > 0 for side in sides) else None
        images[name] = ListedImage(name, coco if coco and coco > 0 else None, size)
    return [image for name, image in images.items() if name not in CORRUPT]


def read_names(path: str | Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(categories, predicates) of VG-SGG-dicts*.json in the order of their numbers, which begin with 1."""
    raw = read_json(path, "VG-SGG-dicts.json of Visual Genome")
    vocabularies = []
    for key in ("label_to_idx", "predicate_to_idx"):
        numbers = raw.get(key) if isinstance(raw, dict) else None
        if not isinstance(numbers, dict):
            raise InputError(f"{path}: has no `{key}`; give VG-SGG-dicts.json of Visual Genome")
        named: dict[int, str] = {}
        for written, value in numbers.items():
            name, number = plain(written), whole_number(value)
            if number is None:
                raise InputError(f"{path}: the number of {name!r} in `{key}` is none; give the file as it is published")
            if number == 0 and name != "__background__":
                raise InputError(
                    f"{path}: number 0 in `{key}` is {name!r}, but 0 stands for the background; the names must count "
                    "from 1, as the h5 file does"
                )
            named[number] = name
        named.pop(0, None)
        count = len(numbers) - ("__background__" in numbers)
        if set(named) != set(range(1, count + 1)):
            raise InputError(f"{path}: `{key}` does not number its names 1 to {count}; fetch the file again")
        vocabularies.append(tuple(named[number] for number in range(1, count + 1)))
    return vocabularies[0], vocabularies[1]


def read_graphs(path: str | Path, dictionary: str | Path) -> VgGraphs:
    """The h5 file with the names of its numbers.

    Raises:
        InputError: One is missing, truncated, of another layout, or they disagree; names file and fix.
    """
    categories, predicate_names = read_names(dictionary)
    raw, side = _arrays(path)
    boxes, relations = raw["boxes"].astype(np.float64), raw["relationships"]
    labels, predicates = (raw[name].reshape(-1) for name in ("labels", "predicates"))
    ranges = np.stack([raw[name].reshape(-1) for name in _RANGES], 1)
    for what, good in (
        ("boxes are not [boxes, 4]", boxes.shape == (len(labels), 4)),
        ("relationships are not [relations, 2]", relations.shape == (len(predicates), 2)),
        ("the four img_to_* and split differ in length", len(ranges) == len(raw["split"])),
        ("a label is beyond the dictionary", _within(labels, 1, len(categories))),
        ("a predicate is beyond the dictionary", _within(predicates, 1, len(predicate_names))),
        ("a relation points beyond the boxes", _within(relations, 0, len(boxes) - 1)),
        ("img_to_*_box points beyond the boxes", _within(ranges[:, :2], -1, len(boxes) - 1)),
        ("img_to_*_rel points beyond the relations", _within(ranges[:, 2:], -1, len(relations) - 1)),
    ):
        if not good:
            raise InputError(f"{path}: {what}; it does not go with {dictionary}, or is damaged: fetch both again")
    if not np.isin(raw["split"], (0, 2)).all():
        values = ", ".join(map(str, np.unique(raw["split"])[:5]))
        raise InputError(f"{path}: split holds {values}, but 0 is training and 2 is test; write it so")
    ends = np.where(ranges[:, [0, 2]] >= 0, ranges[:, [1, 3]] + 1, ranges[:, [0, 2]])
    box_rows, relation_rows = (np.stack([ranges[:, 2 * k], ends[:, k]], 1) for k in (0, 1))
    owner, rows = _spans(relation_rows)
    first, last = box_rows[owner].T
    if not ((relations[rows] >= first[:, None]) & (relations[rows] < last[:, None])).all():
        raise InputError(f"{path}: a relation points to a box of another image; fetch the file again")
    corners = _corners(boxes)
    usable = sound(corners) & inside(corners, (side, side))
    if shares(boxes) or 2 * usable.sum() < len(usable):
        why = "are shares of 0..1" if shares(boxes) else "are no numbers, have no area or lie outside the picture"
        raise InputError(
            f"{path}: {len(boxes) if shares(boxes) else (~usable).sum()} of {len(boxes)} boxes {why}; they must be "
            f"centre x, centre y, width, height in pixels of a picture whose longer side is {side}"
        )
    return VgGraphs(
        raw["split"].reshape(-1) == 2,
        box_rows,
        relation_rows,
        corners / side,
        usable,
        labels - 1,
        relations,
        predicates - 1,
        categories,
        predicate_names,
    )


def _spans(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of ranges [N, 2] of rows, one past the last: whose each row is, and the row."""
    counts = np.maximum(ranges[:, 1] - ranges[:, 0], 0)
    owner = np.repeat(np.arange(len(ranges)), counts)
    return owner, np.arange(len(owner)) + np.repeat(ranges[:, 0] - np.cumsum(counts) + counts, counts)


def _corners(boxes: np.ndarray) -> np.ndarray:
    """Centres and sides to xyxy. Cut to whole numbers, since the public readers do so by writing into integers."""
    with np.errstate(invalid="ignore"):  # infinite boxes become NaN, which are none
        start = np.trunc(boxes[:, :2] - boxes[:, 2:] / 2)
        return np.concatenate([start, start + boxes[:, 2:]], 1)


def _within(values: np.ndarray, low: int, high: int) -> bool:
    return not values.size or (values.min() >= low and values.max() <= high)


def _arrays(path: str | Path) -> tuple[dict[str, np.ndarray], int]:
    """The datasets of the h5 file, the finer boxes as "boxes", and the length of an image's longer side in them."""
    try:
        with open_h5(path, "VG-SGG.h5 of Visual Genome; `groundgraph data check` says where to get it") as file:
            side = next((n for n in (1024, 512) if f"boxes_{n}" in file), None)
            axes = {"relationships": (2,)} | dict.fromkeys(("split", "labels", "predicates", *_RANGES), (1, 2))
            missing = [name for name in axes if name not in file] + ([] if side else ["boxes_1024"])
            if missing:
                raise InputError(f"{path}: holds no {', '.join(missing)}; give VG-SGG.h5 or VG-SGG-with-attri.h5")
            sets = {name: dataset(file, name, path, axes[name]) for name in axes}
            arrays = {name: whole(taken(array, (), path), f"{path}: {name}") for name, array in sets.items()}
            return arrays | {"boxes": taken(dataset(file, f"boxes_{side}", path, (2,)), (), path)}, side
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"{path}: damaged or truncated ({error}); fetch it again") from error
