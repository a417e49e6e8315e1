"""RefCOCO, RefCOCO+ and RefCOCOg (Kazemzadeh et al. 2014, Yu et al. 2016, Mao et al. 2016): expressions with a box."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import Mention, Skipped
from groundgraph.data.vocabulary import COCO80
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages
from groundgraph.formats.coco_annotations import box, image_id, read_instances
from groundgraph.formats.columnar import COLUMNAR, read_columns
from groundgraph.formats.hico_det import COCO_IDS
from groundgraph.formats.unpickle import read_pickle

ROW = ("ann_id", "image_id", "category_id", "split", "sentences", "bbox", "raw_image_info")


def read_refcoco(path: Path, instances: Path | None, split: str, skipped: Skipped) -> BoxedImages:
    """The images of a split, their captions being its expressions.

    What an expression refers to is what its first noun names ("lady with the blue shirt"): that has its box, the
    others' are not known.

    Args:
        path: refs(unc).p, refs(umd).p or refs(google).p, a pickle of plain values, or its list as JSON: each with
            ann_id, image_id, split and sentences (sent). Or the rows of the Hugging Face hub's jxu124/refcoco (-plus,
            -g), a parquet or Arrow file or a folder of them, which have the columns ROW, boxes among them.
        instances: instances.json beside the pickle: COCO's images, categories and annotations; None for rows.
        split: train, val or test (which are testA and testB together), testA, testB.
        skipped: Gets what is left out.

    Raises:
        InputError: A file is missing, damaged or another; names it.
    """
    refs = _refs(path)
    if not refs or not all(isinstance(ref, dict) and {"sentences", "split"} <= ref.keys() for ref in refs):
        raise InputError(f"{path}: no list of references with sentences and splits; give RefCOCO's refs(unc).p")
    chosen = [ref for ref in refs if ref["split"] == split or (split == "test" and str(ref["split"]).startswith(split))]
    if not chosen:
        there = ", ".join(sorted({str(ref["split"]) for ref in refs}))
        raise InputError(f"{path}: has no split {split!r}; there are {there}: set data.test_split to one of them")
    if instances is None and not all("bbox" in ref for ref in chosen):
        raise InputError(
            f"{path}: its references have no boxes; name instances.json, which is beside it, as data.instances"
        )
    wrong: Counter[str] = Counter()
    listed = _rows(chosen, wrong) if instances is None else {i.image_id: i for i in read_instances(instances, skipped)}
    by_image: dict[str, list[dict[str, Any]]] = {}
    for ref in chosen:
        by_image.setdefault(image_id(ref.get("image_id")) or "", []).append(ref)
    images = [_referred(listed[key], own, wrong) for key, own in by_image.items() if key in listed]
    if instances is not None:
        absent = by_image.keys() - listed.keys()
        wrong["references of images that are not listed"] = sum(len(by_image[key]) for key in absent)
    for what, count in wrong.items():
        if count:
            skipped.add(path.name, f"{count} {what} left out")
    return BoxedImages([image for image in images if image.captions])


def _refs(path: Path) -> list[Any]:
    """The references of a file or folder, as they stand."""
    if path.is_dir() or path.suffix in COLUMNAR:
        files = sorted(file for file in path.rglob("*") if file.suffix in COLUMNAR) if path.is_dir() else [path]
        if not files:
            raise InputError(f"{path}: no file ends in {', '.join(COLUMNAR)}; name RefCOCO's in data.train_annotations")
        return [dict(zip(ROW, row, strict=True)) for file in files for row in read_columns(file, _row_of(file))]
    content = read_json(path, "RefCOCO's references") if path.suffix == ".json" else read_pickle(path)
    return content if isinstance(content, list) else []


def _row_of(path: Path) -> Any:
    def choose(names: Any) -> tuple[str, ...]:
        if absent := [name for name in ROW if name not in names]:
            raise InputError(f"{path}: has no column {', '.join(absent)}; give the rows of jxu124/refcoco")
        return ROW

    return choose


def _rows(refs: list[dict[str, Any]], wrong: Counter[str]) -> dict[str, BoxedImage]:
    """The images that the hub's rows speak of, with the boxes of these rows."""
    files: dict[str, tuple[str, tuple[float, float]]] = {}
    noted: dict[str, dict[str, tuple[list[float], str]]] = {}
    for ref in refs:
        try:
            info = json.loads(ref["raw_image_info"])
            key, annotation, corners = image_id(ref["image_id"]), image_id(ref["ann_id"]), box(ref["bbox"])
            label = COCO80.names[COCO_IDS[int(ref["category_id"])]]
            frame = float(info["width"]), float(info["height"])
            if key is None or annotation is None or corners is None or not sound(np.array(corners))[0]:
                raise ValueError("no box")
            if not isinstance(info["file_name"], str):
                raise TypeError("no file's name")
        except (KeyError, TypeError, ValueError, OverflowError):
            wrong["references without a box or image"] += 1
            continue
        files.setdefault(key, (info["file_name"], frame))
        noted.setdefault(key, {})[annotation] = corners, label
    images = {}
    for key, boxes in noted.items():
        (name, frame), (corners_of, labels) = files[key], zip(*boxes.values(), strict=True)
        images[key] = BoxedImage(key, name, frame, np.array(corners_of), labels, box_ids=tuple(boxes))
    return images


def _referred(image: BoxedImage, refs: list[dict[str, Any]], wrong: Counter[str]) -> BoxedImage:
    """An image with the expressions of its references as captions."""
    rows = {key: row for row, key in enumerate(image.box_ids)}
    captions: list[str] = []
    mentions: list[Mention] = []
    for ref in refs:
        row = rows.get(image_id(ref.get("ann_id")) or "")
        if row is None or not isinstance(ref["sentences"], list):
            wrong["references to a box that is not listed"] += 1
            continue
        for sentence in ref["sentences"]:
            text = sentence.get("sent") if isinstance(sentence, dict) else None
            if isinstance(text, str) and plain(text):
                mentions.append(Mention(len(captions), (0, 0), (row,), entity=0))
                captions.append(plain(text))
            else:
                wrong["empty expressions"] += 1
    return replace(image, captions=tuple(captions), mentions=tuple(mentions))
