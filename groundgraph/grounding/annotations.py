"""Pseudo labels as plain annotations: boxes with a category each, relations between them."""

from __future__ import annotations

import numpy as np

from groundgraph.data.types import AnnotatedImage, PseudoLabels, Regions
from groundgraph.grounding.pseudo_labels import draw_labels, keep_best


def annotations_of(
    image_id: str, path: str, pseudo: PseudoLabels, regions: Regions, every: bool = False
) -> AnnotatedImage:
    """The one set of annotations that the pseudo labels stand for: every entity on its best region.

    Two entities on one region, or a triplet on one, are settled as in a training step (`draw_labels`), of whose draws
    this is the likeliest.

    Args:
        image_id: The image's name.
        path: Its file.
        pseudo: Its pseudo labels.
        regions: The V regions that they point to.
        every: Put an entity on all its candidates instead, as the SGNLS rule means them.
    """
    drawn = pseudo if every else keep_best(pseudo, 1)
    # Of the best alone nothing is left to draw; of pairs, whose triplet comes first where two disagree on an entity.
    of_region, relations = draw_labels(drawn, np.random.default_rng(0), "every" if pseudo.pairs is None else "score")
    shares = np.zeros(len(regions), np.float32)
    entity, slot = np.nonzero(pseudo.regions >= 0)
    region = pseudo.regions[entity, slot]
    won = of_region[region] == pseudo.categories[entity] + 1
    np.maximum.at(shares, region[won], pseudo.weights[entity, slot][won])
    kept = np.flatnonzero(of_region)
    place = np.full(len(regions), -1)
    place[kept] = np.arange(len(kept))
    relations = np.column_stack([place[relations[:, :2]], relations[:, 2:]])
    return AnnotatedImage(
        image_id, path, regions.size, regions.boxes[kept], of_region[kept], shares[kept], relations.astype(np.int64)
    )
