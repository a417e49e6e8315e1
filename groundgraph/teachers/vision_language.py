"""Where a vision-language model looks for each entity of a caption: captions and pictures in, maps out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import embedding_bag

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.pieces import length_limit, own_pieces, spans_of
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.models.hub import TOKENIZER, located
from groundgraph.teachers.cross_attention import CrossAttending
from groundgraph.teachers.gradcam import cam
from groundgraph.teachers.preparation import Preparation


class Looker(Protocol):
    """Any model that can say where an entity is.

    beyond  how many entities it could not read so far, because they stood beyond its length: their maps are zero
    """

    beyond: int

    def maps(
        self, images: Sequence[Image.Image], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """For each image and caption, [E, h, w] float32, not negative; the grid covers the whole picture."""
        ...


class GradCamLooker:
    """Grad-CAM of a cross-attending model; an entity's map is the mean over its head noun's word pieces.

    layer   the layer it is taken from, counted from 0 among all text layers; None = the model's own choice
    batch   pictures a forward pass
    device, precision  see `groundgraph.models.device`
    Raises InputError for a layer that does not cross-attend, and for the last one: there a word's attention has no
    path to the match score, so that every map would be zero.
    """

    def __init__(
        self,
        model: CrossAttending,
        tokenizer,
        preparation: Preparation,
        layer: int | None = None,
        batch: int = 16,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ):
        self.layer = model.looking_layer(layer)
        if self.layer == len(model.layers) - 1:
            raise InputError(
                f"layer {self.layer} is the last one, where words no longer reach the match score: choose one of "
                f"{model.fusion_layer} to {self.layer - 1}"
            )
        words = model.embeddings.word_embeddings.num_embeddings
        if len(tokenizer) > words:
            raise InputError(f"the tokenizer has {len(tokenizer)} word pieces, but the model only knows {words}")
        self.device = device_of(device)
        self.dtype = dtype_of(precision, self.device)
        # Frozen weights: the graph above the layer then keeps nothing for their sake.
        self.model = model.to(self.device, self.dtype).eval().requires_grad_(False)
        self.tokenizer, self.preparation = tokenizer, preparation
        self.limit = length_limit(tokenizer, model.embeddings.position_embeddings.num_embeddings)
        self.batch, self.beyond = batch, 0

    def maps(
        self, images: Sequence[Image.Image], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Grad-CAM maps of every entity: for each image and caption, [E, h, w] float32, not normalised."""
        if len(images) != len(captions):
            raise InputError(f"{len(images)} images but captions of {len(captions)}")
        out: list[list[np.ndarray]] = [[] for _ in images]
        # Images of like caption counts go together, so that few rows are padding.
        order = sorted(range(len(images)), key=lambda i: len(captions[i]))
        for start in range(0, len(order), self.batch):
            part = order[start : start + self.batch]
            for i, own in zip(part, self._maps([images[i] for i in part], [captions[i] for i in part]), strict=True):
                out[i] = own
        return out

    def _maps(self, images: list[Image.Image], captions: list[Sequence[ParsedCaption]]) -> list[list[np.ndarray]]:
        most = max((len(texts) for texts in captions), default=0)
        if not most:
            return [[] for _ in images]
        rows = [[*texts, *[ParsedCaption("")] * (most - len(texts))] for texts in captions]
        flat = [caption for row in rows for caption in row]
        encoded = self.tokenizer(
            [caption.text for caption in flat],
            padding=True,
            truncation=True,
            max_length=self.limit,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        ids, mask = (encoded[k].view(len(images), most, -1).to(self.device) for k in ("input_ids", "attention_mask"))
        with torch.no_grad():
            states = self.model.image_states(self.preparation(images).to(self.device, self.dtype))
        found = cam(self.model, states, ids, mask, self.layer).flatten(0, 1)  # [B * K, T, h, w]
        which, spans = spans_of(flat)
        places, starts = (torch.from_numpy(x) for x in own_pieces(encoded["offset_mapping"].numpy(), which, spans))
        self.beyond += int((starts.diff(append=torch.tensor([len(places)])) == 0).sum())
        # The mean over an entity's pieces; zero where it has none.
        rows = embedding_bag(places.to(found.device), found.flatten(0, 1).flatten(1), starts.to(found.device))
        merged = rows.view(-1, *found.shape[2:]).cpu().numpy()
        parts = np.split(merged, np.cumsum([len(caption.entities) for caption in flat])[:-1])
        return [parts[b * most : b * most + len(texts)] for b, texts in enumerate(captions)]


def load_tokenizer(name: str):
    """A tokenizer from a local folder, a hub id, bundled:NAME or package:NAME; ValueError where there is none."""
    from transformers import AutoTokenizer

    place = name if Path(name).is_dir() else located(name, TOKENIZER)
    try:
        return AutoTokenizer.from_pretrained(place)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"no tokenizer could be loaded from '{name}': name another with the option `tokenizer` ({error})"
        ) from error
