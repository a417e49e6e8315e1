"""Entity embeddings: a transformers text model reads whole captions, an entity is the mean over its own pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.pieces import length_limit, own_pieces, read_apart, spans_of
from groundgraph.models import quietly
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import TOKENIZER, WEIGHTS, located


class TextEncoder:
    """Embeds entities in their captions: E of the paper's Eq. 1.

    Args:
        model: "bundled:text", a hub id, a local folder, or "package:NAME".
        pool: "head": the mean over the word pieces of the head noun (official); "phrase": of the whole phrase.
        batch_size: Captions a forward pass.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Attributes:
        size: Width of an embedding.
        truncated: How many entities stood beyond the model's greatest length so far; they get the mean of their
            caption's pieces.

    Raises:
        InputError: The model is missing, is no text model, or has no fast tokenizer.
    """

    def __init__(
        self,
        model: str = "bundled:text",
        pool: Literal["head", "phrase"] = "head",
        batch_size: int = 128,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        from transformers import AutoModel, AutoTokenizer

        if pool not in ("head", "phrase"):
            raise InputError(f"pool is {pool!r}: it is 'head' or 'phrase'")
        place = located(model, WEIGHTS, TOKENIZER)
        try:
            with quietly():
                self.tokenizer = AutoTokenizer.from_pretrained(place)
                self.model = AutoModel.from_pretrained(place, dtype=torch.float32)
        except (OSError, KeyError) as error:
            raise InputError(f"no text model could be loaded from '{model}' ({error}): check the name") from error
        config = self.model.config
        if not getattr(config, "hidden_size", None) or self.model.main_input_name != "input_ids":
            raise InputError(f"'{model}' is a {config.model_type} model, no text encoder")
        self.limit = length_limit(self.tokenizer, getattr(config, "max_position_embeddings", None))
        self.device = device_of(device)
        self.model.to(self.device, dtype_of(precision, self.device)).eval()
        self.pool, self.batch_size, self.size, self.truncated = pool, batch_size, int(config.hidden_size), 0

    def embed(self, captions: Sequence[ParsedCaption]) -> list[np.ndarray]:
        """Return one array [E, size] float32 a caption, in order.

        Captions are read whole, batched by length; captions without entities are not read at all. Entities without
        characters in their caption are read by themselves.
        """
        captions, together = read_apart(captions)
        embeddings = [np.zeros((len(c.entities), self.size), np.float32) for c in captions]
        order = sorted((i for i, c in enumerate(captions) if c.entities), key=lambda i: len(captions[i].text))
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            rows = self._embed([captions[i] for i in part])
            ends = np.cumsum([len(captions[i].entities) for i in part])[:-1]
            for i, own in zip(part, np.split(rows, ends), strict=True):
                embeddings[i] = own
        return together(embeddings)

    def embed_words(self, words: Sequence[str]) -> np.ndarray:
        """Return each word's embedding, read by itself and once: [N, size] float32."""
        unique = {word: row for row, word in enumerate(dict.fromkeys(words))}
        rows = self.embed([ParsedCaption.of_word(word) for word in unique])
        table = np.concatenate([np.zeros((0, self.size), np.float32), *rows])
        return table[[unique[word] for word in words]]

    @torch.inference_mode()
    def _embed(self, captions: list[ParsedCaption]) -> np.ndarray:
        """All the captions' entities, in order: [E, size]."""
        encoded = self.tokenizer(
            [c.text for c in captions],
            padding=True,
            truncation=True,
            max_length=self.limit,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets = encoded.pop("offset_mapping").numpy()
        states = self.model(**encoded.to(self.device)).last_hidden_state.float()  # [B, T, d]
        caption_of, spans = spans_of(captions, self.pool)
        pieces, starts = own_pieces(offsets, caption_of, spans)
        rows = embedding_bag(
            torch.from_numpy(pieces).to(self.device), states.flatten(0, 1), torch.from_numpy(starts).to(self.device)
        ).cpu()
        truncated = np.diff(starts, append=len(pieces)) == 0
        if truncated.any():
            self.truncated += int(truncated.sum())
            mask = encoded["attention_mask"].to(states)[..., None]
            means = ((states * mask).sum(1) / mask.sum(1)).cpu()
            rows[torch.from_numpy(truncated)] = means[torch.from_numpy(caption_of[truncated])]
        return rows.numpy()
