"""The settings that every training has."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class OptimConfig(BaseModel):
    """How a model is optimised: the same keys for grounders, scene-graph models and experts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(8, ge=1, description="passes over the training examples")
    batch_size: int = Field(16, ge=1, description="images of a step")
    optimizer: Literal["adam", "adamw", "sgd"] = Field("adamw", description="adam adds weight_decay to the gradient")
    learning_rate: float = Field(1e-3, gt=0, description="the highest learning rate, which the schedule lowers")
    weight_decay: float = Field(1e-4, ge=0, description="L2 penalty, decoupled from the gradient by adamw")
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    schedule: Literal["cosine", "multistep", "plateau"] = Field(
        "cosine",
        description="cosine: down to 0; multistep: a tenth at each milestone; plateau: half where validation stalls",
    )
    warmup: float = Field(0.05, ge=0, lt=1, description="share of all steps over which the rate rises; not on plateau")
    milestones: tuple[float, ...] = Field((0.6, 0.85), description="of multistep, as shares of all steps")
    plateau_patience: int = Field(
        1, ge=0, description="validations in a row without a gain of .5 % after which plateau waits no longer"
    )
    max_grad_norm: float | None = Field(None, gt=0, description="longest gradient, longer ones are scaled; null: any")
    accumulate_grad_batches: int = Field(1, ge=1, description="batches whose mean gradient makes one step")
    precision: Literal["fp32", "bf16", "fp16"] = Field(
        "fp32", description="of the forward pass; losses and weights stay fp32; fp16 needs a GPU"
    )
    validate_every: int | None = Field(None, ge=1, description="steps between two validations; null: an epoch")
    patience: int | None = Field(
        None,
        ge=1,
        description="early stopping, at an epoch's end: validations without a better figure; null: none",
    )
