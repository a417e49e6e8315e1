"""The detector grounds every noun phrase by itself: the surest of the regions that it calls so (VS3-like; no training).

Zhang et al., "Learning to Generate Language-supervised and Open-vocabulary Scene Graph using Pre-trained
Visual-Semantic Space" (VS3), CVPR 2023. Held: a pretrained open-vocabulary detector is told an image's own phrases, and
a phrase's box is its surest answer; these boxes, with the captions' triplets between them, are what the scene-graph
model learns from, on the detector's features. Not held: it is told each caption's nouns (`detector.prompt: nouns`)
instead of the caption itself, as GLIP reads it, so that attributes and relations do not count; the relation head is the
recipe's scene-graph model, open only with `sgg.heads: open`; the detector is never trained on. With a detector of fixed
categories, such as MiniGenome's, a phrase's answers are the regions of a category that it means (Eq. 6's match).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.grounding.data import GroundingImage


class Detected:
    """The detector's confidence where the region's label matches the entity, else 0: not grounded."""

    def scores(self, images: Sequence[GroundingImage]) -> list[np.ndarray]:
        """Of each image [E, V] float32."""
        return [((image.object > 0) * image.confidences).astype(np.float32) for image in images]
