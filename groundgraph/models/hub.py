"""Models fetched at their first use, from the Hugging Face hub or by torchvision: which are here, which can come."""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundgraph.errors import InputError
from groundgraph.models import resolve

if TYPE_CHECKING:
    from torch import nn

SECONDS = 3  # that a host has for its answer
# The parts of a model by the files that hold each, of which one is enough.
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
TOKENIZER = ("tokenizer.json", "vocab.txt", "vocab.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
PREPARATION = ("preprocessor_config.json", "processor_config.json")  # how pictures are resized


def located(name: str | os.PathLike[str], *parts: Sequence[str]) -> str:
    """Return what `resolve` does, but for a hub id its folder in the hub's cache.

    transformers would ask the hub about each file even where all are in the cache, and without a network try again for
    minutes.

    Args:
        name: See `resolve`.
        parts: What is to be loaded, such as `WEIGHTS`; where one is not in the cache, the id is given as it stands.

    Raises:
        InputError: See `resolve`; or nothing of it is in the cache, and the hub does not give it.
    """
    place = resolve(name)
    if os.path.exists(place):
        return place
    if cached(place, []) is None and (why := obstacles([place])):
        raise InputError(f"{name}: no such folder; and as an id of the hub: {why[place]}")
    return cached(place, parts) or place


def cached(model: str, parts: Sequence[Sequence[str]]) -> str | None:
    """Return the folder of the hub's cache with a model's config.json and all the parts; None where one is missing."""
    config = _in_cache(model, "config.json")
    complete = config and all(any(_complete(model, name) for name in part) for part in parts)
    return str(Path(config).parent) if complete else None


def _in_cache(model: str, name: str) -> str | None:
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        path = try_to_load_from_cache(model, name)
    except HFValidationError:  # no id of the hub could be written so
        return None
    return path if isinstance(path, str) else None


def _complete(model: str, name: str) -> bool:
    """Whether the cache has a file, and where that lists the shards of weights, all of them."""
    place = _in_cache(model, name)
    if place is None or not name.endswith(".index.json"):
        return place is not None
    shards = set(json.loads(Path(place).read_text(encoding="utf-8"))["weight_map"].values())
    return all(_in_cache(model, shard) for shard in shards)


def torchvision_weights(name: str) -> tuple[str, Path]:
    """Return the address of a torchvision network's weights, and the file that torchvision keeps them in."""
    import torch
    from torchvision.models import get_model_weights

    url = get_model_weights(name).DEFAULT.url
    return url, Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name


def load_torchvision(network: nn.Module, name: str) -> None:
    """Load torchvision's weights into a network, fetched at the first use.

    Args:
        network: Torchvision's network of that name.
        name: Such as resnet50.

    Raises:
        InputError: Their file cannot be read; the message names it.
    """
    import torch

    url, place = torchvision_weights(name)
    try:
        network.load_state_dict(torch.hub.load_state_dict_from_url(url, map_location="cpu", weights_only=True))
    except Exception as error:  # a damaged file makes the reader fail in any way: EOFError, IndexError, ...
        raise InputError(f"{place}: cannot be loaded ({error}); put the file of {url} there") from error


def obstacles(sources: Iterable[str]) -> dict[str, str]:
    """Return why models cannot be fetched, by source; those that can be are left out.

    Each host gets one short request for each source, all at the same time.

    Args:
        sources: Ids of the hub, or addresses of files.
    """
    reasons = dict.fromkeys(sources, f"its host does not answer within {2 * SECONDS} s: connect")

    def work(source: str) -> None:
        reasons[source] = _obstacle_at_address(source) if "://" in source else _obstacle_at_hub(source)

    threads = [threading.Thread(target=work, args=[source], daemon=True) for source in reasons]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2 * SECONDS  # looking up a host's name knows no limit of its own
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))
    return {source: reason for source, reason in reasons.items() if reason}


def _obstacle_at_hub(model: str) -> str:
    from huggingface_hub import constants, errors, get_hf_file_metadata, hf_hub_url, is_offline_mode

    host = constants.ENDPOINT.partition("://")[2]
    if is_offline_mode():
        return "HF_HUB_OFFLINE forbids to fetch it: unset that"
    try:
        get_hf_file_metadata(hf_hub_url(model, "config.json"), timeout=SECONDS)
    except errors.GatedRepoError:
        return f"{host} gives it to those alone who accept its terms on its page: do so, and `hf auth login`"
    except errors.HFValidationError:
        return "it is neither a folder nor an id of the hub: mend the name"
    except errors.RepositoryNotFoundError:
        return f"{host} has no such model: mend the name (where it is private, `hf auth login`)"
    except errors.EntryNotFoundError:
        return f"on {host} it has no config.json: take a model of transformers"
    except Exception as error:  # whatever the HTTP client in use raises
        return f"{host} can't be reached ({error}): connect"
    return _unwritable(constants.HF_HUB_CACHE, "HF_HOME")


def _obstacle_at_address(url: str) -> str:
    import torch

    host = url.split("/")[2]
    try:
        urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=SECONDS).close()
    except urllib.error.HTTPError as error:
        return f"{host} answers {error.code} ({error.reason}): try later"
    except OSError as error:
        return f"{host} can't be reached ({getattr(error, 'reason', error)}): connect"
    return _unwritable(torch.hub.get_dir(), "TORCH_HOME")


def _unwritable(cache: str, variable: str) -> str:
    """That no file can be put into a cache folder, which is made where it is absent; empty: one can."""
    place = next(p for p in (Path(cache), *Path(cache).parents) if p.exists())
    if place.is_dir() and os.access(place, os.W_OK):
        return ""
    return f"nothing can be written into {cache}, where it would go: let {variable} name a folder of yours"
