"""A training's state on disk, so that it goes on where it was killed as if nothing had happened."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError
from groundgraph.models.device import mapped

State = TypeVar("State")


@dataclass(frozen=True)
class Parts:
    """What else a checkpoint holds.

    Args:
        stateful: everything with a state_dict: model, optimiser, schedule.
        generator: torch's, of which batches are drawn.
        device: whose global generator is kept beside the CPU's.
        identity: plain values that say whose training it is.
        rng: NumPy's, of which batches are drawn.
    """

    stateful: dict[str, Any]
    generator: torch.Generator
    device: torch.device
    identity: dict[str, Any]
    rng: np.random.Generator | None = None


def save_checkpoint(path: Path, state: Any, parts: Parts) -> None:
    """Write the whole training; the file is complete before it takes its place.

    Tensors are stored as the CPU's, so that a training may go on where there is no such device.

    Args:
        path: the file; its folder is made where there is none.
        state: a dataclass of plain values: where the training stands.
        parts: what else is kept.
    """
    content = {
        "identity": json.dumps(parts.identity, sort_keys=True),
        "state": {f.name: getattr(state, f.name) for f in fields(state)},
        "parts": {name: part.state_dict() for name, part in parts.stateful.items()},
        "numpy": None if parts.rng is None else json.dumps(parts.rng.bit_generator.state),
        "sampling": parts.generator.get_state(),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state(parts.device) if parts.device.type == "cuda" else None,
    }
    with atomic_write(path) as temporary:
        torch.save(mapped(content, Tensor.cpu), temporary)


@contextmanager
def kept_at_stop(path: Path | None, state: Any, parts: Parts) -> Iterator[None]:
    """Save the state (path None: nowhere) where a signal stops the block, which must lie between two steps."""
    try:
        yield
    except KeyboardInterrupt:
        if path is not None:
            save_checkpoint(path, state, parts)
        raise


def load_checkpoint(path: Path, parts: Parts, kind: type[State]) -> State:
    """Put a checkpoint's state into the parts and the global generators; unpickle nothing but tensors and plain values.

    Args:
        path: the file.
        parts: what is set to the stored state.
        kind: the state's class, a dataclass.

    Returns:
        State: where the training stood.

    Raises:
        InputError: naming the file, where it is damaged or of a training with other settings or data.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch writes checksums, and does not look at them
            if part := archive.testzip():
                raise InputError(f"the checksum of {part} is another")
        content = torch.load(path, map_location="cpu", weights_only=True)
        identity, state = json.loads(content["identity"]), kind(**content["state"])
    except Exception as error:  # each layer raises its own kind for a damaged file
        raise InputError(f"{path} is no readable checkpoint ({error}): delete it to start anew") from error
    own = json.loads(json.dumps(parts.identity))
    if identity != own:
        other = ", ".join(sorted(key for key in own.keys() | identity.keys() if own.get(key) != identity.get(key)))
        raise InputError(
            f"{path} is of a training with other settings ({other}): delete it, or name another checkpoint"
        )
    for name, part in parts.stateful.items():
        part.load_state_dict(content["parts"][name])
    if parts.rng is not None:
        parts.rng.bit_generator.state = json.loads(content["numpy"])
    parts.generator.set_state(content["sampling"])
    torch.set_rng_state(content["torch"])
    if parts.device.type == "cuda" and content["cuda"] is not None:
        torch.cuda.set_rng_state(content["cuda"], parts.device)
    return state
