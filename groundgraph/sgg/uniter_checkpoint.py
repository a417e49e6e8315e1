"""Starting Uniter from a published UNITER checkpoint (ChenRocks/UNITER, `uniter-base.pt`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from groundgraph.errors import InputError
from groundgraph.formats.torch_file import tensors_of
from groundgraph.sgg.uniter import REGION, TEXT, Uniter

PREFIX = "uniter."
SPECIAL = ["[UNK]", "[CLS]", "[SEP]", "[MASK]"]  # of no category, and the three that the model puts in


def read_uniter(path: str | Path) -> dict[str, Tensor]:
    """The encoder's weights of a checkpoint file, without their "uniter." and with today's names of norms.

    Nothing in the file runs.

    Raises:
        InputError: It is no checkpoint or has no encoder; names the file.
    """
    weights = {
        key.removeprefix(PREFIX).replace(".gamma", ".weight").replace(".beta", ".bias"): value.float()
        for key, value in tensors_of(path).items()
        if key.startswith((PREFIX, "embeddings.", "img_embeddings.", "encoder."))
    }
    if "embeddings.word_embeddings.weight" not in weights:
        raise InputError(f"{path}: holds no UNITER encoder (no uniter.embeddings.*); give UNITER's uniter-base.pt")
    return weights


@torch.no_grad()
def start_from_checkpoint(model: Uniter, names: Sequence[str]) -> list[str]:
    """Put the weights of model.config.checkpoint into the model.

    They are the embeddings, the image's side, and the encoder's first layers, as many as the model has. Subject and
    object tokens start as UNITER's image type.

    Args:
        model: Whose configuration names a checkpoint and its tokenizer.
        names: The detector's categories, whose tokens start as the mean of their word pieces; no category as [UNK].

    Returns:
        The parts that keep their random start: the heads, and "img_embeddings.img_linear" where features have another
        width than UNITER's 2048.

    Raises:
        InputError: The sizes do not fit, a layer is missing, or tokenizer and checkpoint do not belong together.
    """
    config = model.config
    path, tokenizer = str(config.checkpoint), str(config.tokenizer)
    if len(names) != model.sizes.detector_categories:
        raise InputError(f"{len(names)} names for {model.sizes.detector_categories} categories of the detector")
    weights = read_uniter(path)
    words = weights.pop("embeddings.word_embeddings.weight")
    types = weights.pop("embeddings.token_type_embeddings.weight")
    positions = weights.pop("embeddings.position_embeddings.weight")
    if words.shape[1] != config.hidden:
        raise InputError(
            f"{path} has {words.shape[1]} dimensions, uniter.hidden is {config.hidden}: set it to the former"
        )
    if len(positions) < config.positions:
        raise InputError(f"{path} has {len(positions)} positions, uniter.positions is {config.positions}: lower it")
    embeddings = model.embeddings
    table = torch.stack([words[pieces].mean(0) for pieces in _pieces(tokenizer, names, len(words), path)])
    embeddings.word_embeddings.weight.copy_(table)
    embeddings.position_embeddings.weight.copy_(positions[: config.positions])
    embeddings.token_type_embeddings.weight.copy_(types[[TEXT, REGION, REGION, REGION]])
    copied = {f"embeddings.{part}_embeddings.weight" for part in ("word", "position", "token_type")}

    kept = []
    for key, value in model.state_dict().items():
        if key in copied or not key.startswith(("embeddings.", "img_embeddings.", "encoder.")):
            continue
        stored = weights.get(key)
        if stored is None:
            raise InputError(f"{path} has no {key}: a checkpoint of fewer than {config.layers} layers, or no UNITER")
        if key == "img_embeddings.img_linear.weight" and stored.shape[1] != value.shape[1]:
            kept.append("img_embeddings.img_linear")
        elif stored.shape != value.shape:
            raise InputError(
                f"{path}: {key} is {tuple(stored.shape)}, this model's {tuple(value.shape)}: "
                "set uniter.hidden and uniter.intermediate to the checkpoint's"
            )
        elif not (kept and key.startswith(kept[0])):
            value.copy_(stored)
    heads = {name.split(".")[0] for name, _ in model.named_parameters()} - {"embeddings", "img_embeddings", "encoder"}
    return kept + sorted(heads)


def _pieces(tokenizer: str, names: Sequence[str], words: int, path: str) -> list[list[int]]:
    """The word pieces of every token of the model: the categories', no category's, and the special ones."""
    from transformers import AutoTokenizer

    try:
        pieces = AutoTokenizer.from_pretrained(tokenizer)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{tokenizer} is no tokenizer's folder ({error}): give that of bert-base-cased") from error
    ids = pieces(list(names), add_special_tokens=False)["input_ids"] if names else []
    special = cast(list[int], pieces.convert_tokens_to_ids(SPECIAL))
    ids = [own or [special[0]] for own in ids] + [[i] for i in special]
    if max(max(own) for own in ids) >= words:
        raise InputError(f"{tokenizer} has more words than {path} ({words}): they do not belong together")
    return ids
