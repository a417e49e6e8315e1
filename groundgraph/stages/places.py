"""The paths in a recipe: relative to where they are written, absolute from there on."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

_PHOTOS = (
    "coco",
    "jsonl",
    "table",
    "webdataset",
    "karpathy",
)  # sources whose files are named one by one; vg150's are relative to its folder
_PHOTO_FILES = ("data.images", "data.captions", "data.instances")
_FILES = ("data.folder", "data.coco.folder", "sgg.motifs.checkpoint", "sgg.uniter.checkpoint")
_MODELS = (
    "parser.model",
    "text.model",
    "vocabulary.alignment.model",
    "detector.features",
    "teachers.interaction.model",
    "teachers.interaction.tokenizer",
    "teachers.phrase.model",
    "teachers.expert.model",
    "sgg.uniter.tokenizer",
)
_REGIONS = ("detector.model", "detector.also")
MODEL_DETECTORS = ("torchvision", "transformers", "open-vocabulary")  # kinds that are a model, not a file of regions
ANNOTATED = "annotated"  # a kind that reads neither a model nor a file: the data's own boxes
_SCHEMES = ("bundled", "package", "torchvision")  # as in package:all_minilm_l6_v2
WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors")


def anchor(content: dict[str, Any], folder: str | Path, merged: dict[str, Any]) -> None:
    """Make the relative paths in a recipe's content absolute, in place.

    Args:
        content: Of a recipe's file.
        folder: What its paths are relative to.
        merged: The recipe with what it extends, which says of what kind its data and its detector are.
    """
    files = _FILES + (_PHOTO_FILES if _at(merged, "data.source") in _PHOTOS else ())
    models = _MODELS
    if _at(merged, "detector.kind") in (None, ANNOTATED, *MODEL_DETECTORS):
        models += _REGIONS
    else:
        files += _REGIONS
    for key in files + models:
        *parents, last = key.split(".")
        part, value = _at(content, ".".join(parents)), _at(content, key)
        if isinstance(value, str):
            part[last] = _absolute(value, folder, key in models)
        elif isinstance(value, list):
            part[last] = [_absolute(one, folder, key in models) if isinstance(one, str) else one for one in value]


def is_path(name: str) -> bool:
    """Whether a model's name can only be that of a file or folder, and not an id of the hub or a model's kind."""
    return name.endswith(WEIGHT_FILES) or name.startswith((".", os.sep, "~")) or name.count("/") > 1


def _absolute(value: str, folder: str | Path, model: bool) -> str:
    path = os.path.abspath(os.path.join(folder, os.path.expanduser(value)))
    if model and (value.partition(":")[0] in _SCHEMES or (not is_path(value) and not os.path.exists(path))):
        return value
    return path if value else value


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content
