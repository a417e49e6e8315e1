"""A model of the Hugging Face hub, all files that loading it takes, each with its sum where the hub has one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundgraph.errors import InputError
from groundgraph.models.hub import WEIGHTS

_SHARDS = {
    "model.safetensors": r"model\.safetensors",
    "model.safetensors.index.json": r"model-\d+-of-\d+\.safetensors",
    "pytorch_model.bin": r"pytorch_model\.bin",
    "pytorch_model.bin.index.json": r"pytorch_model-\d+-of-\d+\.bin",
}  # of each way to store weights, the files that hold them
_OTHERS = (".json", ".txt", ".model", ".jinja")  # settings, vocabularies


@dataclass(frozen=True)
class HubFile:
    """A file of a model: its name, its bytes and its SHA-256, None where the hub does not say."""

    name: str
    bytes: int
    sha256: str | None


def model_files(model: str) -> list[HubFile]:
    """The files of a model that loading it takes: weights in one form, settings, vocabularies.

    Raises:
        InputError: The hub cannot be asked.
    """
    from huggingface_hub import HfApi

    try:
        listed = HfApi().model_info(model, files_metadata=True).siblings or []
    except Exception as error:  # whatever the HTTP client in use raises
        raise InputError(f"{model}: the hub does not say which files it has ({error})") from error
    wanted = needed([file.rfilename for file in listed])
    return [
        HubFile(file.rfilename, file.size or 0, file.lfs.sha256 if file.lfs else None)
        for file in listed
        if file.rfilename in wanted
    ]


def needed(names: Sequence[str]) -> set[str]:
    """Those of a repository's files that loading its model takes."""
    weights = next((form for form in WEIGHTS if form in names), None)
    chosen = {name for name in names if "/" not in name and name.endswith(_OTHERS) and not name.endswith("index.json")}
    if weights is not None:
        chosen |= {name for name in names if name == weights or re.fullmatch(_SHARDS[weights], name)}
    return chosen


def fetch_model(model: str, files: Sequence[HubFile], advance: Callable[[int], Any]) -> None:
    """Fetch files of a model into the hub's cache; what is there is not fetched again, a dropped file is gone on with.

    Args:
        model: Its id.
        files: As `model_files` gives them.
        advance: Is told of the bytes of each file.

    Raises:
        InputError: The hub refuses one, or what came has another sum; that file is deleted.
    """
    from huggingface_hub import hf_hub_download

    for file in files:
        try:
            place = Path(hf_hub_download(model, file.name)).resolve()
        except Exception as error:
            raise InputError(f"{model}: {file.name} cannot be fetched ({error}); run it again to go on") from error
        if file.sha256 is not None:
            with place.open("rb") as content:
                own = hashlib.file_digest(content, "sha256").hexdigest()
            if own != file.sha256:
                place.unlink()
                raise InputError(
                    f"{model}: {file.name} has the sha256 sum {own}, the hub says {file.sha256}; it was deleted: run "
                    "it again"
                )
        advance(file.bytes)
