"""A trained model's folder: what `groundgraph pack` writes, and what is read from one or from a run.

config.json         the scene-graph model's sizes and settings; extra: vocabulary, recipe, method, metrics
model.safetensors   its weights, with the text features of the vocabulary where heads are open
detector/, text/    models that only this disk had, and the bundled detector; others are named by hub id or package
grounder/           the trained grounder, where there is one
README.md           the model card
onnx/               where asked for, see `onnx.folder`
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path, PurePath
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import safe_open
from safetensors.torch import save_file

from groundgraph.data.files import atomic_write, write_text
from groundgraph.data.text import read_json
from groundgraph.errors import InputError
from groundgraph.models import resolve
from groundgraph.pretrained.card import model_card
from groundgraph.sgg.batch import SggModel
from groundgraph.sgg.storing import load_sgg, save_sgg
from groundgraph.stages.places import MODEL_DETECTORS
from groundgraph.stages.recipe import Recipe, run_recipe
from groundgraph.systems import stored_models
from groundgraph.vision import NAMED

FORMAT = 1
NAMES = ("categories", "predicates", "detector", "trained predicates", "calibration", "merging", "least score")
FILES = ("config.json", "model.safetensors")
# What a recipe may name by a folder of this disk, and the folder that it is copied to.
EXPERTS = {
    "detector": ("detector", "model"),
    "features": ("detector", "features"),
    "text": ("text", "model"),
    "language-prior": ("sgg", "language_prior"),
    "image-text": ("teachers", "expert", "model"),
}
LOADED_AS_FLOAT32 = ("detector", "text")  # whatever their files hold; a detector of torchvision's kind


@dataclass(frozen=True)
class ModelParts:
    """What a scene-graph generator is made of.

    Attributes:
        network: The scene-graph model.
        names: Its "categories" and "predicates", the "detector"'s categories, the "trained predicates", the
            "calibration" of its scores, the "merging" of its boxes, and the "least score" shown where
            nothing calibrates them.
        recipe: What it was trained by; names the detector and the text model.
        method: Its grounder's name.
        grounder: The folder of the trained grounder; None: the method has none.
        metrics: What was measured of it, as metrics.json has it of a method.
    """

    network: SggModel
    names: dict[str, Any]
    recipe: Recipe
    method: str
    grounder: Path | None = None
    metrics: dict[str, Any] = field(default_factory=dict)


def run_parts(run: Path, method: str | None = None, device: str | None = None) -> ModelParts:
    """The parts of a finished run; arguments as of `groundgraph.load`.

    Raises:
        InputError: It is no finished run, or has no such method.
    """
    recipe = run_recipe(run, [f"device={device}"] if device else [])
    method = method or recipe.first_method
    if not (run / f"sgg-{method}").is_dir():
        done = sorted(p.name.removeprefix("sgg-") for p in run.glob("sgg-*") if p.suffix not in (".tmp", ".part"))
        raise InputError(
            f"{run} holds no trained model of {method!r}; it has {', '.join(done) or 'none yet: finish the run'}"
        )
    network, names = load_sgg(run / f"sgg-{method}", recipe.device, stored_models())
    grounder, measured = run / f"grounding-{method}", run / "metrics.json"
    metrics = json.loads(measured.read_text(encoding="utf-8"))["methods"].get(method) if measured.is_file() else None
    learns = recipe.methods[method].learns and (grounder / "model.safetensors").is_file()
    return ModelParts(network, names, recipe, method, grounder if learns else None, metrics or {})


def is_packed(folder: Path) -> bool:
    """Whether a folder is one that `write_packed` wrote."""
    return all((folder / name).is_file() for name in FILES) and not (folder / "recipe.yaml").exists()


def read_packed(folder: Path, device: str | None = None) -> ModelParts:
    """The parts of a packed folder.

    Raises:
        InputError: It is none, damaged, or of a later version; names the file.
    """
    place = folder / "config.json"
    extra = read_json(place, "a packed model's config.json", "give a folder that `groundgraph pack` wrote").get("extra")
    if not isinstance(extra, dict) or "recipe" not in extra:
        raise InputError(f"{place}: no model that `groundgraph pack` wrote; give its folder, or a run's")
    if extra.get("format", 0) > FORMAT:
        raise InputError(f"{place}: written by groundgraph {extra.get('version')}, later than this one: upgrade")
    content = extra["recipe"] | ({"device": device} if device else {})
    for target, keys in EXPERTS.items():
        holder = _holder(content, keys)
        if holder.get(keys[-1]) == target:
            holder[keys[-1]] = str(folder.absolute() / target)
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise InputError(
            f"{place}: its recipe is not understood ({error.errors()[0]['msg']}); pack it again"
        ) from error
    network, _ = load_sgg(folder, recipe.device, stored_models())
    for name, digest in extra["bundled"].items():
        if _digest(name) != digest:
            raise InputError(
                f"{place}: trained with another {name} than this groundgraph has: install version {extra['version']}, "
                "or train it again"
            )
    names = {kind: extra[kind] for kind in NAMES if kind in extra}
    grounder = folder / "grounder"
    return ModelParts(
        network, names, recipe, extra["method"], grounder if grounder.is_dir() else None, extra["metrics"]
    )


def write_packed(parts: ModelParts, folder: Path, half: bool = False) -> None:
    """Write a model's folder.

    Args:
        parts: The model's.
        folder: Where to; made where there is none.
        half: Weights as float16, in half the room. They are computed with as float32.

    Raises:
        InputError: Its regions come from a file, so that it knows no new image.
    """
    config = parts.recipe.detector
    if config.kind not in MODEL_DETECTORS or config.kind in NAMED:
        raise InputError(
            f"the regions of this run come from a file ({config.kind}), not from a detector: a model of it has nothing "
            "to look at a new image with; train one with detector.kind torchvision, transformers or open-vocabulary"
        )
    content = parts.recipe.model_dump(mode="json")
    halved, bundled = [folder / "model.safetensors"], {}
    if not parts.recipe.sgg.needs_expert:
        content["teachers"]["expert"] = None  # it only taught
        if content["grounding"]["fusing"] == "expert":
            content["grounding"]["fusing"] = "average"
    for target, keys in EXPERTS.items():
        holder = _holder(content, keys)
        name = holder.get(keys[-1]) or ""
        if name.startswith("bundled:"):
            bundled[name] = _digest(name)
        elif (source := Path(name).expanduser()).is_dir() and name:
            _copy(source, folder / target)
            holder[keys[-1]] = target
            if target in LOADED_AS_FLOAT32 and (target != "detector" or config.kind == "torchvision"):
                halved.append(folder / target / "model.safetensors")
    if parts.grounder is not None:
        _copy(parts.grounder, folder / "grounder", ("grounder.json", "model.safetensors"))
        halved.append(folder / "grounder" / "model.safetensors")
    extra = parts.names | {
        "format": FORMAT,
        "version": version("groundgraph"),
        "recipe": _without_places(content),
        "method": parts.method,
        "metrics": parts.metrics,
        "bundled": bundled,
    }
    save_sgg(folder, parts.network, extra)
    for file in halved if half else ():
        _halve(file)
    write_text(folder / "README.md", model_card(parts.names, content, parts.method, parts.metrics))


def pack(
    parts: ModelParts, out: Path, half: bool = False, also: Callable[[ModelParts, Path], None] | None = None
) -> dict[str, int]:
    """Write a model's folder, whole or not at all; one that was packed before is replaced.

    Args:
        parts: The model's.
        out: The folder.
        half: See `write_packed`.
        also: Writes more into the folder.

    Returns:
        Its files' sizes in bytes, by name.

    Raises:
        InputError: As `write_packed`, and where `out` holds something else.
    """
    if out.exists() and not (out.is_dir() and (is_packed(out) or not any(out.iterdir()))):
        raise InputError(f"{out}: there is something else, and nothing is written over; name a new folder")
    scratch = out.with_name(f"{out.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        write_packed(parts, scratch, half)
        if also is not None:
            also(parts, scratch)
        shutil.rmtree(out, ignore_errors=True)
        os.replace(scratch, out)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return {str(path.relative_to(out)): path.stat().st_size for path in sorted(out.rglob("*")) if path.is_file()}


def _holder(content: dict[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """The part of a recipe that has the last of its keys; an empty one where the recipe leaves it out."""
    for key in keys[:-1]:
        content = content.get(key) or {}
    return content


def _digest(name: str) -> str:
    """Which weights a bundled expert has."""
    return hashlib.sha256((Path(resolve(name)) / "model.safetensors").read_bytes()).hexdigest()


def _copy(source: Path, target: Path, names: Sequence[str] | None = None) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.iterdir()):
        if path.is_file() and (names is None or path.name in names):
            shutil.copyfile(path, target / path.name)


def _halve(file: Path) -> None:
    """Write a file's float32 tensors as float16."""
    if not file.is_file():
        return
    with safe_open(file, "pt") as opened:
        metadata, tensors = opened.metadata(), {name: opened.get_tensor(name) for name in opened.keys()}
    half = {name: t.half() if t.dtype == torch.float32 else t for name, t in tensors.items()}
    with atomic_write(file) as temporary:
        save_file(half, temporary, metadata)


def _without_places(value: Any) -> Any:
    """A recipe without where things lay on the disk that it was trained on: of a path the last part."""
    if isinstance(value, dict):
        return {key: _without_places(own) for key, own in value.items()}
    if isinstance(value, list):
        return [_without_places(own) for own in value]
    return PurePath(value).name if isinstance(value, str) and PurePath(value).is_absolute() else value
