"""Entity embeddings: a transformers text model reads whole captions, an entity is the mean over its own pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import embedding_bag

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.pieces import length_limit, own_pieces, spans_of
from groundgraph.models import quietly
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import TOKENIZER, WEIGHTS, located


class TextEncoder:
    """Embeds entities in their captions (E of METHOD.md, section 1).

    model  "bundled:text", a hub id, a local folder, or "package:NAME"
    pool   "head": the mean over the word pieces of the head noun (official); "phrase": of the whole phrase
    batch  captions a forward pass
    device, precision  see `groundgraph.models.device`
    size   width of an embedding
    beyond counts the entities that stand beyond the model's length so far; they get the mean of the caption's pieces
    Raises InputError where the model is missing, is no text model, or has no fast tokenizer.
    """

    def __init__(
        self,
        model: str = "bundled:text",
        pool: Literal["head", "phrase"] = "head",
        batch: int = 128,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ):
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
        self.pool, self.batch, self.size, self.beyond = pool, batch, int(config.hidden_size), 0

    def embed(self, captions: Sequence[ParsedCaption]) -> list[np.ndarray]:
        """One array [E, size] float32 a caption, in order.

        Captions are read whole, batched by length; captions without entities are not read at all.
        """
        out = [np.zeros((len(c.entities), self.size), np.float32) for c in captions]
        spoken = sorted((i for i, c in enumerate(captions) if c.entities), key=lambda i: len(captions[i].text))
        for start in range(0, len(spoken), self.batch):
            part = spoken[start : start + self.batch]
            rows = self._embed([captions[i] for i in part])
            ends = np.cumsum([len(captions[i].entities) for i in part])[:-1]
            for i, own in zip(part, np.split(rows, ends), strict=True):
                out[i] = own
        return out

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
        which, spans = spans_of(captions, self.pool)
        places, starts = own_pieces(offsets, which, spans)
        rows = embedding_bag(
            torch.from_numpy(places).to(self.device), states.flatten(0, 1), torch.from_numpy(starts).to(self.device)
        ).cpu()
        lost = np.diff(starts, append=len(places)) == 0
        if lost.any():
            self.beyond += int(lost.sum())
            mask = encoded["attention_mask"].to(states)[..., None]
            means = ((states * mask).sum(1) / mask.sum(1)).cpu()
            rows[torch.from_numpy(lost)] = means[torch.from_numpy(which[lost])]
        return rows.numpy()
