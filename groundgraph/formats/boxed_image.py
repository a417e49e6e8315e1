"""An image as annotation files have it, whoever wrote them: boxes with names, relations between them, captions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from groundgraph.data.types import Mention
from groundgraph.data.vocabulary import Vocabularies
from groundgraph.errors import InputError
from groundgraph.formats.entries import shortened

NOT_ONE = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)  # what a stranger's entry raises
LARGEST = 1e7  # pixels of a side
End = tuple[str, tuple[float, ...]]  # a relation's subject or object: its label and box


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
        other_names: Where else its file may lie, in order, since data sets are unpacked in more ways than one.
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
    other_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises InputError for what no image can have: its reader leaves it out."""
        names = (self.image_id, self.file_name, *self.labels, *(name for _, name, _ in self.relations))
        for name in names:
            if not isinstance(name, str) or not name or "\0" in name:
                raise InputError(f"a name is {shortened(name)}")
        if self.frame is not None and not all(0 < side < LARGEST for side in self.frame):
            raise InputError(f"its width and height are {shortened(self.frame)}")


@dataclass(frozen=True)
class BoxedImages:
    """The images of a file, with the categories and predicates that it lists; None: it lists none."""

    images: list[BoxedImage]
    vocabularies: Vocabularies | None = None


@dataclass
class RelatedBoxes:
    """An image of a file that lists pairs of boxes: what is of one label and place is one box.

    Attributes:
        places: (label, box xyxy) -> its number.
        relations: (subject's number, predicate, object's number), each once, in order.
    """

    places: dict[End, int] = field(default_factory=dict)
    relations: dict[tuple[int, str, int], None] = field(default_factory=dict)

    def relate(self, subject: End, predicate: str, object_: End) -> bool:
        """Add both ends and, where they are two, their relation; False, and nothing: a box is none or has no area."""
        for x1, y1, x2, y2 in (subject[1], object_[1]):
            if not (-math.inf < x1 < x2 < math.inf and -math.inf < y1 < y2 < math.inf):
                return False
        first, second = (self.places.setdefault(end, len(self.places)) for end in (subject, object_))
        if first != second:
            self.relations[first, predicate, second] = None
        return True

    def image(
        self, name: str, file_name: str, frame: tuple[float, float] | None, other_names: tuple[str, ...] = ()
    ) -> BoxedImage:
        """What has been added, as `BoxedImage` has it."""
        boxes = np.array([box for _, box in self.places], np.float64).reshape(-1, 4)
        labels = tuple(label for label, _ in self.places)
        return BoxedImage(name, file_name, frame, boxes, labels, tuple(self.relations), other_names=other_names)
