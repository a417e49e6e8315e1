"""A grounder that learns: trained, asked for scores, saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, gather, lengths_of, pad
from groundgraph.grounding.training import GroundingTask, Trainable
from groundgraph.models.device import device_of, device_of_model
from groundgraph.training.processes import ALONE, Ranks
from groundgraph.training.trainer import Curves, Progress, seeded, train


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
            self.model = self.kind(*self.sizes, self.config).to(place)
            task = GroundingTask(self.model, self.config, data, check, seed, ranks)
            return train(task, self.config, progress, checkpoint=checkpoint, interval=interval, ranks=ranks)

    @torch.no_grad()
    def scores(self, images: Sequence[GroundingImage], batch_size: int = 64) -> list[np.ndarray]:
        """a_ij of every image: a list of [E, V] float32; one without entities or regions gives an empty array."""
        scores: list[np.ndarray] = []
        self.model.eval()
        device = device_of_model(self.model)
        for start in range(0, len(images), batch_size):
            part = [images[k] for k in range(start, min(start + batch_size, len(images)))]
            shapes = [(len(i.embeddings), len(i.features)) for i in part]
            full = [i for i, shape in zip(part, shapes, strict=True) if all(shape)]
            values = iter(cast(Trainable, self.model).score(pad(full).to(device)).float().cpu().numpy() if full else ())
            scores += [next(values)[:e, :v].copy() if e and v else np.zeros((e, v), np.float32) for e, v in shapes]
        return scores

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
