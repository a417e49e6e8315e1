"""The models and files that a recipe names, as what must be here before a stage runs, and where to get them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.sources.needs import Need
from groundgraph.engine.fingerprints import file_identity, file_states
from groundgraph.errors import InputError
from groundgraph.models import resolve
from groundgraph.models.hub import cached, torchvision_weights
from groundgraph.stages.places import is_path

# How a published file's name begins -> where it comes from and how large it is.
PUBLISHED = {
    "VG_detection_results_oid": ("DATASET.md of YiwuZhong/SGG_from_NLS on GitHub", "about 25 GB"),
    "COCO_detection_results_oid": ("DATASET.md of YiwuZhong/SGG_from_NLS on GitHub", "about 27 GB"),
    "refcoco.pth": ("README of salesforce/ALBEF on GitHub (fine-tuned on RefCOCO+)", "about 3 GB"),
    "ALBEF.pth": ("README of salesforce/ALBEF on GitHub (pre-trained)", "about 3 GB"),
    "uniter-base.pt": ("README of ChenRocks/UNITER on GitHub", "about 0.6 GB"),
    "bert-base-uncased": ("Hugging Face hub", "0.4 GB"),
    "openai/clip-vit-base-patch32": ("Hugging Face hub", "0.6 GB"),
    "IDEA-Research/grounding-dino-tiny": ("Hugging Face hub", "0.7 GB"),
    "Salesforce/blip-itm-base-coco": ("Hugging Face hub", "0.9 GB"),
    "Qwen/Qwen2.5-7B-Instruct": ("Hugging Face hub", "15 GB"),
    "facebook/detr-resnet-50": ("Hugging Face hub", "0.2 GB"),
}


def need_file(what: str, place: str, key: str) -> Need:
    """A file or folder.

    Args:
        what: What it is, in a word or two.
        place: Its path.
        key: The recipe's key that names it.
    """
    return Need(what, place, *PUBLISHED.get(Path(place).name, ("", "")), key)


def need_model(what: str, model: str, key: str, *parts: Sequence[str]) -> Need:
    """A model by its name: bundled or a package's, a file or folder, else an id of the hub.

    Args:
        what: What it is, in a word or two.
        model: Its name.
        key: The recipe's key that names it.
        parts: Which of its files are loaded, as `models.hub` lists them.
    """
    path = Path(model).expanduser()
    if model.partition(":")[0] in ("bundled", "package"):
        try:
            return Need(what, resolve(model), key=key)
        except InputError as error:
            return Need(what, model, str(error), key=key, there=False)
    if path.exists() or is_path(model):
        return need_file(what, model, key)
    origin, size = PUBLISHED.get(model, ("Hugging Face hub", ""))
    where = f"the {origin}, by itself when it is first used"
    return Need(what, model, where, size, key, model, cached(model, parts) is not None)


def need_torchvision(what: str, name: str, key: str) -> Need:
    """A network by torchvision's own name for it, whose weights it fetches itself."""
    try:
        url, place = torchvision_weights(name)
    except ValueError:
        return Need(what, name, "neither a folder nor a network of torchvision", key=key, there=False)
    return Need(what, name, "torchvision, by itself when it is first used", "", key, url, place.is_file())


def model_identity(model: str) -> Any:
    """What a model's name stands for, for a fingerprint: the files where it is local, the name where it is a hub id.

    A folder that is no model's, but of regions, is too large to read: its files' sizes and times stand for it.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        return file_states(sorted(p for p in path.rglob("*") if p.is_file()))
    try:
        place = path if path.is_file() else Path(resolve(model))
    except ValueError:  # `preflight.require` says what is missing, and so does the stage that loads it
        return [model, "absent"]
    return file_identity(place) if place.exists() else model
