"""The SGNLS rule: no training; a region whose detected category matches an entity is that entity (METHOD.md, 8)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.grounding.data import GroundingImage


def labelled_image(target: np.ndarray, confidences: np.ndarray) -> GroundingImage:
    """What a rule is given of an image: no embeddings and features.

    Args:
        target: [E, V], the object-aware targets (Eq. 6).
        confidences: [V], the detector's scores.
    """
    embeddings, features = (np.zeros((count, 0), np.float32) for count in target.shape)
    return GroundingImage(embeddings, features, target, confidences=confidences)


class Sgnls:
    """1 where the region's category matches the entity, else 0.

    The rule has no preference among matching regions, nor any answer for an entity that none matches: such rows tie,
    and an accuracy breaks ties at random. The match is the object-aware teacher's (Eq. 6), whatever its row sums.
    """

    def scores(self, images: Sequence[GroundingImage]) -> list[np.ndarray]:
        """Of each image [E, V] float32."""
        return [(image.object > 0).astype(np.float32) for image in images]
