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
        reliability: [E, 2] float32, the two teachers' weights (Eq. 11, expert-guided). None: a half each.
        triplets: [T, 2] int64, subject and object of each triplet as rows of embeddings. None: no triplets.
        predicates: [T, de] float32, embeddings of their predicates.
        boxes: [V, 4] float32, xyxy of the regions in shares of the image. None: all are the whole image.
        confidences: [V] float32 in 0..1, the detector's scores. None: all are 1.

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

    def __post_init__(self) -> None:
        entities, regions, width = len(self.embeddings), len(self.features), np.shape(self.embeddings)[1]
        absent = {
            "interaction": np.zeros((entities, regions), np.float32),
            "reliability": np.full((entities, 2), 0.5, np.float32),
            "triplets": np.zeros((0, 2), np.int64),
            "predicates": np.zeros((0, width), np.float32),
            "boxes": np.tile(np.array([0, 0, 1, 1], np.float32), (regions, 1)),
            "confidences": np.ones(regions, np.float32),
        }
        for name, value in absent.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        shapes: dict[str, tuple[int, ...]] = {name: (entities, regions) for name in ("object", "interaction")}
        shapes |= {"reliability": (entities, 2), "predicates": (len(self.triplets), width)}
        shapes |= {"boxes": (regions, 4), "confidences": (regions,)}
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(
                    f"{name} is {getattr(self, name).shape}, not {shape}, for {entities} entities, {regions} regions "
                    f"and {len(self.triplets)} triplets"
                )


LIMIT = 4 * 2**30  # bytes that a padded set may take


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
        object: [N, E, V] float32, targets of Eq. 6.
        interaction: [N, E, V] float32, targets of Eq. 8.
        reliability: [N, E, 2] float32.
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
    object: Tensor
    interaction: Tensor
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

    def take(self, images: Tensor, chosen: Tensor, real: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """See `GroundingSet.take`."""
        widest = int(self.regions[images].sum(1).max())
        most = int(self.triplet_mask[images].sum(1).max()) if self.triplet_mask.shape[1] else 0
        share = Share(ranks, len(images))
        images, chosen, real = (values[share.rows] for values in (images, chosen, real))

        def pick(values: Tensor, width: int | None = None) -> Tensor:
            values = values[images, :, :width]
            return values.gather(1, chosen.unsqueeze(-1).expand(-1, -1, values.shape[-1]))

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
            object=pick(self.object, widest),
            interaction=pick(self.interaction, widest),
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
    t = max(len(i.triplets) for i in images)
    out = PaddedSet(
        embeddings=torch.zeros(n, e, de),
        entities=torch.zeros(n, e, dtype=torch.bool),
        features=torch.zeros(n, v, dv),
        regions=torch.zeros(n, v, dtype=torch.bool),
        object=torch.zeros(n, e, v),
        interaction=torch.zeros(n, e, v),
        reliability=torch.full((n, e, 2), 0.5),
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
        for name in ("object", "interaction"):
            getattr(out, name)[k, :ne, :nv] = torch.from_numpy(np.ascontiguousarray(getattr(image, name)))
    return out


class PagedSet(GroundingSet):
    """The same from images that are read when a batch asks for them: what does not fit into memory.

    Args:
        images: Any sequence; an item is read anew each time.
        entities: [N] int64, how many each has; images without any are left out.
        regions: [N] int64, likewise.
    """

    def __init__(self, images: Sequence[GroundingImage], entities: np.ndarray, regions: np.ndarray) -> None:
        self._images, self._rows = images, np.flatnonzero((entities > 0) & (regions > 0))
        counts = torch.from_numpy(entities[self._rows])
        self.entities = torch.arange(int(counts.max())) < counts[:, None]
        first = images[int(self._rows[0])]
        self._widths = (first.embeddings.shape[1], first.features.shape[1])

    @property
    def widths(self) -> tuple[int, int]:
        """See `GroundingSet`."""
        return self._widths

    def take(self, images: Tensor, chosen: Tensor, real: Tensor, ranks: Ranks = ALONE) -> PaddedSet:
        """See `GroundingSet.take`."""
        page = pad([self._images[int(row)] for row in self._rows[images.numpy()]])
        return page.take(torch.arange(len(images)), torch.where(real, chosen, 0), real, ranks)


def gather(images: Sequence[GroundingImage], limit: float = LIMIT) -> GroundingSet:
    """A data set to draw batches from: padded in memory, or read batch by batch where that would exceed `limit` bytes.

    Raises:
        InputError: No image has both an entity and a region.
    """
    entities, regions = lengths_of(images)
    usable = np.flatnonzero((entities > 0) & (regions > 0))
    if len(usable):
        first = images[int(usable[0])]
        most, widest = int(entities[usable].max()), int(regions[usable].max())
        width = most * (2 * first.embeddings.shape[1] + 2 * widest) + widest * first.features.shape[1]
        if 4.0 * len(usable) * width > limit:
            return PagedSet(images, entities, regions)
    return pad(images)


def lengths_of(images: Sequence[GroundingImage]) -> np.ndarray:
    """How many entities and regions each image has, [2, N]; a sequence that knows it unread has it as `lengths`."""
    lengths = getattr(images, "lengths", None)
    if lengths is None:
        lengths = [[len(i.embeddings) for i in images], [len(i.features) for i in images]]
    return np.array(lengths, np.int64).reshape(2, -1)
