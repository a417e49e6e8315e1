"""Optimisers and schedules are what the settings say."""

import pytest
import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from groundgraph.training.config import OptimConfig
from groundgraph.training.optimisation import build_optimizer, build_schedule


def learning_rates(steps=20, **options):
    """The learning rate of every step."""
    config = OptimConfig(learning_rate=1.0, **options)
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(2))], config)
    schedule, rates = build_schedule(optimizer, config, steps, False), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def test_cosine_rises_then_falls_to_nothing():
    rates = learning_rates(warmup=0.25)
    assert rates[:6] == sorted(rates[:6]) and rates[5:] == sorted(rates[5:], reverse=True)
    assert max(rates) == rates[5] == 1 and rates[-1] < 0.02


def test_multistep_is_a_tenth_after_each_milestone():
    rates = learning_rates(schedule="multistep", milestones=(0.5, 0.8), warmup=0)
    assert rates == pytest.approx([1.0] * 10 + [0.1] * 6 + [0.01] * 4)


@pytest.mark.parametrize("higher", [False, True])
def test_plateau_halves_where_validation_no_longer_gains(higher):
    config = OptimConfig(learning_rate=1.0, schedule="plateau", plateau_patience=1)
    optimizer = build_optimizer([torch.nn.Parameter(torch.zeros(2))], config)
    schedule = build_schedule(optimizer, config, 10, higher)
    assert isinstance(schedule, ReduceLROnPlateau)
    rates = []
    for figure in (1.0, 2.0, 2.001, 2.002, 3.0) if higher else (3.0, 2.0, 1.999, 1.998, 1.0):
        schedule.step(figure)
        rates.append(optimizer.param_groups[0]["lr"])
    assert rates == [1, 1, 1, 0.5, 0.5]


def test_a_groups_own_learning_rate_counts():
    groups = [
        {"params": [torch.nn.Parameter(torch.zeros(1))], "lr": 0.1},
        {"params": [torch.nn.Parameter(torch.zeros(1))]},
    ]
    for name, kind in (("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW), ("sgd", torch.optim.SGD)):
        optimizer = build_optimizer([dict(group) for group in groups], OptimConfig(optimizer=name, learning_rate=0.2))
        assert type(optimizer) is kind and [group["lr"] for group in optimizer.param_groups] == [0.1, 0.2]
