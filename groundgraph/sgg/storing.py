"""Scene-graph models on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError
from groundgraph.models.device import device_of
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import SggModel, Sizes


def save_sgg(folder: str | Path, model: SggModel, extra: dict[str, Any] | None = None) -> None:
    """Store a model as model.safetensors and config.json.

    Args:
        folder: Made where there is none.
        model: Of `SGG_MODELS`.
        extra: What JSON can hold (vocabularies, say); kept in config.json.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model": model.name, "sizes": asdict(model.sizes), "config": model.config.model_dump(mode="json")}
    text = json.dumps(config | {"extra": extra or {}}, indent=2)
    weights = {k: v.detach().cpu().contiguous() for k, v in model.state_dict().items()}
    # Both are complete before either takes its place.
    with atomic_write(folder / "config.json") as described, atomic_write(folder / "model.safetensors") as stored:
        save_file(weights, stored)
        described.write_text(text + "\n", encoding="utf-8")


def load_sgg(
    folder: str | Path,
    device: str | torch.device = "auto",
    models: Mapping[str, type[SggModel]] = SGG_MODELS,
) -> tuple[SggModel, dict[str, Any]]:
    """Load what `save_sgg` stored.

    Args:
        folder: Where it lies.
        device: Where the model goes (`models.device`).
        models: The kinds that it may be of, by their names.

    Returns:
        The model, in eval mode, and `extra`.

    Raises:
        InputError: naming the file, where it is missing, damaged, or of a model that is not registered.
    """
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        kind = models[config["model"]]
        model = kind(Sizes(**config["sizes"]), kind.Config(**config["config"]))
    except (OSError, json.JSONDecodeError, KeyError, TypeError, ValidationError) as error:
        names = ", ".join(models)
        raise InputError(f"{path} is no stored scene-graph model ({names}): {error}; train it again") from error
    path = path.with_name("model.safetensors")
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # safetensors raises its own kind for a damaged file, torch another for a wrong one
        raise InputError(f"{path} does not fit its config.json: {error}; train it again") from error
    return model.to(device_of(device)).eval(), config.get("extra", {})
