"""A grounder that learns: trained, asked for scores, saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from groundgraph.data.files import atomic_write
from groundgraph.data.types import CandidatePairs
from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, PaddedSet, pad
from groundgraph.grounding.inputs import Inputs
from groundgraph.grounding.paging import gather, lengths_of
from groundgraph.grounding.training import GroundingTask, PairTrainable, Trainable
from groundgraph.models.device import device_of, device_of_model
from groundgraph.training.processes import ALONE, Ranks
from groundgraph.training.trainer import Curves, Progress, seeded, train

IMPOSSIBLE = -1e3  # a log probability below is of a pair that is masked


@dataclass(frozen=True)
class Grounded:
    """What a grounder says of one image.

    Attributes:
        scores: a [E, V] float32.
        pairs: The best of each triplet; None where the grounder scores single regions.
    """

    scores: np.ndarray
    pairs: CandidatePairs | None = None


class Learned:
    """A grounder that learns, around a module of `kind`, a `Trainable`: train, score, save, load."""

    model: nn.Module

    def __init__(self, kind: Callable[[int, int, GroundingConfig], nn.Module], config: GroundingConfig) -> None:
        self.kind, self.config = kind, config
        self.sizes = (0, 0)  # of a text embedding and of a region's features

    def train(
        self,
        images: Sequence[GroundingImage],
        validation: Sequence[GroundingImage],
        seed: int = 0,
        progress: Progress | None = None,
        *,
        checkpoint: str | Path | None = None,
        interval: int = 200,
        ranks: Ranks = ALONE,
        device: str | torch.device = "auto",
    ) -> Curves:
        """Learn from `images`, keep the weights that are best on `validation` (where there is none, on `images`).

        Args:
            images: what is learnt from.
            validation: what the best weights are chosen on.
            seed: of the first weights, dropout and all draws; torch's global generators are left as they were.
            progress: see `trainer.train`.
            checkpoint: see `trainer.train`.
            interval: see `trainer.train`.
            ranks: see `trainer.train`.
            device: where one process alone trains (`models.device`).

        Returns:
            Curves: of every loss term, its weight included, the mean of each epoch; "validation".

        Raises:
            InputError: where there is nothing to learn from, or as `trainer.train` does.
        """
        data = gather(images)
        check = gather(validation) if lengths_of(validation).all(0).any() else data
        self.sizes, place = data.widths, ranks.place(device)
        with seeded(seed, place):
            self.model = self.kind(*self.sizes, self.config)
            for module in self.model.modules():
                if isinstance(module, Inputs):
                    module.fit(data)
            self.model.to(place)
            task = GroundingTask(self.model, self.config, data, check, seed, ranks)
            return train(task, self.config, progress, checkpoint=checkpoint, interval=interval, ranks=ranks)

    def scores(self, images: Sequence[GroundingImage], batch_size: int = 64) -> list[np.ndarray]:
        """a_ij of every image: a list of [E, V] float32; one without entities or regions gives an empty array."""
        return [image.scores for image in self.ground(images, batch_size=batch_size)]

    @torch.no_grad()
    def ground(self, images: Sequence[GroundingImage], pairs: int = 0, batch_size: int = 64) -> list[Grounded]:
        """The scores of every image, and the best pairs of regions of every triplet.

        Args:
            images: One without entities or regions gives empty arrays.
            pairs: K, how many of each triplet, of a grounder of pairs; 0: none.
            batch_size: Images of a forward pass.
        """
        grounded: list[Grounded] = []
        self.model.eval()
        device = device_of_model(self.model)
        for start in range(0, len(images), batch_size):
            part = [images[k] for k in range(start, min(start + batch_size, len(images)))]
            full = [i for i in part if len(i.embeddings) and len(i.features)]
            values = iter(self._batch(pad(full).to(device), pairs) if full else ())
            for image in part:
                entities, regions, triplets = len(image.embeddings), len(image.features), len(image.triplets)
                if entities and regions:
                    scores, best = next(values)
                    best = best and CandidatePairs(best.regions[:triplets], best.scores[:triplets])
                    grounded.append(Grounded(scores[:entities, :regions].copy(), best))
                    continue
                none = CandidatePairs(np.full((triplets, pairs, 2), -1), np.zeros((triplets, pairs), np.float32))
                grounded.append(Grounded(np.zeros((entities, regions), np.float32), none if pairs else None))
        return grounded

    def _batch(self, batch: PaddedSet, count: int) -> Iterator[tuple[np.ndarray, CandidatePairs | None]]:
        """Of each image of a batch its scores [E, V] and the `count` best pairs of each triplet."""
        if not count:
            scores = cast(Trainable, self.model).score(batch)
            yield from ((own, None) for own in scores.float().cpu().numpy())
            return
        scores, joint = cast(PairTrainable, self.model).ground(batch)
        width = joint.shape[-1]
        logs, places = joint.flatten(-2).topk(min(count, width * width))
        regions = torch.stack([places // width, places % width], -1)
        masked = (logs < IMPOSSIBLE) | (places // width == places % width)  # the latter where there is no pair at all
        spare = count - logs.shape[-1]
        regions = torch.nn.functional.pad(regions.masked_fill(masked.unsqueeze(-1), -1), (0, 0, 0, spare), value=-1)
        logs = torch.nn.functional.pad(logs.masked_fill(masked, 0.0), (0, spare))
        for own, *pairs in zip(*(x.cpu().numpy() for x in (scores.float(), regions, logs.float())), strict=True):
            yield own, CandidatePairs(*pairs)

    def save(self, folder: str | Path) -> None:
        """Write model.safetensors and grounder.json (sizes and configuration) into a folder."""
        folder = Path(folder)
        text = json.dumps({"sizes": self.sizes, "config": self.config.model_dump(mode="json")}, indent=1)
        weights = {k: v.cpu().contiguous() for k, v in self.model.state_dict().items()}
        with atomic_write(folder / "grounder.json") as described, atomic_write(folder / "model.safetensors") as stored:
            save_file(weights, stored)
            described.write_text(text + "\n", encoding="utf-8")

    def load(self, folder: str | Path, device: str | torch.device = "auto") -> Learned:
        """Read what `save` wrote.

        Args:
            folder: where it lies.
            device: where the model goes (`models.device`).

        Returns:
            Learned: this grounder.

        Raises:
            InputError: naming the file, where it is missing or of another grounder.
        """
        path = Path(folder) / "grounder.json"
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            self.config = GroundingConfig(**record["config"])
            self.sizes = tuple(record["sizes"])
            self.model = self.kind(*self.sizes, self.config)
            path = path.with_name("model.safetensors")
            self.model.load_state_dict(load_file(path))
        except Exception as error:  # each library raises its own kind for a damaged file
            raise InputError(f"{path}: no stored grounder of this kind ({error}); train it again") from error
        self.model.to(device_of(device)).eval()
        return self
