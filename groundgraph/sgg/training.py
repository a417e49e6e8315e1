"""Training a scene-graph model on labels drawn anew at each step, and storing it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

from groundgraph.data.types import Regions
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Batch, Sizes, collate
from groundgraph.sgg.losses import LossConfig, sample_pairs, sgg_loss

Draw = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


class TrainingConfig(BaseModel):
    """Optimisation. warmup and milestones are fractions of all steps; milestones, each dividing the rate by 10, belong
    to the "multistep" schedule (official), "cosine" falls to 0. momentum belongs to "sgd"."""

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
    seed: int = 0
    loss: LossConfig = LossConfig()


def train_sgg(
    model: nn.Module,
    regions: Sequence[Regions],
    draw: Draw,
    config: TrainingConfig | None = None,
    validate: Callable[[nn.Module], float] | None = None,
    progress: Callable[[int, int, dict[str, float]], None] | None = None,
) -> list[dict[str, float]]:
    """Train on images' regions with labels from draw(i, rng); gives one record an epoch.

    draw      -> labels [V] in 0..C (0 = background) and relations [R, 3] (subject region, object region, predicate
              1..P) of image i, called at each step, so that pseudo labels may draw another candidate each time; an
              image without a relation still trains objects, one without regions is left out
    validate  a figure of the model, higher is better, asked after each epoch; the best epoch's weights stay in the
              model
    progress  called after each step with (steps done, all steps, the step's losses)

    A record holds the epoch's mean "total", "objects", "predicates" loss, "rate", "seconds" and, with validate,
    "validation". Same seed, same numbers (dropout included; the global generator is left as it was). Raises ValueError
    where no image has a region, where drawn labels are out of range, or where the loss stops being a number.
    """
    config = config or TrainingConfig()
    usable = np.array([i for i in range(len(regions)) if len(regions[i])], np.int64)
    if not len(usable):
        raise ValueError("no training image has a region: check the detector's output")
    device = next(model.parameters()).device
    rng, generator = np.random.default_rng(config.seed), torch.Generator().manual_seed(config.seed)
    if getattr(model.config, "frequency_bias", False):
        model.set_frequency(predicate_counts(usable, draw, rng, model.sizes))
    steps_an_epoch = math.ceil(len(usable) / config.images)
    total = steps_an_epoch * config.epochs
    optimizer, schedule = _optimisation(model, config, total)
    history, best, done = [], None, 0
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(config.seed)
        for _ in range(config.epochs):
            began, sums = time.perf_counter(), np.zeros(3)
            model.train()
            for chosen in np.array_split(rng.permutation(usable), steps_an_epoch):
                batch, predicates = training_batch(regions, chosen, draw, model.sizes, config.loss, rng, generator)
                batch = batch.to(device)
                losses = sgg_loss(model(batch), batch, predicates.to(device), config.loss)
                optimizer.zero_grad(set_to_none=True)
                losses.total.backward()
                nn.utils.clip_grad_norm_(model.parameters(), config.clip)
                optimizer.step()
                schedule.step()
                values = torch.stack(losses).tolist()
                if not math.isfinite(values[0]):
                    raise ValueError(
                        f"the loss is {values[0]} at step {done + 1}: lower the learning rate ({config.rate})"
                    )
                sums, done = sums + values, done + 1
                if progress:
                    progress(done, total, dict(zip(losses._fields, values, strict=True)))
            record = dict(zip(losses._fields, (sums / steps_an_epoch).tolist(), strict=True))
            record |= {"rate": schedule.get_last_lr()[0], "seconds": time.perf_counter() - began}
            if validate:
                record["validation"] = float(validate(model))
                if best is None or record["validation"] > best[0]:
                    best = (record["validation"], {k: v.detach().cpu().clone() for k, v in model.state_dict().items()})
            history.append(record)
    if best:
        model.load_state_dict(best[1])
    model.eval()
    return history


def training_batch(
    regions: Sequence[Regions],
    chosen: Sequence[int],
    draw: Draw,
    sizes: Sizes,
    config: LossConfig,
    rng: np.random.Generator,
    generator: torch.Generator,
) -> tuple[Batch, torch.Tensor]:
    """Draw labels for the chosen images and sample pairs: a batch with targets and pairs, and the predicates [Q]."""
    drawn = [draw(int(i), rng) for i in chosen]
    batch = collate([regions[int(i)] for i in chosen], [labels for labels, _ in drawn])
    relations = [np.reshape(np.asarray(r, np.int64), (-1, 3)) for _, r in drawn]
    owner = np.repeat(np.arange(len(drawn)), [len(r) for r in relations])
    relations = np.column_stack([owner, np.concatenate(relations)])
    lengths = batch.mask.sum(1).numpy()[owner]
    ends, predicate = relations[:, 1:3], relations[:, 3]
    if (ends < 0).any() or (ends >= lengths[:, None]).any():
        raise ValueError("a drawn relation names a region that its image does not have")
    if (predicate < 1).any() or (predicate > sizes.predicates).any():
        raise ValueError(f"drawn predicates must lie in 1..{sizes.predicates}")
    if batch.targets.min() < 0 or batch.targets.max() > sizes.categories:
        raise ValueError(f"drawn labels must lie in 0..{sizes.categories}")
    pairs, predicates = sample_pairs(batch, torch.from_numpy(relations), config, generator)
    return replace(batch, pairs=pairs), predicates


def predicate_counts(images: Sequence[int], draw: Draw, rng: np.random.Generator, sizes: Sizes) -> torch.Tensor:
    """How often each predicate stands between two labels in one draw an image: [1 + C, 1 + C, 1 + P].

    Column 0 counts the ordered pairs of labelled regions without a relation.
    """
    counts = np.zeros((1 + sizes.categories, 1 + sizes.categories, 1 + sizes.predicates), np.float32)
    for i in images:
        labels, relations = (np.asarray(part, np.int64) for part in draw(int(i), rng))
        subject, object_, predicate = relations.reshape(-1, 3).T
        np.add.at(counts, (labels[subject], labels[object_], predicate), 1)
        nothing = (labels[:, None] > 0) & (labels > 0) & ~np.eye(len(labels), dtype=bool)
        nothing[subject, object_] = False
        first, second = nothing.nonzero()
        np.add.at(counts, (labels[first], labels[second], 0), 1)
    return torch.from_numpy(counts)


def save_sgg(folder: str | Path, model: nn.Module, extra: dict[str, Any] | None = None) -> None:
    """Store a model as model.safetensors and config.json; `extra` (vocabularies, say) is kept in the latter as JSON."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": model.name, "sizes": asdict(model.sizes), "config": model.config.model_dump(mode="json")}
    text = json.dumps(config | {"extra": extra or {}}, indent=2)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Both are complete before either takes its place.
    save_file(weights, folder / "model.safetensors.tmp")
    (folder / "config.json.tmp").write_text(text + "\n", encoding="utf-8")
    for name in ("model.safetensors", "config.json"):
        os.replace(folder / f"{name}.tmp", folder / name)


def load_sgg(folder: str | Path) -> tuple[nn.Module, dict[str, Any]]:
    """Load what `save_sgg` stored: the model, in eval mode on the CPU, and `extra`.

    Raises ValueError, naming the file, where it is missing, damaged, or of a model that is not registered.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = SGG_MODELS[config["model"]]
        model = kind(Sizes(**config["sizes"]), kind.Config(**config["config"]))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        known = ", ".join(SGG_MODELS)
        raise ValueError(f"{path} is no stored scene-graph model ({known}): {error}; train it again") from error
    path = path.with_name("model.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except (
        Exception
    ) as error:  # safetensors raises its own kind for a damaged file, torch a RuntimeError for a wrong one
        raise ValueError(f"{path} does not fit its config.json: {error}; train it again") from error
    return model.eval(), config.get("extra", {})


def _optimisation(
    model: nn.Module, config: TrainingConfig, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    if config.optimizer == "adamw":
        optimizer = torch.optim.AdamW(model.parameters(), config.rate, weight_decay=config.weight_decay)
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
