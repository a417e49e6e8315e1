"""Which word pieces of an encoded caption belong to an entity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from groundgraph.data.types import ParsedCaption, Span
from groundgraph.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

CHUNK = 4096  # entities whose mask is held at once


def piece_mask(offsets: np.ndarray, captions: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Return which pieces share a character with each entity's span.

    Args:
        offsets: [B, T, 2], first and past-last character of each piece, as a fast tokenizer gives them; special pieces
            and padding have none (0, 0).
        captions: [E], which caption each entity stands in.
        spans: [E, 2], its characters [start, end).

    Returns:
        [E, T] bool; a row without a True is an entity beyond the model's length (or a span without a letter).
    """
    own = offsets[captions]
    start, end = own[..., 0], own[..., 1]
    return (start < spans[:, 1:]) & (end > spans[:, :1]) & (end > start)


def own_pieces(offsets: np.ndarray, captions: np.ndarray, spans: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return `piece_mask` as a list, for sums whose memory does not grow with entities times pieces.

    Args:
        offsets: See `piece_mask`.
        captions: See `piece_mask`.
        spans: See `piece_mask`.

    Returns:
        The flat places [P] (caption * T + piece) that the entities own, one entity after the other, and each one's
        first place in that list [E]: what `embedding_bag` takes. Equal starts tell an entity without a piece.
    """
    length, places, counts = offsets.shape[1], [], []
    for start in range(0, len(captions), CHUNK):
        part = slice(start, start + CHUNK)
        mask = piece_mask(offsets, captions[part], spans[part])
        entity, piece = np.nonzero(mask)
        places.append(captions[part][entity] * length + piece)
        counts.append(mask.sum(1))
    ends = np.cumsum(np.concatenate([[0], *counts]), dtype=np.int64)
    return np.concatenate([np.zeros(0, np.int64), *places]), ends[:-1]


def spans_of(captions: Sequence[ParsedCaption], pool: str = "head") -> tuple[np.ndarray, np.ndarray]:
    """Return every entity's caption number [E] and characters [E, 2]: of its head noun, or of its whole "phrase"."""
    counts = [len(caption.entities) for caption in captions]
    entities = (entity for caption in captions for entity in caption.entities)
    spans: list[Span] = [entity.head_span if pool == "head" else entity.span for entity in entities]
    return np.repeat(np.arange(len(captions)), counts), np.array(spans, np.int64).reshape(-1, 2)


def read_apart(
    captions: Sequence[ParsedCaption],
) -> tuple[list[ParsedCaption], Callable[[Sequence[np.ndarray]], list[np.ndarray]]]:
    """Captions as they can be read where entities have no characters in them: each such entity is one of its own.

    Args:
        captions: As their parser gives them.

    Returns:
        The captions without these entities, and after each the names of its own; and what makes arrays of the captions'
        entities, of these, arrays of all entities of the captions given.
    """
    if all(entity.tied for caption in captions for entity in caption.entities):
        return list(captions), list
    readable, orders = [], []
    for caption in captions:
        tied = [row for row, entity in enumerate(caption.entities) if entity.tied]
        untied = [row for row, entity in enumerate(caption.entities) if not entity.tied]
        readable.append(ParsedCaption(caption.text, tuple(caption.entities[row] for row in tied)))
        readable += [ParsedCaption.of_word(caption.entities[row].name) for row in untied]
        orders.append((len(untied), np.argsort([*tied, *untied])))

    def together(arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        own, rows = [], iter(arrays)
        for untied, order in orders:
            tied, names = next(rows), list(islice(rows, untied))
            own.append(np.concatenate([tied, *names])[order])
        return own

    return readable, together


def length_limit(tokenizer: PreTrainedTokenizerBase, positions: int | None) -> int:
    """Return how many pieces a model reads: the smaller of its positions and its tokenizer's limit.

    Args:
        tokenizer: The model's tokenizer.
        positions: How many position embeddings the model has, if it says so.

    Raises:
        InputError: The tokenizer gives no character offsets.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise InputError(f"{type(tokenizer).__name__} gives no character offsets: entities need a fast tokenizer")
    return int(min(tokenizer.model_max_length, positions or 512))
