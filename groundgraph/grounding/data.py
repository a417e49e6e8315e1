"""What every grounder is given: a data set's entities, regions and targets as a few padded tensors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from torch import Tensor

from groundgraph.errors import InputError
from groundgraph.training.processes import ALONE, WHOLE, Ranks, Share


@dataclass(frozen=True)
class GroundingImage:
    """One image's entities (of all its captions, one after the other), regions, and its teachers' targets.

    Attributes:
        embeddings: [E, de] float32, entities in their captions' context.
        features: [V, dv] float32, regions.
        object: [E, V] float32, the object-aware teacher's targets (Eq. 6); rows may be empty.
        interaction: [E, V] float32, the interaction-aware teacher's (Eq. 8); rows may be empty. None: all are.
        reliability: [E, T] float32, the teachers' weights (Eq. 11, expert-guided). None: equal.
        triplets: [T, 2] int64, subject and object of each triplet as rows of embeddings. None: no triplets.
        predicates: [T, de] float32, embeddings of their predicates.
        boxes: [V, 4] float32, xyxy of the regions in shares of the image. None: all are the whole image.
        confidences: [V] float32 in 0..1, the detector's scores. None: all are 1.
        phrase: [E, V] float32, targets of phrases (`teachers.phrase`); rows may be empty. None: there is no such
            teacher, and T is 2 instead of 3.

    Raises:
        InputError: The shapes do not fit each other.
    """

    embeddings: np.ndarray
    features: np.ndarray
    object: np.ndarray
    # None is replaced below, so that who reads them need not ask.
    interaction: np.ndarray = None  # type: ignore[assignment]
    reliability: np.ndarray = None  # type: ignore[assignment]
    triplets: np.ndarray = None  # type: ignore[assignment]
    predicates: np.ndarray = None  # type: ignore[assignment]
    boxes: np.ndarray = None  # type: ignore[assignment]
    confidences: np.ndarray = None  # type: ignore[assignment]
    phrase: np.ndarray | None = None

    def __post_init__(self) -> None:
        entities, regions, width = len(self.embeddings), len(self.features), np.shape(self.embeddings)[1]
        named = ("object", "interaction", *(("phrase",) if self.phrase is not None else ()))
        teachers = len(named)
        absent = {
            "interaction": np.zeros((entities, regions), np.float32),
            "reliability": np.full((entities, teachers), 1 / teachers, np.float32),
            "triplets": np.zeros((0, 2), np.int64),
            "predicates": np.zeros((0, width), np.float32),
            "boxes": np.tile(np.array([0, 0, 1, 1], np.float32), (regions, 1)),
            "confidences": np.ones(regions, np.float32),
        }
        for name, value in absent.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        shapes: dict[str, tuple[int, ...]] = {name: (entities, regions) for name in named}
        shapes |= {"reliability": (entities, teachers), "predicates": (len(self.triplets), width)}
        shapes |= {"boxes": (regions, 4), "confidences": (regions,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"{name} is {getattr(self, name).shape}, not {shape}, for {entities} entities, {regions} regions "
                    f"and {len(self.triplets)} triplets"
                )

    @property
    def targets(self) -> np.ndarray:
        """[E, T, V] float32, the teachers' targets, as `teachers.fusion` stacks them."""
        own = [self.object, self.interaction, *([] if self.phrase is None else [self.phrase])]
        return np.stack(own, 1)


