"""What becomes of a model's answers, in operations that ONNX has: which objects and relations of an image are shown."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor

from groundgraph.sgg.inference import InferenceConfig
from groundgraph.sgg.merging import Merging

OUTPUTS = (
    *("object_boxes", "object_labels", "object_scores", "object_kept"),
    *("relation_pairs", "relation_kept", "relation_scores", "predicate_scores"),
)
AXES = {
    **{name: {0: "objects"} for name in OUTPUTS[:4]},
    **{name: {0: "relations"} for name in OUTPUTS[4:7]},
    "predicate_scores": {0: "relations", 1: "1 + predicates"},
}


class RawGraph(NamedTuple):
    """What a model says of one image.

    Attributes:
        boxes: [N, 4] of the objects.
        labels: [N] int64 in 1..C.
        scores: [N].
        there: [N] bool, those that stay when duplicates have fallen.
        pairs: [Q, 2] int64, subject and object of each relation among the objects.
        predicates: [Q, 1 + P], scores of the relations' predicates.
        allowed: [Q] bool, relations that may be at all.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    there: Tensor
    pairs: Tensor
    predicates: Tensor
    allowed: Tensor


def finished(raw: RawGraph, config: InferenceConfig, merging: Merging) -> tuple[Tensor, ...]:
    """`sgg.inference`'s best relations, then `Merging.merged`: what OUTPUTS names.

    Args:
        raw: Of one image.
        config: How many relations are kept.
        merging: Which boxes are of one thing.

    Returns:
        Boxes [N, 4], labels [N] and scores [N] of the objects, which of them are kept [N] bool; the relations' pairs
        [Q, 2], which of them are kept [Q] bool, their scores [Q] and their predicates' [Q, 1 + P].
    """
    boxes, labels, scores, there, pairs, predicates, allowed = raw
    ranks = scores[pairs[:, 0]] * scores[pairs[:, 1]] * predicates[:, 1:].amax(-1)
    kept = allowed & there[pairs[:, 0]] & there[pairs[:, 1]]
    kept = scripted(_best)(ranks, kept, config.pairs)
    things, places = torch.ones_like(labels).cumsum(0) - 1, pairs.unsqueeze(-1)
    joined = (places == things).any(1) & kept.unsqueeze(1)  # [Q, N]
    surest = torch.where(joined, ranks.unsqueeze(1), torch.zeros_like(ranks).unsqueeze(1))
    surest = torch.cat([scores.unsqueeze(0) * 1e-6, surest]).amax(0)
    same = labels.unsqueeze(1) == labels
    one = merging.bias + merging.overlap * iou(boxes) + merging.agreement * same.float() > 0
    stays = survivors(surest, one, there)
    kept = kept & stays[pairs[:, 0]] & stays[pairs[:, 1]]
    return boxes, labels, scores, stays, pairs, kept, ranks, predicates


def suppressed(
    boxes: Tensor, labels: Tensor, scores: Tensor, there: Tensor, threshold: float, settled: Tensor | None = None
) -> Tensor:
    """`sgg.decoding.suppress` of one image: which of its N boxes stay, [N] bool."""
    rivals = (iou(boxes) > threshold) & (labels.unsqueeze(1) == labels)
    if settled is None:
        return survivors(scores, rivals, there)
    return survivors(scores + 2 * settled.float(), rivals & ~settled.unsqueeze(1), there)


def survivors(ranks: Tensor, rivals: Tensor, there: Tensor) -> Tensor:
    """Those that stay when, best rank first, each falls that has a rival which stays; of equal ranks the earlier first.

    Args:
        ranks: [N].
        rivals: [N, N] bool; row i has those that i may fall to.
        there: [N] bool, the others never stay.

    Returns:
        [N] bool.
    """
    places = torch.ones_like(there, dtype=torch.int64).cumsum(0)
    earlier = places.unsqueeze(1) > places
    better = (ranks.unsqueeze(1) < ranks) | ((ranks.unsqueeze(1) == ranks) & earlier)
    return scripted(_settle)(there, rivals & better)


def iou(boxes: Tensor) -> Tensor:
    """`sgg.batch.overlaps` of one image in operations that ONNX has: [V, 4] -> [V, V]."""
    low = torch.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = torch.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(-1)
    return shared / (area[:, None] + area[None] - shared)


@cache
def scripted(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function whose loops stay loops in an ONNX graph."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and what replaces it traces loops of fixed length alone
        return torch.jit.script(function)


def _settle(there: Tensor, beaten: Tensor) -> Tensor:
    """There and beaten by none that stays: one solution, of which every round settles one more place of the ranking."""
    stays = there
    rest = there & ~(beaten & stays.unsqueeze(0)).any(1)
    while bool((rest != stays).any()):
        stays = rest
        rest = there & ~(beaten & stays.unsqueeze(0)).any(1)
    return rest


def _best(ranks: Tensor, kept: Tensor, most: int) -> Tensor:
    """The `most` best of those that are kept, [Q] bool; of equals of the last one all."""
    if ranks.size(0) > most:
        least = torch.where(kept, ranks, torch.full_like(ranks, -1.0)).topk(most)[0].amin()
        kept = kept & (ranks >= least)
    return kept
