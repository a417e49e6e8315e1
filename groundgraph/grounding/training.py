"""What the trainer needs to know of grounders: their batches, losses and validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

import torch
from torch import Tensor, nn

from groundgraph.errors import InputError
from groundgraph.grounding.batches import Step, batches, shuffled, steps_an_epoch
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingSet, PaddedSet
from groundgraph.models.device import device_of_model
from groundgraph.training.processes import Ranks
from groundgraph.training.task import TrainingTask
from groundgraph.training.trainer import autocast


class Trainable(Protocol):
    """What a grounder that learns is: an nn.Module built from (text size, visual size, GroundingConfig) with these."""

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Named scalar terms, float32 in any precision, whose sum is minimised.

        Args:
            step: the batches. Where several processes share them (`PaddedSet.share`), what each gives adds up to the
                terms of the whole.
            generator: of all random draws.
        """

    def score(self, batch: PaddedSet) -> Tensor:
        """a_ij [N, E, V]; of a padded region, anything."""


class PairTrainable(Trainable, Protocol):
    """One that grounds a triplet's two ends together."""

    def ground(self, batch: PaddedSet) -> tuple[Tensor, Tensor]:
        """Log probabilities of each entity's regions [N, E, V] and of each triplet's pairs of regions [N, T, V, V]."""


class GroundingTask(TrainingTask[Step]):
    """A grounder and the images it learns from.

    Args:
        model: a `Trainable` module.
        config: the batches and the precision.
        train: what is learnt from.
        validation: what the best weights are chosen on.
        seed: of all draws.
        ranks: the processes that share each batch.
    """

    def __init__(
        self,
        model: nn.Module,
        config: GroundingConfig,
        train: GroundingSet,
        validation: GroundingSet,
        seed: int,
        ranks: Ranks,
    ) -> None:
        identity = {"model": type(model).__name__, "images": len(train)}
        super().__init__(model, steps_an_epoch(train, config), identity, seed)
        self.config, self.train, self.validation, self.ranks = config, train, validation, ranks
        self.device, self.grounder = device_of_model(model), cast(Trainable, model)

    def order(self) -> list[int]:
        """A permutation of the images, or of the entities."""
        return list(shuffled(self.train, self.config, self.generator).tolist())

    def batches(self, epoch: int, order: list[int], done: int) -> Iterator[tuple[Step]]:
        """The epoch's steps, each in one part."""
        rows = torch.tensor(order)
        for step in batches(self.train, self.config, epoch, self.generator, rows, done, self.ranks):
            yield (step,)

    def losses(self, batch: Step) -> dict[str, Tensor]:
        """The grounder's own terms."""
        return self.grounder.losses(batch.to(self.device), self.generator)

    @torch.no_grad()
    def validate(self) -> float:
        """The sum of the loss terms in fixed batches, without dropout; without "mil" where so configured.

        Of one definition at all times (`Step.epoch` None), so that validations can be compared.
        """
        self.model.eval()
        total, generator = 0.0, torch.Generator().manual_seed(0)  # a fixed draw, for the same reason
        for images in torch.split(torch.arange(len(self.validation)), self.config.batch_size):
            batch = self.validation.sample(images, self.config.entities, None, self.ranks).to(self.device)
            with autocast(self.config, self.device):
                terms = self.grounder.losses(Step(batch, batch, None), generator)
            counted = [v for k, v in terms.items() if self.config.validate_mil or k != "mil" or len(terms) == 1]
            total += torch.stack(counted).sum().item() * len(images)
        loss = self.ranks.sum(torch.tensor(total, dtype=torch.float64)).item() / len(self.validation)
        if loss != loss or loss == float("inf"):
            raise InputError(f"the grounder's validation loss is {loss}: lower grounding.learning_rate")
        return loss