class GroundingSet(ABC):
    """Images to draw batches from.

    Attributes:
        entities: [N, E] bool, True = real.
        widths: (de, dv).
    """

    entities: Tensor

    @property
    @abstractmethod
    def widths(self) -> tuple[int, int]:
        """Widths of a text embedding and of a region's features, (de, dv)."""

    @abstractmethod
    def take(self, images: Tensor, chosen: Tensor, real: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """Some entities of some images.

        A triplet stays where both its ends do. Padding is cut to the images' own widest.

        Args:
            images: [n] int64.
            chosen: [n, k] int64, places of entities.
            real: [n, k] bool, which of them count.
            ranks: Of several processes, each gets its share of the images.
        """

    def __len__(self) -> int:
        return len(self.entities)

    def sample(
        self, images: Tensor, entities: int, generator: torch.Generator | None, ranks: Ranks = ALONE
    ) -> PaddedSet:
        """The given images, at most `entities` entities each: drawn at random, or the first without a generator."""
        mask = self.entities[images]
        keys = (
            torch.rand(mask.shape, generator=generator)
            if generator
            else torch.linspace(1, 0.5, mask.shape[1]).expand(mask.shape)
        )
        chosen = (keys * mask).argsort(dim=1, descending=True, stable=True)[:, :entities]
        return self.take(images, chosen, mask.gather(1, chosen), ranks)

    def of_entities(self, rows: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """The given entities [n, 2] (image, place), each image once with those of its entities that are among them."""
        images, owner = torch.unique(rows[:, 0], return_inverse=True)
        order = owner.argsort(stable=True)
        owner, places = owner[order], rows[order, 1]
        counts = torch.bincount(owner, minlength=len(images))
        column = torch.arange(len(owner)) - (counts.cumsum(0) - counts)[owner]
        chosen = torch.zeros(len(images), int(counts.max()), dtype=torch.int64)
        chosen[owner, column] = places
        return self.take(images, chosen, torch.arange(chosen.shape[1]) < counts[:, None], ranks)


@dataclass(frozen=True)
class PaddedSet(GroundingSet):
    """Images padded to the largest of them.

    Attributes:
        embeddings: [N, E, de] float32.
        entities: [N, E] bool, True = real.
        features: [N, V, dv] float32.
        regions: [N, V] bool, True = real.
        targets: [N, E, T, V] float32, the teachers', as `teachers.fusion` stacks them.
        reliability: [N, E, T] float32.
        triplets: [N, T, 2] int64, subject and object; padding is 0.
        triplet_mask: [N, T] bool, True = real.
        predicates: [N, T, de] float32.
        boxes: [N, V, 4] float32, in shares of the image; padding is 0.
        confidences: [N, V] float32; padding is 0.
        share: Which images of a batch these are, where several processes have it; padding is the whole batch's.
    """

    embeddings: Tensor
    entities: Tensor
    features: Tensor
    regions: Tensor
    targets: Tensor
    reliability: Tensor
    triplets: Tensor
    triplet_mask: Tensor
    predicates: Tensor
    boxes: Tensor
    confidences: Tensor
    share: Share = WHOLE

    @property
    def widths(self) -> tuple[int, int]:
        """See `GroundingSet`."""
        return self.embeddings.shape[-1], self.features.shape[-1]

    @property
    def object(self) -> Tensor:
        """The object-aware teacher's targets [N, E, V] (Eq. 6)."""
        return self.targets[:, :, 0]

    @property
    def interaction(self) -> Tensor:
        """The interaction-aware teacher's targets [N, E, V] (Eq. 8)."""
        return self.targets[:, :, 1]

    def take(self, images: Tensor, chosen: Tensor, real: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """See `GroundingSet.take`."""
        widest = int(self.regions[images].sum(1).max())
        most = int(self.triplet_mask[images].sum(1).max()) if self.triplet_mask.shape[1] else 0
        share = Share(ranks, len(images))
        images, chosen, real = (values[share.rows] for values in (images, chosen, real))

        def pick(values: Tensor, width: int | None = None) -> Tensor:
            values = values[images][..., :width]
            places = chosen.view(*chosen.shape, *(1 for _ in values.shape[2:]))
            return values.gather(1, places.expand(-1, -1, *values.shape[2:]))

        # Where an entity went: a column beyond the last stands for "left out".
        width, kept = self.entities.shape[1], chosen.shape[1]
        place = torch.full((len(images), width + 1), -1)
        columns = torch.where(real, chosen, width)
        place.scatter_(1, columns, torch.arange(kept).expand_as(columns))
        place[:, width] = -1
        triplets = place.gather(1, self.triplets[images, :most].flatten(1)).view(len(images), most, 2)
        mask = self.triplet_mask[images, :most] & (triplets >= 0).all(-1)
        return PaddedSet(
            embeddings=pick(self.embeddings),
            entities=real,
            features=self.features[images, :widest],
            regions=self.regions[images, :widest],
            targets=pick(self.targets, widest),
            reliability=pick(self.reliability),
            triplets=triplets.masked_fill(~mask.unsqueeze(-1), 0),
            triplet_mask=mask,
            predicates=self.predicates[images, :most],
            boxes=self.boxes[images, :widest],
            confidences=self.confidences[images, :widest],
            share=share,
        )

    def to(self, device: torch.device | str) -> PaddedSet:
        """The same on another device."""
        tensors = {f.name: getattr(self, f.name).to(device) for f in fields(self) if f.name != "share"}
        return replace(self, **tensors)


def pad(images: Sequence[GroundingImage]) -> PaddedSet:
    """Images with at least one entity and one region, padded.

    Raises:
        InputError: None is left to learn from.
    """
    images = [image for image in images if len(image.embeddings) and len(image.features)]
    if not images:
        raise InputError("no image has both an entity and a region: check the captions and the detector")
    n, de, dv = len(images), images[0].embeddings.shape[1], images[0].features.shape[1]
    e, v = max(len(i.embeddings) for i in images), max(len(i.features) for i in images)
    t, teachers = max(len(i.triplets) for i in images), max(i.reliability.shape[1] for i in images)
    out = PaddedSet(
        embeddings=torch.zeros(n, e, de),
        entities=torch.zeros(n, e, dtype=torch.bool),
        features=torch.zeros(n, v, dv),
        regions=torch.zeros(n, v, dtype=torch.bool),
        targets=torch.zeros(n, e, teachers, v),
        reliability=torch.full((n, e, teachers), 1 / teachers),
        triplets=torch.zeros(n, t, 2, dtype=torch.int64),
        triplet_mask=torch.zeros(n, t, dtype=torch.bool),
        predicates=torch.zeros(n, t, de),
        boxes=torch.zeros(n, v, 4),
        confidences=torch.zeros(n, v),
    )
    for k, image in enumerate(images):
        ne, nv, nt = len(image.embeddings), len(image.features), len(image.triplets)
        out.entities[k, :ne], out.regions[k, :nv], out.triplet_mask[k, :nt] = True, True, True
        rows = dict.fromkeys(("embeddings", "reliability"), ne) | dict.fromkeys(("triplets", "predicates"), nt)
        rows |= dict.fromkeys(("features", "boxes", "confidences"), nv)
        for name, count in rows.items():
            getattr(out, name)[k, :count] = torch.from_numpy(np.ascontiguousarray(getattr(image, name)))
        out.targets[k, :ne, :, :nv] = torch.from_numpy(image.targets)
    return out
