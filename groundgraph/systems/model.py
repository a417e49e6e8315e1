"""What a system is: a model that learns scene graphs from unlocalized graphs, and generates them."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from groundgraph.grounding.inputs import Standardise
from groundgraph.grounding.method import Method
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.inference import GraphGenerator
from groundgraph.systems.text_graphs import SystemBatch
from groundgraph.training.config import OptimConfig


class SystemTraining(OptimConfig):
    """How a system is trained; the defaults fit MiniGenome."""

    epochs: int = Field(15, ge=1, description="passes over the training images")
    batch_size: int = Field(24, ge=2, description="images of a step")
    learning_rate: float = Field(2e-3, gt=0, description="the highest learning rate, which the schedule lowers")
    max_grad_norm: float | None = Field(5.0, gt=0, description="longest gradient, longer ones are scaled; null: any")


class SystemConfig(BaseModel):
    """What all systems have; one's own sizes and parts come with it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dropout: float = Field(0.1, ge=0, lt=1, description="share of entries dropped")
    contrast_weight: float = Field(
        4.0,
        ge=0,
        description="of telling each entity's own image from the batch's others (ours; as published: 0), beside the "
        "system's own losses",
    )
    training: SystemTraining = SystemTraining()


class SystemModel(GraphGenerator):
    """Built from (sizes, an instance of its Config); `start` comes before training, `generate` after it.

    Attributes:
        inputs: Features of regions, less their mean and over their spread (ours): see `grounding.inputs`.
        categories: The names of things.
        predicates: The names of relations.
    """

    def __init__(self, sizes: Sizes, config: SystemConfig) -> None:
        super().__init__(sizes, config)
        self.inputs = Standardise(sizes.features)
        self.categories = NameEmbeddings(sizes.categories, sizes.words)
        self.predicates = NameEmbeddings(sizes.predicates, sizes.words)

    @torch.no_grad()
    def start(self, features: Tensor, categories: Tensor, predicates: Tensor) -> None:
        """Begin with what is known before training.

        Args:
            features: [N, D], of regions of training images.
            categories: [C, d], embeddings of the names by a text model.
            predicates: [P, d], likewise.
        """
        self.inputs.fit(features)
        self.categories.start(categories)
        self.predicates.start(predicates)

    def losses(self, batch: SystemBatch) -> dict[str, Tensor]:
        """Named scalars, float32, whose sum is minimised; of several processes, each gives its share of the sums."""
        raise NotImplementedError


class NameEmbeddings(nn.Module):
    """Names as vectors, which begin as a text model has them and are learnt on, as VSPNet's begin with GloVe's.

    Args:
        count: Of names.
        width: d.
    """

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.zeros(count, width)), nn.Parameter(torch.zeros(count))

    @torch.no_grad()
    def start(self, embeddings: Tensor) -> None:
        """Begin as embeddings [n, d], on a common footing: of mean 0 and variance 1."""
        centred = embeddings - embeddings.mean(0)
        self.weight.copy_(centred / centred.square().mean().sqrt().clamp(min=1e-6))

    def forward(self, states: Tensor) -> Tensor:
        """Logits [..., n] of states [..., d]: s . name / sqrt(d) + bias, float32."""
        return (states @ self.weight.T).float() * self.weight.shape[1] ** -0.5 + self.bias


@dataclass(frozen=True)
class System(Method):
    """A method that generates scene graphs itself: no grounder, no pseudo labels, no other scene-graph model.

    Attributes:
        model: Its class.
    """

    model: type[SystemModel] = SystemModel

    @property
    def supervised(self) -> bool:
        """It learns from text alone."""
        return False
