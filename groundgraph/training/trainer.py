"""The training loop of grounders, scene-graph models and experts: read `train` from top to bottom."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from groundgraph.errors import InputError
from groundgraph.models.device import device_of_model
from groundgraph.training.checkpoint import Parts, kept_at_stop, load_checkpoint, save_checkpoint
from groundgraph.training.config import OptimConfig
from groundgraph.training.optimisation import build_optimizer, build_schedule
from groundgraph.training.processes import ALONE, Ranks
from groundgraph.training.task import TrainingTask

log = logging.getLogger(__name__)
BatchT = TypeVar("BatchT")
Curves = dict[str, list[float]]
Progress = Callable[[int, int, dict[str, float]], object]
"""Called after each batch with (batches done, batches of all epochs, the batch's losses)."""


@dataclass
class TrainingState:
    """Where a training stands, beside what its model, optimiser, schedule and random generators hold.

    epoch and step   the epoch under way and how many of its batches are done; done: batches of all epochs
    order            the epoch's examples as they were shuffled
    sums             the losses of the epoch's batches so far
    curves           what `train` gives
    best, stale      the best validation figure with its weights, and the validations since
    """

    epoch: int = 0
    step: int = 0
    done: int = 0
    order: list[int] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    curves: Curves = field(default_factory=lambda: {"validation": []})
    best: float | None = None
    weights: dict[str, Tensor] | None = None
    stale: int = 0


def train(
    task: TrainingTask[BatchT],
    config: OptimConfig,
    progress: Progress | None = None,
    *,
    checkpoint: str | Path | None = None,
    interval: int = 200,
    ranks: Ranks = ALONE,
) -> Curves:
    """Train a task's model; it ends in eval mode with the weights that validation found best (without one, the last).

    Dropout draws from torch's global generators: call it within `seeded`, which leaves them as they were.

    Args:
        task: the model, its batches and losses.
        config: optimiser, schedule, precision, epochs and early stopping.
        progress: called after each batch; where it raises KeyboardInterrupt, the checkpoint is written first.
        checkpoint: a file that holds the whole training after about every `interval` batches and each epoch. Where it
            exists, training goes on from it as if it had never stopped. It is left for the caller to delete.
        interval: batches between two checkpoints.
        ranks: the processes that share each batch (`processes.launch`). All call this with the same arguments, and end
            with the same weights and curves; without dropout these are one process's but for rounding. The first
            writes the checkpoint, from which any number of processes may go on.

    Returns:
        Curves: of each loss its mean of every epoch, and "validation", the figure of every validation.

    Raises:
        InputError: where the loss stops being a number, the device has no such precision, or the checkpoint is damaged
            or another training's.
    """
    model, device = task.model, device_of_model(task.model)
    if config.precision == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
    total, accumulate = task.steps * config.epochs, config.accumulate_grad_batches
    validate_every = config.validate_every or task.steps
    optimizer = build_optimizer(task.parameters(), config)
    schedule = build_schedule(optimizer, config, math.ceil(total / accumulate), task.higher_is_better)
    # bf16 has the range of fp32; fp16 has not, so its loss is scaled until the gradients fit.
    scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")

    state, path = TrainingState(), None if checkpoint is None else Path(checkpoint)
    stateful = {"model": model, "optimizer": optimizer, "schedule": schedule, "scaler": scaler}
    # Where a training runs, and in how many parts, is no part of what it computes.
    settings = config.model_dump(mode="json", exclude={"micro_batches"})
    identity = task.identity | {"config": settings, "seed": task.seed, "batches": total}
    parts = Parts(stateful, task.generator, device, identity, task.rng)
    if path is not None and ranks.ask(path.exists):
        state = load_checkpoint(path, parts, TrainingState)
        ranks.wait()  # until all have read it, before the first writes the next
    ranks.same_start(model)
    path = path if ranks.first else None
    saved = state.done

    while state.epoch < config.epochs and not (config.patience and state.stale >= config.patience):
        state.order = state.order or task.order()
        model.train()
        for batch in task.batches(state.epoch, state.order, state.step):
            ranks.seed_dropout(task.seed, state.done)
            losses: dict[str, Tensor] = {}
            for part in batch:
                with autocast(config, device):
                    terms = task.losses(part)
                loss = torch.stack(list(terms.values())).sum() / accumulate
                torch.autograd.backward(scaler.scale(loss))  # gradients of parts and accumulated batches add up
                losses = {name: losses.get(name, 0) + term.detach() for name, term in terms.items()}
            values = dict(zip(losses, ranks.sum(torch.stack(list(losses.values()))).tolist(), strict=True))
            state.step, state.done = state.step + 1, state.done + 1
            if not math.isfinite(sum(values.values())):
                raise InputError(f"the loss is no number at step {state.done}: lower learning_rate")
            state.sums = {name: state.sums.get(name, 0.0) + value for name, value in values.items()}

            stepped = state.done % accumulate == 0 or state.done == total
            if stepped:
                ranks.add_gradients(model.parameters())
                scaler.unscale_(optimizer)
                if config.max_grad_norm is not None:
                    nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm)
                scaler.step(optimizer)
                scaler.update()
                optimizer.zero_grad(set_to_none=True)
                if not isinstance(schedule, ReduceLROnPlateau):
                    schedule.step()

            if state.done % validate_every == 0 or state.done == total:
                figure = task.validate()
                model.train()
                if figure is not None:
                    keep_best(state, figure, task)
                    if isinstance(schedule, ReduceLROnPlateau):
                        schedule.step(figure)

            # No gradient that waits for its step is ever stored.
            if path and stepped and state.done - saved >= interval:
                save_checkpoint(path, state, parts)
                saved = state.done
            if progress:
                with kept_at_stop(path if stepped else None, state, parts):
                    progress(state.done, total, values)

        for name, value in state.sums.items():
            state.curves.setdefault(name, []).append(value / task.steps)
        log.info("epoch %d: %s", state.epoch, {name: values[-1] for name, values in state.curves.items() if values})
        state.epoch, state.step, state.order, state.sums = state.epoch + 1, 0, [], {}
        if path and (state.done % accumulate == 0 or state.done == total):
            save_checkpoint(path, state, parts)

    if state.weights is not None:
        model.load_state_dict(state.weights)
    model.eval()
    return state.curves


def keep_best(state: TrainingState, figure: float, task: TrainingTask[BatchT]) -> None:
    """Note a validation's figure, and keep the weights where it is the best so far."""
    state.curves["validation"].append(figure)
    state.stale += 1
    if state.best is None or (figure > state.best if task.higher_is_better else figure < state.best):
        weights = {name: value.detach().cpu().clone() for name, value in task.model.state_dict().items()}
        state.best, state.weights, state.stale = figure, weights, 0


def autocast(config: OptimConfig, device: torch.device) -> torch.autocast:
    """The forward pass's precision, as a context."""
    dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's global generators, of the CPU and of the device, seeded within the block and as they were after it."""
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
