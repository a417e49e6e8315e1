"""What every grounder is given: a data set's entities and regions as a few padded tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class GroundingImage:
    """One image's entities (of all its captions, one after the other) and regions.

    embeddings   [E, de] float32, entities in their captions' context
    features     [V, dv] float32, regions
    object       [E, V] float32, the object-aware teacher's targets (Eq. 6); rows may be empty
    target       [E, V] float32, what the teachers agreed on (Eq. 9); rows may be empty
    """

    embeddings: np.ndarray
    features: np.ndarray
    object: np.ndarray
    target: np.ndarray

    def __post_init__(self) -> None:
        shape = (len(self.embeddings), len(self.features))
        for name in ("object", "target"):
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} is {getattr(self, name).shape} for {shape[0]} entities and {shape[1]} regions"
                )


@dataclass(frozen=True)
class PaddedSet:
    """Images padded to the largest: entities [N, E, de], regions [N, V, dv], their masks, targets [N, E, V]."""

    embeddings: Tensor
    entities: Tensor
    features: Tensor
    regions: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.embeddings)

    def sample(self, images: Tensor, entities: int, generator: torch.Generator | None) -> PaddedSet:
        """The given images, at most `entities` entities each: drawn at random, or the first without a generator."""
        mask = self.entities[images]
        keys = (
            torch.rand(mask.shape, generator=generator)
            if generator
            else torch.linspace(1, 0.5, mask.shape[1]).expand(mask.shape)
        )
        chosen = (keys * mask).argsort(dim=1, descending=True, stable=True)[:, :entities]

        def pick(values: Tensor) -> Tensor:
            return values[images].gather(1, chosen.unsqueeze(-1).expand(-1, -1, values.shape[-1]))

        return PaddedSet(
            pick(self.embeddings),
            mask.gather(1, chosen),
            self.features[images],
            self.regions[images],
            pick(self.targets),
        )


def pad(images: Sequence[GroundingImage]) -> PaddedSet:
    """Images with at least one entity and one region, padded; raises ValueError where none is left to learn from."""
    images = [image for image in images if len(image.embeddings) and len(image.features)]
    if not images:
        raise ValueError("no image has both an entity and a region: check the captions and the detector")
    n, e, v = len(images), max(len(i.embeddings) for i in images), max(len(i.features) for i in images)
    embeddings = torch.zeros(n, e, images[0].embeddings.shape[1])
    features = torch.zeros(n, v, images[0].features.shape[1])
    entities, regions = torch.zeros(n, e, dtype=torch.bool), torch.zeros(n, v, dtype=torch.bool)
    targets = torch.zeros(n, e, v)
    for k, image in enumerate(images):
        ne, nv = len(image.embeddings), len(image.features)
        embeddings[k, :ne], entities[k, :ne] = torch.from_numpy(image.embeddings), True
        features[k, :nv], regions[k, :nv] = torch.from_numpy(image.features), True
        targets[k, :ne, :nv] = torch.from_numpy(image.target)
    return PaddedSet(embeddings, entities, features, regions, targets)
