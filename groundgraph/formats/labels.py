"""Pseudo labels as plain annotations: boxes with a category each, relations between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from groundgraph.data.types import Regions
from groundgraph.grounding.pseudo_labels import PseudoLabels, draw_labels

Vocabularies = tuple[tuple[str, ...], tuple[str, ...]]  # categories, predicates; name k is number k + 1


@dataclass(frozen=True)
class LabelledImage:
    """One image with annotations, as a person could have made them.

    image_id, path, size  its name, its file, (width, height) in pixels
    boxes      [B, 4] float32 xyxy in pixels
    labels     [B] int64 in 1..C
    scores     [B] float32, the share of its entity's softmax over all regions that the box holds
    relations  [R, 3] int64 (subject box, object box, predicate in 1..P)
    """

    image_id: str
    path: str
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    relations: np.ndarray


def labelled(image_id: str, path: str, pseudo: PseudoLabels, regions: Regions, every: bool = False) -> LabelledImage:
    """The one set of annotations that the pseudo labels stand for: every entity on its best region.

    every  on all its candidates instead, as the SGNLS rule means them
    Two entities on one region, or a triplet on one, are settled as in a training step (`draw_labels`), of whose draws
    this is the likeliest.
    """
    if not every:
        first = {field: getattr(pseudo, field)[:, :1] for field in ("regions", "scores", "weights")}
        pseudo = replace(pseudo, **first)
    of_region, relations = draw_labels(pseudo, np.random.default_rng(0), "every")
    shares = np.zeros(len(regions), np.float32)
    entity, slot = np.nonzero(pseudo.regions >= 0)
    region = pseudo.regions[entity, slot]
    won = of_region[region] == pseudo.categories[entity] + 1
    np.maximum.at(shares, region[won], pseudo.weights[entity, slot][won])
    kept = np.flatnonzero(of_region)
    place = np.full(len(regions), -1)
    place[kept] = np.arange(len(kept))
    relations = np.column_stack([place[relations[:, :2]], relations[:, 2:]])
    return LabelledImage(
        image_id, path, regions.size, regions.boxes[kept], of_region[kept], shares[kept], relations.astype(np.int64)
    )
