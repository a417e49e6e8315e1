"""Grad-CAM of the match score on a cross-attention layer: where a model looks for each entity of a caption."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from PIL import Image
from torch.nn.functional import embedding_bag

from groundgraph.data.types import ParsedCaption
from groundgraph.errors import InputError
from groundgraph.language.pieces import length_limit, own_pieces, read_apart, spans_of
from groundgraph.models.device import Precision, device_of, dtype_of
from groundgraph.teachers.cross_attention import CrossAttending, ImageStates
from groundgraph.teachers.pixels import pixel_values

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, ViTImageProcessorPil


def gradcam(
    model: CrossAttending, image: ImageStates, input_ids: torch.Tensor, mask: torch.Tensor, layer: int | None = None
) -> torch.Tensor:
    """Return attention times the positive gradient of the match score, averaged over heads (ALBEF's recipe).

    One backward pass of the summed score serves every word of every caption, since a caption's score depends on its
    own attention alone. Only what follows the layer's attention keeps a graph; the tower gets no gradient.

    Args:
        model: A text encoder that cross-attends to pictures.
        image: The states of B pictures.
        input_ids: [B, K, T], K captions of each picture; a caption of padding alone gives a map of no meaning.
        mask: [B, K, T], 1 = a word.
        layer: A cross-attending layer, counted from 0 among all text layers; None: the model's own choice.

    Returns:
        [B, K, T, h, w] float32, without gradient.

    Raises:
        InputError: The layer does not cross-attend.
    """
    layer = model.gradcam_layer(layer)
    image = ImageStates(image.states.detach(), image.grid, image.extra)
    with torch.no_grad():
        states = model.text_states(input_ids, mask)
        states = model.fuse(states, mask, image, slice(model.fusion_layer, layer))
    attention: dict[int, torch.Tensor] = {layer: states}
    with torch.enable_grad():
        # The gradient is asked for at the probabilities, so the backward pass ends there and enters no weight.
        states = states.detach().requires_grad_()
        fused = model.fuse(states, mask, image, slice(layer, None), attention)
        score = model.match_logits(fused)[..., 1].sum()
        probabilities = attention[layer]
        # In float16 the gradients of so many probabilities would vanish.
        scale = 1024.0 if score.dtype == torch.float16 else 1.0
        (gradient,) = torch.autograd.grad(score, probabilities, torch.full_like(score, scale))
    maps = (probabilities.detach().float() * (gradient.float() / scale).clamp(min=0)).mean(1)[..., image.extra :]
    return maps.view(*input_ids.shape, *image.grid)


class GradCamModel:
    """Grad-CAM of a cross-attending model; an entity's map is the mean over its head noun's word pieces.

    Args:
        model: The model; its weights are frozen and moved to the device.
        tokenizer: Its tokenizer, with character offsets.
        image_processor: How its pictures are resized and normalised.
        layer: The layer Grad-CAM is taken from, counted from 0 among all text layers; None: the model's own choice.
        batch_size: Pictures a forward pass.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Raises:
        InputError: The layer does not cross-attend, or is the last: there a word's attention has no path to the match
            score, so that every map would be zero. Or the tokenizer has more pieces than the model knows.
    """

    def __init__(
        self,
        model: CrossAttending,
        tokenizer: PreTrainedTokenizerBase,
        image_processor: ViTImageProcessorPil,
        layer: int | None = None,
        batch_size: int = 16,
        device: str | torch.device = "auto",
        precision: Precision = "auto",
    ) -> None:
        self.layer = model.gradcam_layer(layer)
        if self.layer == len(model.layers) - 1:
            raise InputError(
                f"layer {self.layer} is the last one, where words no longer reach the match score: choose one of "
                f"{model.fusion_layer} to {self.layer - 1}"
            )
        pieces = model.embeddings.word_embeddings.num_embeddings
        if len(tokenizer) > pieces:
            raise InputError(f"the tokenizer has {len(tokenizer)} word pieces, but the model only knows {pieces}")
        self.device = device_of(device)
        self.dtype = dtype_of(precision, self.device)
        # Frozen weights: the graph above the layer then keeps nothing for their sake.
        self.model = model.to(self.device, self.dtype).eval().requires_grad_(False)
        self.tokenizer, self.image_processor = tokenizer, image_processor
        self.limit = length_limit(tokenizer, model.embeddings.position_embeddings.num_embeddings)
        self.batch_size, self.truncated = batch_size, 0

    def activation_maps(
        self, images: Sequence[Image.Image], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Return the maps of every entity.

        Args:
            images: B pictures of any sizes.
            captions: The captions of each; an entity without characters in its caption is looked for by its name alone.

        Returns:
            For each image and caption, [E, h, w] float32, not normalised.
        """
        if len(images) != len(captions):
            raise InputError(f"{len(images)} images but captions of {len(captions)}")
        maps: list[list[np.ndarray]] = [[] for _ in images]
        apart = [read_apart(own) for own in captions]
        captions = [readable for readable, _ in apart]
        # Images of like caption counts go together, so that few rows are padding.
        order = sorted(range(len(images)), key=lambda i: len(captions[i]))
        for start in range(0, len(order), self.batch_size):
            part = order[start : start + self.batch_size]
            for i, own in zip(part, self._maps([images[i] for i in part], [captions[i] for i in part]), strict=True):
                maps[i] = own
        return [together(own) for own, (_, together) in zip(maps, apart, strict=True)]

    def _maps(self, images: list[Image.Image], captions: list[Sequence[ParsedCaption]]) -> list[list[np.ndarray]]:
        most = max((len(texts) for texts in captions), default=0)
        if not most:
            return [[] for _ in images]
        padded = [[*texts, *[ParsedCaption("")] * (most - len(texts))] for texts in captions]
        flat = [caption for row in padded for caption in row]
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
            pixels = pixel_values(self.image_processor, images, self.device).to(self.dtype)
            states = self.model.image_states(pixels)
        maps = gradcam(self.model, states, ids, mask, self.layer).flatten(0, 1)  # [B * K, T, h, w]
        caption_of, spans = spans_of(flat)
        pieces, starts = (torch.from_numpy(x) for x in own_pieces(encoded["offset_mapping"].numpy(), caption_of, spans))
        self.truncated += int((starts.diff(append=torch.tensor([len(pieces)])) == 0).sum())
        # The mean over an entity's pieces; zero where it has none.
        rows = embedding_bag(pieces.to(maps.device), maps.flatten(0, 1).flatten(1), starts.to(maps.device))
        merged = rows.view(-1, *maps.shape[2:]).cpu().numpy()
        parts = np.split(merged, np.cumsum([len(caption.entities) for caption in flat])[:-1])
        return [parts[b * most : b * most + len(texts)] for b, texts in enumerate(captions)]
