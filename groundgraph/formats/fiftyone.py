"""Annotated images as a dataset folder of FiftyOne."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import atomic_write, check_own, open_text
from groundgraph.data.types import AnnotatedImage
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.formats.annotated import counted_annotations, relation_scores

METADATA, SAMPLES = "metadata.json", "samples.json"
_FIRST = '{"info": {"written_by": "groundgraph export"'


def write_fiftyone(folder: str | Path, images: Iterable[AnnotatedImage], vocabularies: Vocabularies) -> dict[str, int]:
    """A dataset folder of FiftyOne, `fo.Dataset.from_dir(FOLDER, dataset_type=fo.types.FiftyOneDataset)`.

    Pictures stay where they are. A sample has `image_id`, `objects` (detections with label, confidence and `index`)
    and `relations`: detections whose label is the predicate and whose box holds both ends, as FiftyOne has those of
    Open Images, with `subject` and `object` (their `index`), `subject_label` and `object_label`.

    Returns:
        Counts.

    Raises:
        InputError: The folder has such files that are no earlier export, or there is no image.
    """
    folder, counts = Path(folder), {}
    if check_own(folder / METADATA, _FIRST.encode()):
        check_own(folder / SAMPLES, b"")  # none: without our metadata it is another's
    with atomic_write(folder / SAMPLES) as temporary, open_text(temporary) as file:
        file.write('{"samples": [')
        for image in counted_annotations(images, folder, counts):
            file.write(",\n" if counts["images"] > 1 else "\n")
            file.write(json.dumps(_sample(image, vocabularies), ensure_ascii=False))
        file.write("\n]}\n")
    classes = json.dumps({"objects": [*vocabularies[0]], "relations": [*vocabularies[1]]}, ensure_ascii=False)
    with atomic_write(folder / METADATA) as temporary, open_text(temporary) as file:
        # Without a "version", FiftyOne takes the dataset's classes from its info.
        file.write(f'{_FIRST}, "classes": {classes}}}, "media_type": "image"}}\n')
    return counts


def _sample(image: AnnotatedImage, vocabularies: Vocabularies) -> dict[str, Any]:
    labels = [vocabularies[0][label - 1] for label in image.labels.tolist()]
    detections = [
        {"_cls": "Detection", "label": label, "bounding_box": box, "confidence": score, "index": index}
        for index, (label, box, score) in enumerate(
            zip(labels, _shares(image.boxes, image.size), image.scores.astype(float).tolist(), strict=True)
        )
    ]
    subjects, objects = image.boxes[image.relations[:, 0]], image.boxes[image.relations[:, 1]]
    both = np.hstack([np.minimum(subjects, objects)[:, :2], np.maximum(subjects, objects)[:, 2:]])
    rows = zip(image.relations.tolist(), _shares(both, image.size), relation_scores(image), strict=True)
    relations = [
        {
            "_cls": "Detection",
            "label": vocabularies[1][predicate - 1],
            "bounding_box": box,
            "confidence": score,
            "subject": subject,
            "object": object_,
            "subject_label": labels[subject],
            "object_label": labels[object_],
        }
        for (subject, object_, predicate), box, score in rows
    ]
    return {
        "filepath": str(Path(image.path).absolute()),
        "tags": [],
        "image_id": image.image_id,
        "objects": {"_cls": "Detections", "detections": detections},
        "relations": {"_cls": "Detections", "detections": relations},
    }


def _shares(boxes: np.ndarray, size: tuple[int, int]) -> list[list[float]]:
    """Boxes [B, 4] xyxy in pixels as FiftyOne's (left, top, width, height) in shares of the picture."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    sides = np.hstack([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]])
    shares: list[list[float]] = (sides / np.maximum([*size, *size], 1)).round(7).tolist()
    return shares
