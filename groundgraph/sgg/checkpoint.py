"""A training's state on disk, so that it goes on where it was killed as if nothing had happened."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass
class TrainingState:
    """Where a training stands, beside what its model, optimiser and random generators hold.

    epoch and step   the epoch under way and how many of its steps are done; done: steps of all epochs
    order            the epoch's images as they were shuffled
    sums, seconds    of the epoch so far: losses and time
    history          a record a finished epoch
    best, stale      the best validation figure with its weights, and the epochs since
    """

    epoch: int = 0
    step: int = 0
    done: int = 0
    order: list[int] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)
    best: float | None = None
    weights: dict[str, Tensor] | None = None
    stale: int = 0


@dataclass(frozen=True)
class Parts:
    """What else a checkpoint holds: everything with a state_dict, the random generators, and whose training it is."""

    stateful: dict[str, Any]
    rng: np.random.Generator
    generator: torch.Generator
    device: torch.device
    identity: dict[str, Any]


def save_checkpoint(path: Path, state: TrainingState, parts: Parts) -> None:
    """Write the whole state; the file is complete before it takes its place."""
    content = {
        "identity": json.dumps(parts.identity, sort_keys=True),
        "state": {f.name: getattr(state, f.name) for f in fields(state)},
        "parts": {name: part.state_dict() for name, part in parts.stateful.items()},
        "numpy": json.dumps(parts.rng.bit_generator.state),
        "sampling": parts.generator.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(parts.device) if parts.device.type == "cuda" else None,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    torch.save(content, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, parts: Parts) -> TrainingState:
    """Put a checkpoint's state into the parts and the global generators, and give where the training stood.

    Nothing but tensors and plain values is unpickled. Raises ValueError, naming the file, where it is damaged or of a
    training with other settings or data.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        identity, state = json.loads(content["identity"]), TrainingState(**content["state"])
    except (OSError, EOFError, RuntimeError, pickle.UnpicklingError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no readable checkpoint ({error}): delete it to start anew") from error
    own = json.loads(json.dumps(parts.identity))
    if identity != own:
        other = sorted(key for key in own.keys() | identity.keys() if own.get(key) != identity.get(key))
        raise ValueError(
            f"{path} is of a training with other settings ({', '.join(other)}): delete it, or name another checkpoint"
        )
    for name, part in parts.stateful.items():
        part.load_state_dict(content["parts"][name])
    parts.rng.bit_generator.state = json.loads(content["numpy"])
    parts.generator.set_state(content["sampling"])
    torch.set_rng_state(content["torch"])
    if parts.device.type == "cuda" and content["cuda"] is not None:
        torch.cuda.set_rng_state(content["cuda"], parts.device)
    return state
