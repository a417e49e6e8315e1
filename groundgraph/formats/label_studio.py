"""Label Studio's JSON (labelstud.io/guide/task_format): boxes and relations of tasks, in and out.

Boxes are `rectanglelabels` in per cent of the picture; a relation has `from_id`, `to_id`, `direction` and `labels`. A
score that Label Studio would not keep is in the task's `data` too, which it gives back as it was.
"""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.files import write_json, write_text
from groundgraph.data.ids import id_text
from groundgraph.data.images import IMAGE_ENDINGS
from groundgraph.data.numbers import shortest
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import LARGEST, BoxedImage, BoxedImages
from groundgraph.formats.entries import field, items, number

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before an uploaded file's name
_DIRECTIONS = {"right": ((0, 1),), "left": ((1, 0),), "bi": ((0, 1), (1, 0))}
Scores = dict[str, float]
Box = tuple[list[float], list[str], Any]  # corners, labels, Label Studio's score


def read_label_studio(path: str | Path, skipped: Skipped) -> BoxedImages:
    """The images of exported tasks with their boxes and relations.

    Of a task the annotation counts that is marked as ground truth, else the last that nobody cancelled, else the first
    prediction; a task that a person skipped (cancelled annotations alone) is left out. A turned box is read as the
    upright one around it. A relation of both directions is two; one without a label, or of what is no box, is none.
    What has no score, as a box that a person drew, has nan.

    Args:
        path: "JSON" as Label Studio exports it: a list of tasks, or one. The picture is what the task's `data` have
            under "image", or else the one address of a picture in them. The short form, JSON-MIN, has no relations.
        skipped: Gets what is left out.

    Raises:
        InputError: The file is no such list; names file and fix.
    """
    tasks = read_json(path, "tasks of Label Studio as JSON")
    tasks = [tasks] if isinstance(tasks, dict) else tasks
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise InputError(
            f'{path}: no list of tasks with "data" and "annotations"; export from Label Studio as JSON, not JSON-MIN'
        )
    images: dict[str, BoxedImage] = {}
    for place, task in enumerate(tasks):
        try:
            image = _image(task, skipped)
        except InputError as error:
            skipped.add(f"{Path(path).name}: task {task.get('id', place)}", str(error))
            continue
        first = images.get(image.image_id, image)
        if image.other_names and image.other_names != first.other_names:  # two folders have a picture of this name
            longer = image.other_names[0]
            image = replace(image, image_id=longer, file_name=longer, other_names=())
        if image.image_id in images:
            skipped.add(image.image_id, f"is the picture of two tasks in {path}; the first counts")
        images.setdefault(image.image_id, image)
    if tasks and not images:
        raise InputError(f"{path}: no task has a picture with boxes ({skipped.items[0][1]})")
    return BoxedImages(list(images.values()))


def _image(task: dict[str, Any], skipped: Skipped) -> BoxedImage:
    data = task["data"]
    names = picture_names(_address(data))
    name = id_text(data.get("image_id")) or names[0]
    scores = data.get("scores") if isinstance(data.get("scores"), dict) else {}
    annotations = [*items(task, "annotations"), *items(task, "completions")]  # what annotations were called before 1.0
    annotations = [a for a in annotations if isinstance(a, dict)]
    done = [a for a in annotations if not a.get("was_cancelled")]
    if annotations and not done:
        raise InputError("was skipped by who was to annotate it (was_cancelled)")
    done = [a for a in done if a.get("ground_truth") is True] or done
    chosen = done[-1:] or [p for p in items(task, "predictions") if isinstance(p, dict)][:1]
    if not chosen:
        raise InputError("has neither an annotation nor a prediction")
    results = [result for result in items(chosen[0], "result") if isinstance(result, dict)]
    wrong = Counter[str]()
    frame, boxes = _boxes(results, wrong)
    kept = [key for key, (corners, labels, _) in boxes.items() if labels and sound(np.array(corners))[0]]
    wrong["box without a label or area"] += len(boxes) - len(kept)
    wrong["label of a box that has another, the first"] += sum(len(set(boxes[key][1])) - 1 for key in kept)
    relations, values = _relations(results, {key: row for row, key in enumerate(kept)}, scores, wrong)
    for what, count in wrong.items():
        if count:
            skipped.add(name, f"{count} left out: {what}")
    own_scores = [scores.get(f"{key} {boxes[key][1][0]}") if scores else boxes[key][2] for key in kept]
    return BoxedImage(
        name,
        names[0],
        frame,
        np.array([boxes[key][0] for key in kept], np.float64).reshape(-1, 4),
        tuple(boxes[key][1][0] for key in kept),
        tuple(relations),
        scores=_scores(own_scores),
        relation_scores=_scores(values),
        other_names=names[1:],
    )


