"""Tokenizers of pretrained models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from groundgraph.errors import InputError
from groundgraph.models.hub import TOKENIZER, located

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a local folder, a hub id, bundled:NAME or package:NAME.

    Raises:
        InputError: There is none.
    """
    from transformers import AutoTokenizer

    place = name if Path(name).is_dir() else located(name, TOKENIZER)
    try:
        return AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no tokenizer could be loaded from '{name}': name another with the option `tokenizer` ({error})"
        ) from error
