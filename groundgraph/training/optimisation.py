"""The optimiser and its learning rate's schedule, as the settings have them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, ReduceLROnPlateau

from groundgraph.training.config import OptimConfig


def build_optimizer(parameters: Iterable[nn.Parameter] | list[dict[str, Any]], config: OptimConfig) -> Optimizer:
    """The optimiser of a model's parameters.

    Args:
        parameters: parameters, or groups of them as torch's optimisers take them, which may have an `lr` of their own.
        config: its `optimizer`, `learning_rate`, `weight_decay` and `momentum`.
    """
    if config.optimizer == "adam":
        return Adam(parameters, config.learning_rate, weight_decay=config.weight_decay)
    if config.optimizer == "adamw":
        return AdamW(parameters, config.learning_rate, weight_decay=config.weight_decay, fused=True)
    return SGD(parameters, config.learning_rate, momentum=config.momentum, weight_decay=config.weight_decay)


def build_schedule(optimizer: Optimizer, config: OptimConfig, steps: int, higher_is_better: bool) -> LRScheduler:
    """The learning rate's schedule: "plateau" is stepped with each validation's figure, any other after each step.

    Args:
        optimizer: whose learning rate it sets.
        config: its `schedule`, `warmup`, `milestones` and `plateau_patience`.
        steps: the optimiser's steps of the whole training.
        higher_is_better: whether a validation's figure is a score and no loss.
    """
    if config.schedule == "plateau":
        return ReduceLROnPlateau(
            optimizer,
            "max" if higher_is_better else "min",
            factor=0.5,
            patience=config.plateau_patience,
            threshold=5e-3,
            min_lr=config.learning_rate / 500,
        )

    def factor(step: int) -> float:
        done, warmup = step / steps, config.warmup
        if done < warmup:
            return (step + 1) / (steps * warmup + 1)
        if config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))
        return float(0.1 ** sum(done >= milestone for milestone in config.milestones))

    return LambdaLR(optimizer, factor)
