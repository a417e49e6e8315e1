"""Training a bundled expert again by name: `python -m tools.train NAME`."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from groundgraph.errors import InputError
from groundgraph.models import BUNDLED, FOLDER

MINUTES = {"detector": 25.0, "text": 8.0, "vl": 45.0, "clip": 20.0}  # what the shipped ones were given


def train_expert(name: str, out: Path | None = None, minutes: float | None = None, seed: int = 0) -> dict:
    """Train one expert and write its checkpoint and card; gives its held-out figures.

    out      a folder; None: the package's own
    minutes  time cap; None: what the shipped checkpoint was given
    Raises InputError for an unknown name, and where `out` holds anything.
    """
    if name not in BUNDLED:
        raise InputError(f"there is no bundled expert '{name}'; the bundled ones are {', '.join(BUNDLED)}")
    if out and out.exists() and any(out.iterdir()):  # a checkpoint takes a folder's whole place
        raise InputError(f"{out}: not empty, and would be replaced; name a new folder")
    train = getattr(import_module(f"groundgraph.models.train_{name}"), f"train_{name}")
    return train(Path(out) if out else FOLDER / name, minutes if minutes is not None else MINUTES[name], seed)
