"""Training a scene-graph model on labels drawn anew at each step, and storing it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from groundgraph.data.files import atomic_write
from groundgraph.data.store import counts_of
from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.models.device import device_of, device_of_model
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Sizes, Unions
from groundgraph.sgg.examples import Draw, Examples
from groundgraph.sgg.losses import LossConfig, Losses, sgg_loss
from groundgraph.training.checkpoint import Parts, kept_at_stop, load_checkpoint, save_checkpoint
from groundgraph.training.processes import ALONE, Ranks, divide
from groundgraph.training.sgg_state import TrainingState


class TrainingConfig(BaseModel):
    """Optimisation. warmup and milestones are fractions of all steps; milestones, each dividing the rate by 10, belong
    to the "multistep" schedule (official), "cosine" falls to 0. momentum belongs to "sgd". precision: of the model's
    forward pass (fp16, official, needs a GPU; the loss and the weights stay fp32). patience: epochs without a better
    validation figure after which training stops; null: never. accumulate: parts in which a process goes through its
    share of a step's images, one after the other, to save memory; their gradients add up to the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(8, gt=0)
    images: int = Field(16, gt=0)
    optimizer: Literal["adamw", "sgd"] = "adamw"
    rate: float = Field(4e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    schedule: Literal["cosine", "multistep"] = "cosine"
    warmup: float = Field(0.05, ge=0, lt=1)
    milestones: tuple[float, ...] = (0.6, 0.85)
    clip: float = Field(5.0, gt=0)
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    patience: int | None = Field(None, gt=0)
    accumulate: int = Field(1, gt=0)
    seed: int = 0
    loss: LossConfig = LossConfig()


def train_sgg(
    model: nn.Module,
    regions: Sequence[Regions],
    draw: Draw,
    config: TrainingConfig | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
    *,
    unions: Unions | None = None,
    checkpoint: str | Path | None = None,
    interval: int = 200,
    ranks: Ranks = ALONE,
) -> list[dict[str, float]]:
    """Train on images' regions with labels from draw(i, rng); gives one record an epoch.

    draw      -> labels [V] in 0..C (0 = background) and relations [R, 3] (subject region, object region, predicate
              1..P) of image i, or its SoftLabels; called at each step, so that pseudo labels may draw another
              candidate each time; an image without a relation still trains objects, one without regions is left out
    validate  a figure of the model, higher is better (recall, say), asked after each epoch; the best epoch's weights
              stay in the model
    progress  called after each step with (steps done, all steps, the step's losses)
    unions    the detector's features of the boxes around pairs, for a model with `union: visual`
    checkpoint, interval
              a file that holds the whole training after every `interval` steps and each epoch, and where `progress`
              raises KeyboardInterrupt; where it exists, training goes on from it, with the same losses as if it had
              never stopped. It is left for the caller to delete
    ranks     the processes that share each step's images (`parallel.launch`). All call this with the same arguments,
              and end with the same weights and records; without dropout these are one process's but for rounding. The
              first validates and writes the checkpoint, from which any number of processes may go on

    A record holds the epoch's mean "total", "objects", "predicates" loss, "rate", "seconds" and, with validate,
    "validation". Same seed, same numbers (dropout included; the global generator is left as it was). Raises InputError
    where no image has a region, where drawn labels are out of range, where the loss stops being a number, where a step
    has fewer images than there are processes, or where the checkpoint is damaged or another training's.
    """
    config = config or TrainingConfig()
    usable = np.flatnonzero(counts_of(regions))
    if not len(usable):
        raise InputError("no training image has a region: check the detector's output")
    if config.patience and validate is None:
        raise InputError("patience needs a validation figure: give `validate`, or leave patience out")
    examples = Examples(regions, draw, model.sizes, unions)
    steps = math.ceil(len(usable) / config.images)
    if len(usable) // steps < ranks.world:
        raise InputError(f"a step of {len(usable) // steps} images for {ranks.world} processes: raise `images`")
    run = _Training(model, config, steps * config.epochs, len(usable), ranks)
    path, state = None if checkpoint is None else Path(checkpoint), TrainingState()
    with torch.random.fork_rng([run.device] if run.device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        if path is not None and ranks.ask(path.exists):
            state = load_checkpoint(path, run.parts, TrainingState)
            ranks.wait()  # until all have read it, before the first writes the next
        elif getattr(model.config, "frequency_bias", False):
            model.frequency.count(examples.predicate_counts(usable, run.parts.rng))
        ranks.same_start(model)
        while state.epoch < config.epochs and not (config.patience and state.stale >= config.patience):
            began, before = time.perf_counter(), state.seconds
            state.order = state.order or run.parts.rng.permutation(usable).tolist()
            model.train()
            for chosen in np.array_split(state.order, steps)[state.step :]:
                ranks.seed_dropout(config.seed, state.done)
                losses = run.step(examples, chosen)
                state.step, state.done = state.step + 1, state.done + 1
                if not math.isfinite(losses.total):
                    raise InputError(f"the loss is {losses.total} at step {state.done}: lower the rate ({config.rate})")
                state.sums = [a + b for a, b in zip(state.sums, losses, strict=True)]
                state.seconds = before + time.perf_counter() - began
                if path is not None and ranks.first and state.done % interval == 0:
                    save_checkpoint(path, state, run.parts)
                if progress:
                    with kept_at_stop(path if ranks.first else None, state, run.parts):
                        progress(state.done, run.total, losses._asdict())
            record = {name: value / steps for name, value in zip(Losses._fields, state.sums, strict=True)}
            record |= {"rate": run.schedule.get_last_lr()[0], "seconds": before + time.perf_counter() - began}
            if validate:
                record["validation"] = ranks.ask(lambda: float(validate(model)))
                state.stale += 1
                if state.best is None or record["validation"] > state.best:
                    weights = {k: v.detach().cpu().clone() for k, v in model.state_dict().items()}
                    state.best, state.weights, state.stale = record["validation"], weights, 0
            state.history.append(record)
            state.epoch, state.step, state.order, state.sums, state.seconds = state.epoch + 1, 0, [], [0.0] * 3, 0.0
            if path is not None and ranks.first:
                save_checkpoint(path, state, run.parts)
    if state.weights:
        model.load_state_dict(state.weights)
    model.eval()
    return state.history


class _Training:
    """A model with its optimiser, schedule, loss scale and random generators."""

    def __init__(self, model: nn.Module, config: TrainingConfig, total: int, images: int, ranks: Ranks):
        self.model, self.config, self.total, self.ranks = model, config, total, ranks
        self.device = device_of_model(model)
        if config.precision == "fp16" and self.device.type == "cpu":
            raise InputError("precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
        self.dtype = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}[config.precision]
        self.optimizer, self.schedule = _optimisation(model, config, total)
        # bf16 has the range of fp32; fp16 has not, so its loss is scaled until the gradients fit.
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        stateful = {"model": model, "optimizer": self.optimizer, "schedule": self.schedule, "scaler": self.scaler}
        identity = {"model": model.name, "sizes": asdict(model.sizes), "config": model.config.model_dump(mode="json")}
        # Where a training runs, and in how many parts, is no part of what it computes.
        identity |= {"training": config.model_dump(mode="json", exclude={"accumulate"}), "images": images}
        generator = torch.Generator().manual_seed(config.seed)
        self.parts = Parts(stateful, generator, self.device, identity, np.random.default_rng(config.seed))

    def step(self, examples: Examples, chosen: Sequence[int]) -> Losses:
        """One step on the chosen images, of which this process takes its part; the losses of all as plain numbers."""
        own = divide(self.ranks.part(len(chosen)), self.config.accumulate)
        rows = [part for part in own if part.start < part.stop]
        batches, weights = examples.parts(chosen, self.config.loss, self.parts.rng, self.parts.generator, rows)
        self.optimizer.zero_grad(set_to_none=True)
        found = torch.zeros(len(Losses._fields), device=self.device)
        for batch, predicates in batches:
            batch = batch.to(self.device)
            with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
                outputs = self.model(batch)
            losses = sgg_loss(outputs, batch, predicates.to(self.device), self.config.loss, weights)
            self.scaler.scale(losses.total).backward()
            found += torch.stack(losses).detach()
        self.ranks.add_gradients(self.model.parameters())
        self.scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        return Losses(*self.ranks.sum(found).tolist())


def save_sgg(folder: str | Path, model: nn.Module, extra: dict[str, Any] | None = None) -> None:
    """Store a model as model.safetensors and config.json; `extra` (vocabularies, say) is kept in the latter as JSON."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": model.name, "sizes": asdict(model.sizes), "config": model.config.model_dump(mode="json")}
    text = json.dumps(config | {"extra": extra or {}}, indent=2)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Both are complete before either takes its place.
    with atomic_write(folder / "config.json") as described, atomic_write(folder / "model.safetensors") as stored:
        save_file(weights, stored)
        described.write_text(text + "\n", encoding="utf-8")


def load_sgg(folder: str | Path, device: str | torch.device = "auto") -> tuple[nn.Module, dict[str, Any]]:
    """Load what `save_sgg` stored: the model, in eval mode on its device (see `models.device`), and `extra`.

    Raises InputError, naming the file, where it is missing, damaged, or of a model that is not registered.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = SGG_MODELS[config["model"]]
        model = kind(Sizes(**config["sizes"]), kind.Config(**config["config"]))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        known = ", ".join(SGG_MODELS)
        raise InputError(f"{path} is no stored scene-graph model ({known}): {error}; train it again") from error
    path = path.with_name("model.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except (
        Exception
    ) as error:  # safetensors raises its own kind for a damaged file, torch a RuntimeError for a wrong one
        raise InputError(f"{path} does not fit its config.json: {error}; train it again") from error
    return model.to(device_of(device)).eval(), config.get("extra", {})


def _optimisation(
    model: nn.Module, config: TrainingConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=config.weight_decay, fused=True)
    else:
        optimizer = torch.optim.SGD(
            model.parameters(), config.rate, momentum=config.momentum, weight_decay=config.weight_decay
        )

    def factor(step: int) -> float:
        done, warmup = step / steps, config.warmup
        if done < warmup:
            return (step + 1) / (steps * warmup + 1)
        if config.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (done - warmup) / (1 - warmup))))
        return 0.1 ** sum(done >= m for m in config.milestones)

    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
