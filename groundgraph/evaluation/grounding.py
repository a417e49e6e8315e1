"""Grounding accuracy: is an entity's best region where the thing it names truly is?

A tie for the best regions is broken at random: what is reported is the exact expectation over that draw, so that a rule
that cannot tell two regions apart gets what chance gives it and the figures have no noise of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from groundgraph.data.boxes import box_iou
from groundgraph.data.types import Example, GroundTruth, Mention, ParsedCaption, Span
from groundgraph.errors import InputError

T = TypeVar("T")
Same = Callable[[str, str], bool]
EntityObjects = list[list[tuple[int, ...]]]


@dataclass(frozen=True)
class GroundedEntities:
    """The entities of one image whose true boxes are known.

    Attributes:
        scores: [E, V], the higher, the rather the entity is that region.
        boxes: [V, 4] xyxy in pixels, the regions.
        true_boxes: E arrays [k, 4]; any of the k is right.
        groups: name -> [E] bool, which entities belong to it; "all" is always reported.
    """

    scores: np.ndarray
    boxes: np.ndarray
    true_boxes: Sequence[np.ndarray]
    groups: Mapping[str, np.ndarray] = field(default_factory=dict)


def region_hits(boxes: np.ndarray, true_boxes: Sequence[np.ndarray], threshold: float = 0.5) -> np.ndarray:
    """Which regions are right for which entity: those whose IoU with any of its true boxes reaches the threshold.

    Args:
        boxes: [V, 4] xyxy, the regions; sides are x2 - x1.
        true_boxes: E arrays [k, 4].
        threshold: of the IoU.

    Returns:
        [E, V] bool.
    """
    hits = np.zeros((len(true_boxes), len(boxes)), bool)
    if not hits.size:
        return hits
    owner = np.repeat(np.arange(len(true_boxes)), [len(b) for b in true_boxes])
    true = np.concatenate([np.reshape(b, (-1, 4)) for b in true_boxes]).astype(np.float64)[:, None]
    boxes = np.asarray(boxes, np.float64)[None]
    np.logical_or.at(hits, owner, box_iou(true, boxes) >= threshold)
    return hits


def expected_recall(scores: np.ndarray, hits: np.ndarray, k: int = 1) -> np.ndarray:
    """Probability that one of an entity's k best regions is right, ties being broken at random.

    With k = 1 it is the mean correctness of the regions tied for the top. Regions above the k-th best score are
    certainly among the k; the places left are drawn without replacement from those that equal it: the miss probability
    is hypergeometric.

    Args:
        scores: [E, V].
        hits: [E, V] bool, which regions are right.
        k: how many regions count.

    Returns:
        [E] float64.

    Raises:
        InputError: on a score that is not a number.
    """
    if np.isnan(scores).any():
        raise InputError("a grounding score is not a number: the grounder diverged or a region has no features")
    entities, regions = scores.shape
    if not regions or not entities:
        return np.zeros(entities)
    k = min(k, regions)
    border = np.partition(scores, regions - k, axis=1)[:, regions - k, None]
    above, tied = scores > border, scores == border
    places, members, right = k - above.sum(1), tied.sum(1), (tied & hits).sum(1)
    miss = np.ones(entities)
    for drawn in range(k):
        still = drawn < places
        miss *= np.where(still, np.clip(members - right - drawn, 0, None) / np.maximum(members - drawn, 1), 1.0)
    return np.where((above & hits).any(1), 1.0, 1.0 - miss)


def stacked(images: Sequence[np.ndarray], fill: float | bool) -> np.ndarray:
    """Images' arrays [E, V], each of its own size, as one [sum E, max V]; `fill` stands where an image has no region.

    Of finite scores filled with -inf, and hits with False, `expected_recall` gives what it gives of each image alone.
    """
    table = np.full((sum(map(len, images)), max((own.shape[1] for own in images), default=0)), fill)
    start = 0
    for own in images:
        table[start : start + len(own), : own.shape[1]] = own
        start += len(own)
    return table


def in_parts(images: Iterable[T], size: int = 512) -> Iterator[list[T]]:
    """Images, so many at a time that arrays of all are worth it and memory does not grow with the data."""
    iterator = iter(images)
    while part := list(islice(iterator, size)):
        yield part


def grounding_accuracy(
    images: Iterable[GroundedEntities], groups: Sequence[str] = ("ambiguous", "unseen")
) -> dict[str, dict[str, float | int | None]]:
    """Grounding metrics over the entities of many images.

    Args:
        images: one after the other; one without regions counts 0 for its entities.
        groups: names of GroundedEntities.groups that are reported beside "all".

    Returns:
        {"accuracy", "recall@3", "chance", "upper", "counts"}, each {"all" and each of `groups`: fraction of 1}.
        accuracy: the top region is right; recall@3: one of the top three is (box recall of the pseudo labels); chance:
        a region drawn uniformly is; upper: any region is. A group without an entity has None, and 0 in counts.

    Raises:
        InputError: where shapes disagree, naming them.
    """
    rows, members = [np.zeros((0, 4))], [np.zeros((0, 1 + len(groups)), bool)]
    for part in in_parts(images):
        all_scores, all_hits = [], []
        for image in part:
            entities, regions = len(image.true_boxes), len(image.boxes)
            scores = np.asarray(image.scores, np.float64).reshape(entities, -1) if entities else np.zeros((0, regions))
            if scores.shape != (entities, regions):
                raise InputError(f"scores are {np.shape(image.scores)} for {entities} entities and {regions} regions")
            all_scores.append(np.maximum(scores, np.finfo(np.float64).min))
            all_hits.append(region_hits(image.boxes, image.true_boxes))
            masks = [np.asarray(image.groups.get(name, np.zeros(entities, bool)), bool) for name in groups]
            members.append(np.column_stack([np.ones(entities, bool), *masks]))
        scores, hits = stacked(all_scores, -np.inf), stacked(all_hits, False)
        regions = np.repeat([own.shape[1] for own in all_hits], list(map(len, all_hits)))
        recalls = [expected_recall(scores, hits, k) for k in (1, 3)]
        rows.append(np.column_stack([*recalls, hits.sum(1) / np.maximum(regions, 1), hits.any(1)]))
    table, members_of = np.concatenate(rows), np.concatenate(members)
    result: dict[str, dict[str, float | int | None]] = {
        name: {} for name in ("accuracy", "recall@3", "chance", "upper", "counts")
    }
    for group, mask in zip(("all", *groups), members_of.T, strict=True):
        means = table[mask].mean(0).tolist() if mask.any() else [None] * 4
        for name, value in zip(result, [*means, int(mask.sum())], strict=True):
            result[name][group] = value
    return result


def entity_truth(example: Example, parsed: Sequence[ParsedCaption]) -> EntityObjects:
    """Which true objects each parsed entity means, where the data has mentions (MiniGenome).

    An entity is tied to the mention whose span overlaps its head noun; of several, the one that covers more of the
    head, then the shorter one. A mention that names its entity by number (an unlocalized triplet's) is that entity's.

    Args:
        example: the image; one without truth gives () everywhere.
        parsed: parsed[c] is the parse of the caption that mentions call number c.

    Returns:
        `[caption][entity]` -> tuple of object indices, () where unknown.
    """
    mentions: dict[int, list[Mention]] = {}
    for mention in example.truth.mentions if example.truth else ():
        mentions.setdefault(mention.caption, []).append(mention)
    return [
        [_mentioned(i, entity.head_span, mentions.get(c, ())) for i, entity in enumerate(caption.entities)]
        for c, caption in enumerate(parsed)
    ]


def category_truth(example: Example, parsed: Sequence[ParsedCaption], same: Same) -> EntityObjects:
    """For data without mentions (COCO): an entity means every true box of the category its noun names, () if none.

    Args:
        example: the image.
        parsed: its captions.
        same: (word, category) -> whether the noun names the category.

    Returns:
        As `entity_truth`.
    """
    labels = example.truth.labels if example.truth else ()
    categories = sorted(set(labels))
    names = {entity.name for caption in parsed for entity in caption.entities}
    meant = {name: {c for c in categories if same(name, c)} for name in names}
    objects = {name: tuple(i for i, label in enumerate(labels) if label in meant[name]) for name in names}
    return [[objects[entity.name] for entity in caption.entities] for caption in parsed]


def ambiguous(truth: GroundTruth, objects: Sequence[Sequence[int]]) -> np.ndarray:
    """Which entities are ambiguous: the image holds another object of their category, which they do not mean.

    Args:
        truth: of the image.
        objects: each of E entities' true objects, as `entity_truth` gives them.

    Returns:
        [E] bool.
    """
    return np.array([_has_rival(truth.labels, tuple(meant)) for meant in objects], bool)


def unseen(
    truth: GroundTruth, objects: Sequence[Sequence[int]], detector_categories: Iterable[str], same: Same
) -> np.ndarray:
    """Which entities the detector was never taught: no true category of theirs is among its categories.

    Args:
        truth: of the image.
        objects: each of E entities' true objects, as `entity_truth` gives them.
        detector_categories: what the detector names.
        same: (true category, detector category) -> whether they are the same.

    Returns:
        [E] bool.
    """
    detector_categories = tuple(detector_categories)
    taught = {label for label in set(truth.labels) if any(same(label, c) for c in detector_categories)}
    return np.array([bool(meant) and taught.isdisjoint(truth.labels[i] for i in meant) for meant in objects], bool)


def _mentioned(number: int, head: Span, mentions: Iterable[Mention]) -> tuple[int, ...]:
    """The objects of the mention that is an entity's, () where none is."""
    for mention in mentions:
        if mention.entity == number:
            return mention.objects
    ranked = [(min(head[1], m.span[1]) - max(head[0], m.span[0]), m.span[0] - m.span[1], m.objects) for m in mentions]
    ranked = [r for r in ranked if r[0] > 0]
    return max(ranked, key=lambda r: r[:2])[2] if ranked else ()


def _has_rival(labels: Sequence[str], meant: tuple[int, ...]) -> bool:
    categories = {labels[i] for i in meant}
    return any(label in categories and i not in meant for i, label in enumerate(labels))
