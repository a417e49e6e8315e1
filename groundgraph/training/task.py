"""What the trainer is given: a model with its batches, their losses, and a figure to validate by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from groundgraph.models.device import device_of_model
from groundgraph.training.processes import Ranks

BatchT = TypeVar("BatchT")


class TrainingTask(ABC, Generic[BatchT]):
    """A model and what it learns from; grounders, scene-graph models and experts subclass it.

    Args:
        model: on the device where it trains; its `parameters` are learnt.
        steps: batches of an epoch.
        identity: plain values by which a checkpoint knows whose it is, besides settings and seed.
        seed: of the two generators, from which all draws of batches come, so that a checkpoint holds them.
    """

    higher_is_better: ClassVar[bool] = False
    """Whether `validate` gives a score, and no loss."""

    def __init__(self, model: nn.Module, steps: int, identity: dict[str, Any], seed: int = 0) -> None:
        self.model, self.steps, self.identity, self.seed = model, steps, identity, seed
        self.generator = torch.Generator().manual_seed(seed)
        self.rng = np.random.default_rng(seed)

    @abstractmethod
    def order(self) -> list[int]:
        """An epoch's examples, newly shuffled."""

    @abstractmethod
    def batches(self, epoch: int, order: list[int], done: int) -> Iterator[Sequence[BatchT]]:
        """An epoch's batches, each in one or several parts, whose losses add up to the batch's.

        Args:
            epoch: its number, from 0.
            order: what `order` gave.
            done: how many of the epoch's batches are past, when a training goes on from a checkpoint.
        """

    @abstractmethod
    def losses(self, batch: BatchT) -> dict[str, Tensor]:
        """Named scalars, float32, whose sum is minimised; of several processes, each gives its share of the sums."""

    def parameters(self) -> Iterable[nn.Parameter] | list[dict[str, Any]]:
        """What is learnt, or groups of it as torch's optimisers take them."""
        return self.model.parameters()

    def validate(self) -> float | None:
        """How good the model is, the same in all processes; None: there is nothing to validate on."""
        return None


class ImagesTask(TrainingTask[BatchT]):
    """A model that learns from images, in any order, and is validated by a figure of its own.

    Args:
        model: See `TrainingTask`, as of steps, identity and seed.
        steps: Likewise.
        identity: Likewise; the number of images is added.
        images: Places [N] of the images that it learns from.
        seed: Likewise.
        ranks: The processes that share each batch.
        figure: What `validate` asks of the model, higher is better; the first process asks.
    """

    higher_is_better = True

    def __init__(
        self,
        model: nn.Module,
        steps: int,
        identity: dict[str, Any],
        images: np.ndarray,
        seed: int,
        ranks: Ranks,
        figure: Callable[[Any], float] | None,
    ) -> None:
        super().__init__(model, steps, identity | {"images": len(images)}, seed)
        self.images, self.ranks, self.figure, self.device = images, ranks, figure, device_of_model(model)

    def order(self) -> list[int]:
        """A permutation of the images."""
        return list(self.rng.permutation(self.images).tolist())

    def validate(self) -> float | None:
        """The figure that was asked for."""
        figure = self.figure
        return None if figure is None else self.ranks.ask(lambda: float(figure(self.model)))
