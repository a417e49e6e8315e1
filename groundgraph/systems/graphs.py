"""Graphs of the triplets that a system reads off an image."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.types import Graph
from groundgraph.sgg.batch import Batch, overlaps
from groundgraph.sgg.decoding import suppress
from groundgraph.sgg.inference import GraphTask, InferenceConfig


def objects_of(
    batch: Batch, probabilities: Tensor, nms_threshold: float, task: GraphTask
) -> tuple[Tensor, Tensor, Tensor]:
    """Each region as an object of its likeliest category; duplicates fall where no boxes are given.

    Args:
        batch: Of the regions; labels that are given are its targets.
        probabilities: [B, V, C], without the background.
        nms_threshold: IoU of duplicates.
        task: See `sgg.inference.predict`.

    Returns:
        Labels [B, V] in 1..C, their scores [B, V], and which boxes stay [B, V].
    """
    if batch.targets is not None:  # predcls
        return batch.targets, torch.ones_like(batch.scores), batch.mask
    scores, labels = probabilities.max(-1)
    labels = labels + 1
    if task == "sgcls":
        return labels, scores, batch.mask
    return labels, scores, suppress(batch.boxes, labels, scores, batch.mask, nms_threshold)


def graph_of(
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    stays: np.ndarray,
    pairs: np.ndarray,
    predicate_scores: np.ndarray,
    most: int,
) -> Graph:
    """A graph of the boxes that stay and of each pair's best row, ranked.

    Args:
        boxes: [N, 4] of nodes.
        labels: [N].
        scores: [N].
        stays: [N] bool.
        pairs: [M, 2] of nodes; rows with one that does not stay, or one with itself, are left out.
        predicate_scores: [M, 1 + P].
        most: Pairs kept.
    """
    strength = scores[pairs].prod(1) * predicate_scores[:, 1:].max(1)
    order = np.argsort(-strength, kind="stable")
    order = order[stays[pairs[order]].all(1) & (pairs[order, 0] != pairs[order, 1])]
    _, first = np.unique(pairs[order], axis=0, return_index=True)
    kept = order[np.sort(first)][:most]
    place = np.cumsum(stays) - 1
    return Graph(boxes[stays], labels[stays], scores[stays], place[pairs[kept]], predicate_scores[kept])


def allowed_pairs(batch: Batch, stays: Tensor, config: InferenceConfig, task: GraphTask) -> Tensor:
    """Which regions may be related: different ones that stay, and overlap where that is asked for: [B, V, V] bool."""
    itself = torch.eye(stays.shape[1], dtype=torch.bool, device=stays.device)
    allowed = stays[:, :, None] & stays[:, None] & ~itself
    return allowed & (overlaps(batch.boxes) > 0) if config.overlapping and task == "sgdet" else allowed


def named_nodes(labels: np.ndarray, regions: np.ndarray, names: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nodes for regions that triplets call by other names than their own: the V regions first, then one a new name.

    Args:
        labels: [V], the regions' own names.
        regions: [M], of what triplets speak of.
        names: [M], what they call it.

    Returns:
        [M], each one's node; [X, 2], region and name of the nodes from V on.
    """
    width = int(max(labels.max(initial=0), names.max(initial=0))) + 1
    other = names != labels[regions]
    keys, place = np.unique(regions[other] * width + names[other], return_inverse=True)
    nodes = regions.copy()
    nodes[other] = len(labels) + place.reshape(-1)
    return nodes, np.stack([keys // width, keys % width], -1)


def completed_graph(
    boxes: np.ndarray,
    labels: np.ndarray,
    scores: np.ndarray,
    stays: np.ndarray,
    detected: np.ndarray,
    pairs: np.ndarray,
    subjects: np.ndarray,
    objects: np.ndarray,
    log_p: np.ndarray,
    predicates: np.ndarray,
    related: np.ndarray,
    most: int,
) -> Graph:
    """An image's graph of completed triplets.

    A region that a triplet calls by another name than its detector is a node of its own, with that name's probability.

    Args:
        boxes: [V, 4].
        labels: [V] in 1..C.
        scores: [V].
        stays: [V] bool.
        detected: [V, 1 + C], the detector's probabilities.
        pairs: [M, 2] of regions.
        subjects: [M, K] in 0..C-1, best first.
        objects: [M, K] likewise.
        log_p: [M, K].
        predicates: [M, K, P].
        related: [M], how likely each pair is related at all.
        most: Pairs kept.
    """
    beams = subjects.shape[1]
    ends = np.repeat(pairs, beams, axis=0)
    nodes, new = named_nodes(labels, ends.T.reshape(-1), 1 + np.concatenate([subjects, objects]).reshape(-1))
    region, name = new.T
    sure = np.exp(log_p) * related[:, None]
    rows = sure[..., None] * np.exp(predicates)
    rows = np.concatenate([1 - rows.sum(-1, keepdims=True), rows], -1).reshape(-1, 1 + predicates.shape[-1])
    return graph_of(
        np.concatenate([boxes, boxes[region]]),
        np.concatenate([labels, name]),
        np.concatenate([scores, detected[region, name]]),
        np.concatenate([stays, stays[region]]),
        nodes.reshape(2, -1).T,
        rows,
        most,
    )
