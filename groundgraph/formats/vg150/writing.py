"""Annotations in Visual Genome's VG150 form, on which any model of Scene-Graph-Benchmark's family trains."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from groundgraph.data.files import atomic_write, write_json
from groundgraph.data.types import AnnotatedImage
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.vg150.reading import CORRUPT
from groundgraph.system import link_or_copy

GRAPHS, NAMES, IMAGES = "VG-SGG-with-attri.h5", "VG-SGG-dicts-with-attri.json", "image_data.json"
_WRITER = "groundgraph export"


def write_vg150(folder: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies) -> dict[str, int]:
    """Write the h5 file, its dictionary, the image list and a folder of links to the images, under the usual names.

    The h5 file's layout is scene-graph-TF-release's (`vg_to_roidb.py`), with the attributes that Scene-Graph-Benchmark
    added, all of them 0: none. All images are of split 0; the readers take the first 5,000 of it with a relation for
    validation (`num_val_im`). Boxes are whole numbers on a scale where the image's longer side is 1024: off by half of
    that scale's unit at most. The public readers cut cx - w / 2 to whole numbers, so an odd width's centre is rounded
    up, and the corner comes out as it went in.
    Image ids that are whole numbers stay; if one is not, or is one of the four that the readers pass over, all are
    numbered from 1. images/ID.jpg are links to the images, since the readers build these names, or copies where the
    system has no links. The readers also assert that Visual Genome has 108,073 images; that line of theirs has to go.

    Returns:
        Counts of images, boxes, relations and of images without a box.

    Raises:
        InputError: The folder holds any of these files from elsewhere, such as Visual Genome's own.
    """
    folder = Path(folder)
    _check_folder(folder)
    labelled = list(images)
    if not labelled:
        raise InputError(f"{folder}: no image to export; finish the run first")
    numbers = _numbers([image.image_id for image in labelled])
    boxes = np.array([len(image.boxes) for image in labelled])
    relations = np.array([len(image.relations) for image in labelled])
    first = np.cumsum(boxes) - boxes
    ends = np.concatenate([i.relations[:, :2] + start for i, start in zip(labelled, first, strict=True)])
    labels = np.concatenate([image.labels for image in labelled])
    predicates = np.concatenate([image.relations[:, 2] for image in labelled])
    arrays = {
        **{f"boxes_{side}": np.concatenate([_encoded(i, side) for i in labelled]) for side in (1024, 512)},
        "labels": labels.astype(np.int64)[:, None],
        "attributes": np.zeros((len(labels), 10), np.int64),
        "active_object_mask": np.ones((len(labels), 1), bool),
        "relationships": ends.astype(np.int32),
        "predicates": predicates.astype(np.int64)[:, None],
        "split": np.zeros(len(labelled), np.int32),
        **_ranges("box", boxes),
        **_ranges("rel", relations),
    }
    _write_h5(folder / GRAPHS, arrays)
    write_json(folder / NAMES, _dictionary(vocabularies, labels, predicates))
    entries = [
        {"image_id": number, "width": image.size[0], "height": image.size[1], "coco_id": None, "name": image.image_id}
        for number, image in zip(numbers, labelled, strict=True)
    ]
    write_json(folder / IMAGES, entries)
    links = folder / "images"
    links.mkdir(exist_ok=True)
    for number, image in zip(numbers, labelled, strict=True):
        with atomic_write(links / f"{number}.jpg", sync=False) as link:
            link_or_copy(Path(image.path), link)
    return {
        "images": len(labelled),
        "boxes": len(labels),
        "relations": len(predicates),
        "images without a box": int((boxes == 0).sum()),
    }


def _check_folder(folder: Path) -> None:
    """Its files of the usual names are all an earlier export's, and no image in it is a file."""
    there = [folder / name for name in (GRAPHS, NAMES, IMAGES) if os.path.lexists(folder / name)]
    links = folder / "images"
    images = [path for path in sorted(links.iterdir()) if not path.is_symlink()] if links.is_dir() else []
    if images or (there and not _made_here(folder / GRAPHS)):
        name = (images or there)[0]
        raise InputError(f"{name}: not written by an earlier export, and would be written over; name a new folder")


def _made_here(path: Path) -> bool:
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return file.attrs.get("written_by") == _WRITER
    except OSError:
        return False


def _numbers(ids: list[str]) -> list[int]:
    if all(name.isascii() and name.isdigit() and len(name) < 19 for name in ids):
        numbers = [int(name) for name in ids]
        if len(set(numbers)) == len(numbers) and not set(numbers) & set(CORRUPT):
            return numbers
    free = (n for n in range(1, len(ids) + len(CORRUPT) + 1) if n not in CORRUPT)
    return [number for number, _ in zip(free, ids, strict=False)]


def _encoded(image: AnnotatedImage, side: int) -> np.ndarray:
    """[B, 4] int32 (centre x, centre y, width, height), the longer side of the image being `side`."""
    corners = np.rint(np.asarray(image.boxes, np.float64) * (side / max(image.size)))
    low = corners[:, :2].clip(0, side - 1)
    sides = np.maximum(corners[:, 2:].clip(0, side) - low, 1)  # the readers refuse a side of 0
    return np.concatenate([low + np.ceil(sides / 2), sides], 1).astype(np.int32)


def _ranges(what: str, counts: np.ndarray) -> dict[str, np.ndarray]:
    """Each image's first and last row, both included; -1 where it has none."""
    last = np.cumsum(counts)
    first = last - counts
    bounds = {f"img_to_first_{what}": first, f"img_to_last_{what}": last - 1}
    return {name: np.where(counts > 0, rows, -1).astype(np.int32) for name, rows in bounds.items()}


def _dictionary(vocabularies: Vocabularies, labels: np.ndarray, predicates: np.ndarray) -> dict[str, dict]:
    content: dict[str, dict] = {"attribute_to_idx": {}, "idx_to_attribute": {}, "attribute_count": {}}
    for kind, counted, names, rows in (
        ("label", "object", vocabularies[0], labels),
        ("predicate", "predicate", vocabularies[1], predicates),
    ):
        count = Counter(rows.tolist())
        content[f"{kind}_to_idx"] = {name: k + 1 for k, name in enumerate(names)}
        content[f"idx_to_{kind}"] = {str(k + 1): name for k, name in enumerate(names)}
        content[f"{counted}_count"] = {name: count[k + 1] for k, name in enumerate(names)}
    return content


def _write_h5(path: Path, arrays: dict[str, np.ndarray]) -> None:
    import h5py

    with atomic_write(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["written_by"] = _WRITER
        for name, array in arrays.items():
            file.create_dataset(name, data=array)
