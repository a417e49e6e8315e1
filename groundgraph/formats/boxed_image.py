"""An image as annotation files have it, whoever wrote them: boxes with names, relations between them, captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from groundgraph.data.types import Mention
from groundgraph.data.vocabulary import Vocabularies


@dataclass(frozen=True)
class BoxedImage:
    """An image of an annotation file.

    Attributes:
        image_id: Its name.
        file_name: Its file, relative to an image folder.
        frame: (width, height) of the picture that the boxes belong to, in pixels; (1, 1): the boxes are shares of it;
            None: the file does not say.
        boxes: [G, 4] float64 xyxy in pixels of `frame`.
        labels: G category names.
        relations: (subject box, predicate name, object box), indices into boxes.
        captions: What people wrote of it.
        mentions: Which boxes the captions' words mean.
        scores: G scores of the boxes, where the file has them.
        relation_scores: One a relation, likewise.
        box_ids: G ids of the boxes in the file, "" of one that has none; empty where the format knows none.
    """

    image_id: str
    file_name: str
    frame: tuple[float, float] | None
    boxes: np.ndarray
    labels: tuple[str, ...]
    relations: tuple[tuple[int, str, int], ...] = ()
    captions: tuple[str, ...] = ()
    mentions: tuple[Mention, ...] = ()
    scores: tuple[float, ...] | None = None
    relation_scores: tuple[float, ...] | None = None
    box_ids: tuple[str, ...] = ()


@dataclass(frozen=True)
class BoxedImages:
    """The images of a file, with the categories and predicates that it lists; None: it lists none."""

    images: list[BoxedImage]
    vocabularies: Vocabularies | None = None
