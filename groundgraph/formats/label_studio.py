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
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import quoteattr

import numpy as np

from groundgraph.data.boxes import sound
from groundgraph.data.files import write_json, write_text
from groundgraph.data.ids import id_text
from groundgraph.data.numbers import shortest
from groundgraph.data.text import plain, read_json
from groundgraph.data.types import AnnotatedImage, Skipped
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.boxed_image import BoxedImage, BoxedImages
from groundgraph.formats.entries import field, items, number

_UPLOADED = re.compile(r"^[0-9a-f]{8}-(?=.)")  # what Label Studio puts before an uploaded file's name
_DIRECTIONS = {"right": ((0, 1),), "left": ((1, 0),), "bi": ((0, 1), (1, 0))}
Scores = dict[str, float]


def read_label_studio(path: str | Path, skipped: Skipped, image_key: str = "image") -> BoxedImages:
    """The images of exported tasks with their boxes and relations.

    Of a task the last annotation counts that nobody cancelled, else the first prediction. A turned box is read as the
    upright one around it. A relation of both directions is two; one without a label, or of what is no box, is none.

    Args:
        path: "JSON" as Label Studio exports it: a list of tasks. The short form, JSON-MIN, has no relations.
        skipped: Gets what is left out.
        image_key: What the tasks' `data` call the picture.

    Raises:
        InputError: The file is no such list; names file and fix.
    """
    tasks = read_json(path, "tasks of Label Studio as JSON")
    if not isinstance(tasks, list) or not all(isinstance(t, dict) and isinstance(t.get("data"), dict) for t in tasks):
        raise InputError(
            f'{path}: no list of tasks with "data" and "annotations"; export from Label Studio as JSON, not JSON-MIN'
        )
    images: dict[str, BoxedImage] = {}
    for place, task in enumerate(tasks):
        try:
            image = _image(task, image_key, skipped)
        except InputError as error:
            skipped.add(f"{Path(path).name}: task {task.get('id', place)}", str(error))
            continue
        if image.image_id in images:
            skipped.add(image.image_id, f"is the picture of two tasks in {path}; the first counts")
        images.setdefault(image.image_id, image)
    if tasks and not images:
        raise InputError(f"{path}: no task has a picture with boxes ({skipped.items[0][1]})")
    return BoxedImages(list(images.values()))


def _image(task: dict[str, Any], image_key: str, skipped: Skipped) -> BoxedImage:
    data = task["data"]
    if not isinstance(data.get(image_key), str):
        raise InputError(f'its data have no "{image_key}", but {", ".join(map(repr, data)) or "nothing"}')
    file_name = picture_name(data[image_key])
    name = id_text(data.get("image_id")) or file_name
    scores = data.get("scores") if isinstance(data.get("scores"), dict) else {}
    done = [a for a in items(task, "annotations") if isinstance(a, dict) and not a.get("was_cancelled")]
    chosen = done[-1:] or [p for p in items(task, "predictions") if isinstance(p, dict)][:1]
    if not chosen:
        raise InputError("has neither an annotation nor a prediction")
    results = [result for result in items(chosen[0], "result") if isinstance(result, dict)]
    boxes: dict[str, tuple[list[float], list[str], float]] = {}
    frame, wrong = None, Counter[str]()
    for result in results:
        if not isinstance(result.get("value"), dict) or result.get("type") == "relation":
            continue
        key, value = str(result.get("id")), result["value"]
        labels = value.get(str(result.get("type")))
        names = [plain(label) for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
        if key in boxes:  # a box and its label may be two entries of one id
            boxes[key][1].extend(names)
        elif "width" in value:
            try:
                frame = (
                    number(field(result, "original_width"), "width"),
                    number(field(result, "original_height"), "height"),
                )
                corners = _corners(value, frame)
            except InputError as error:
                wrong[f"box: {error}"] += 1
                continue
            own = result.get("score", scores.get(key))
            boxes[key] = corners, names, float(own) if isinstance(own, int | float) else math.nan
    kept = [key for key, (corners, names, _) in boxes.items() if names and sound(np.array(corners))[0]]
    wrong["box without a label or area"] += len(boxes) - len(kept)
    relations, values = _relations(results, {key: row for row, key in enumerate(kept)}, scores, wrong)
    for what, count in wrong.items():
        if count:
            skipped.add(name, f"{count} left out: {what}")
    own_scores = [boxes[key][2] for key in kept]
    return BoxedImage(
        name,
        file_name,
        frame,
        np.array([boxes[key][0] for key in kept], np.float64).reshape(-1, 4),
        tuple(boxes[key][1][0] for key in kept),
        tuple(relations),
        scores=None if not kept or np.isnan(own_scores).any() else tuple(own_scores),
        relation_scores=None if not values or np.isnan(values).any() else tuple(values),
    )


def _relations(
    results: list[dict[str, Any]], places: dict[str, int], scores: dict[str, Any], wrong: Counter[str]
) -> tuple[list[tuple[int, str, int]], list[float]]:
    relations, values = [], []
    for result in results:
        if result.get("type") != "relation":
            continue
        ids = str(result.get("from_id")), str(result.get("to_id"))
        labels = [plain(label) for label in result.get("labels") or () if isinstance(label, str) and plain(label)]
        if not labels or not all(key in places for key in ids) or ids[0] == ids[1]:
            wrong["relation without a label, or of what is no box"] += 1
            continue
        for first, second in _DIRECTIONS.get(str(result.get("direction", "right")), _DIRECTIONS["right"]):
            for label in labels:
                own = result.get("score", scores.get(f"{ids[first]} {label} {ids[second]}"))
                relations.append((places[ids[first]], label, places[ids[second]]))
                values.append(float(own) if isinstance(own, int | float) else math.nan)
    return relations, values


def _corners(value: dict[str, Any], frame: tuple[float, float]) -> list[float]:
    """A box's [x1, y1, x2, y2] in pixels; turned clockwise about its upper left corner, what is around it."""
    x, y, width, height = (
        number(field(value, key), key) * side / 100
        for key, side in zip(("x", "y", "width", "height"), frame * 2, strict=True)
    )
    angle = math.radians(number(value.get("rotation") or 0, "rotation"))
    across = np.array([0, width * math.cos(angle), -height * math.sin(angle)])
    down = np.array([0, width * math.sin(angle), height * math.cos(angle)])
    xs, ys = (np.append(part, part[1] + part[2]) for part in (across, down))
    return [x + float(xs.min()), y + float(ys.min()), x + float(xs.max()), y + float(ys.max())]


def picture_name(address: str) -> str:
    """The file that a task's address means: local files (`/data/local-files/?d=a/b.jpg`), uploads, addresses, names."""
    parts = urlsplit(address)
    if parts.path.rstrip("/").endswith("/data/local-files") and (chosen := parse_qs(parts.query).get("d")):
        return chosen[0]
    if parts.scheme or "/data/upload/" in parts.path:
        return _UPLOADED.sub("", unquote(parts.path).rpartition("/")[2])
    return address


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
        sides = np.array([*image.size, *image.size], np.float64)
        for row, (box, label, score) in enumerate(
            zip(100 * image.boxes / sides, image.labels.tolist(), shortest(image.scores), strict=True)
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
            scores[f"box{row}"] = score
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