def _address(data: dict[str, Any]) -> str:
    """The picture's address in a task's data, whatever it is called there."""
    addresses = {key: value for key, value in data.items() if isinstance(value, str)}
    pictures = [key for key in addresses if Path(picture_names(addresses[key])[0]).suffix.lower() in IMAGE_ENDINGS]
    key = "image" if "image" in addresses else pictures[0] if len(pictures) == 1 else None
    if key is None:
        there = ", ".join(map(repr, data)) or "nothing"
        raise InputError(f'its data have no "image" nor one address of a picture, but {there}; name it "image"')
    return addresses[key]


def _boxes(results: list[dict[str, Any]], wrong: Counter[str]) -> tuple[tuple[float, float], dict[str, Box]]:
    """Their frame, (width, height) in pixels, and id -> box; (1, 1): nothing says how large the picture is."""
    sizes = [tuple(r.get(key) for key in ("original_width", "original_height")) for r in results]
    known = (size for size in sizes if all(isinstance(side, int | float) and 0 < side < LARGEST for side in size))
    frame = next(known, (1, 1))
    boxes: dict[str, Box] = {}
    for place, result in enumerate(results):
        value, kind = result.get("value"), str(result.get("type"))
        if not isinstance(value, dict) or kind == "relation":
            continue
        key = str(result["id"]) if result.get("id") is not None else f"#{place}"  # predictions need none
        labels = value.get(kind) if kind.endswith("labels") else None  # others, such as choices, are no categories
        names = [plain(label) for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
        if key in boxes:  # a box and its label may be two entries of one id
            boxes[key][1].extend(names)
        elif {"width", "height"} <= value.keys():
            try:
                boxes[key] = _corners(value, frame), names, result.get("score")
            except InputError as error:
                wrong[f"box: {error}"] += 1
        elif kind.endswith("labels") and kind != "labels":
            wrong[f"{kind}, which are no rectangles"] += 1
    return frame, boxes


def _scores(values: list[Any]) -> tuple[float, ...] | None:
    """Scores, nan where there is none; None where there are none at all."""
    numbers = tuple(float(v) if isinstance(v, int | float) else math.nan for v in values)
    return None if all(map(math.isnan, numbers)) else numbers


def _relations(
    results: list[dict[str, Any]], places: dict[str, int], scores: dict[str, Any], wrong: Counter[str]
) -> tuple[list[tuple[int, str, int]], list[Any]]:
    relations, values = [], []
    for result in results:
        if result.get("type") != "relation":
            continue
        ids, listed = (str(result.get("from_id")), str(result.get("to_id"))), result.get("labels")
        names = [plain(name) for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
        if not any(names) or not all(key in places for key in ids) or ids[0] == ids[1]:
            wrong["relation without a label, or of what is no box"] += 1
            continue
        for first, second in _DIRECTIONS.get(str(result.get("direction", "right")), _DIRECTIONS["right"]):
            for name in filter(None, names):
                relations.append((places[ids[first]], name, places[ids[second]]))
                values.append(scores.get(f"{ids[first]} {name} {ids[second]}") if scores else result.get("score"))
    return relations, values


def _corners(value: dict[str, Any], frame: tuple[float, float]) -> list[float]:
    """A box's [x1, y1, x2, y2] in pixels; turned clockwise about its upper left corner, what is around it."""
    x, y, width, height = (
        number(field(value, key), key) * side / 100
        for key, side in zip(("x", "y", "width", "height"), frame * 2, strict=True)
    )
    angle = math.radians(number(value.get("rotation") or 0, "rotation"))
    if angle and frame == (1, 1):
        raise InputError("turned, and nothing says how large the picture is (original_width, original_height)")
    across = np.array([0, width * math.cos(angle), -height * math.sin(angle)])
    down = np.array([0, width * math.sin(angle), height * math.cos(angle)])
    xs, ys = (np.append(part, part[1] + part[2]) for part in (across, down))
    return [x + float(xs.min()), y + float(ys.min()), x + float(xs.max()), y + float(ys.max())]


def picture_names(address: str) -> tuple[str, ...]:
    """The file that a task's address means, and what else it may be called in a folder of pictures.

    Local files (`/data/local-files/?d=a/b.jpg`) are relative to a folder of Label Studio's, which may be one above
    that of the pictures; uploads have eight characters before their names; other addresses and paths have folders.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # "http://[": no address
        return (address,)
    if parts.path.rstrip("/").endswith("/data/local-files") and (chosen := parse_qs(parts.query).get("d")):
        folders = chosen[0].replace("\\", "/").strip("/").split("/")  # of a server on Windows
        return tuple("/".join(folders[k:]) for k in range(len(folders)))
    if not parts.scheme and not address.startswith("/"):
        return (address,)
    folders = unquote(parts.path).strip("/").split("/")
    if "/data/upload/" in parts.path:
        return tuple(dict.fromkeys((_UPLOADED.sub("", folders[-1]), folders[-1])))
    return folders[-1], *("/".join(folders[k:]) for k in range(len(folders) - 1))


def write_label_studio(
    path: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies
) -> dict[str, int]:
    """Write tasks whose predictions are the labels, for a person to correct, and beside them the labelling set-up.

    The set-up is a file of the same name that ends in .xml, with all categories and predicates. A picture is named
    relative to the folder that all are in, as `/data/local-files/?d=NAME`: serve that folder as local storage.

    Returns:
        Counts.
    """
    labelled, tasks = list(images), []
    if not labelled:
        raise InputError(f"{path}: no image to export; finish the run first")
    root = os.path.commonpath([Path(image.path).absolute().parent for image in labelled])
    categories, predicates = vocabularies
    for image in labelled:
        file_name = Path(os.path.relpath(Path(image.path).absolute(), root)).as_posix()
        results: list[dict[str, Any]] = []
        scores: Scores = {}
        shares = image.boxes / np.array([*image.size, *image.size], np.float64)
        for row, (box, label, score) in enumerate(
            zip(100 * shares, image.labels.tolist(), shortest(image.scores), strict=True)
        ):
            x1, y1, x2, y2 = box.tolist()
            value = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "rotation": 0}
            value["rectanglelabels"] = [categories[label - 1]]
            results.append(
                {
                    "id": f"box{row}",
                    "type": "rectanglelabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": image.size[0],
                    "original_height": image.size[1],
                    "image_rotation": 0,
                    "value": value,
                    "score": score,
                }
            )
            scores[f"box{row} {categories[label - 1]}"] = score
        values = [None] * len(image.relations) if image.relation_scores is None else shortest(image.relation_scores)
        for (subject, object_, predicate), score in zip(image.relations.tolist(), values, strict=True):
            name = predicates[predicate - 1]
            relation = {"from_id": f"box{subject}", "to_id": f"box{object_}", "type": "relation", "direction": "right"}
            results.append(relation | {"labels": [name]} | ({} if score is None else {"score": score}))
            if score is not None:
                scores[f"box{subject} {name} box{object_}"] = score
        data = {"image": f"/data/local-files/?d={quote(file_name)}", "image_id": image.image_id, "scores": scores}
        tasks.append({"data": data, "predictions": [{"model_version": "groundgraph", "result": results}]})
    write_json(Path(path), tasks)
    write_text(Path(path).with_suffix(".xml"), _setup(categories, predicates))
    return {
        "images": len(labelled),
        "boxes": sum(len(image.boxes) for image in labelled),
        "relations": sum(len(image.relations) for image in labelled),
    }


def _setup(categories: Iterable[str], predicates: Iterable[str]) -> str:
    """The labelling set-up ("Labeling Interface", code) of boxes with categories and relations with predicates."""
    labels = "\n".join(f"    <Label value={quoteattr(name)}/>" for name in categories)
    relations = "\n".join(f"    <Relation value={quoteattr(name)}/>" for name in predicates)
    return (
        '<View>\n  <Image name="image" value="$image"/>\n  <RectangleLabels name="label" toName="image">\n'
        f"{labels}\n  </RectangleLabels>\n  <Relations>\n{relations}\n  </Relations>\n</View>\n"
    )
