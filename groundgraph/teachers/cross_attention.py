"""What Grad-CAM asks of a vision-language model: text layers that look at a picture, and a match score."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from transformers import PreTrainedConfig

from groundgraph.errors import InputError


@dataclass
class ImageStates:
    """The image tower's output.

    Attributes:
        states: [B, N, d]: `extra` tokens without a place (a [CLS] token), then the grid's cells row by row.
        grid: (h, w).
        extra: How many tokens come before the cells.
    """

    states: torch.Tensor
    grid: tuple[int, int]
    extra: int = 0


class CrossAttending:
    """A BERT-like text encoder whose layers from `fusion_layer` on look at a picture; its [CLS] says if both match.

    A model mixes this in beside nn.Module, writes `image_states`, and has the attributes below. Captions come as
    [B, K, T]: K captions for each of B pictures. They share the picture's keys and values, because a word's
    cross-attention does not depend on the other words: all K * T words of a picture are queries at once.

    Attributes:
        embeddings: ids [B, T] -> [B, T, d].
        layers: Blocks with `attention`, `feed_forward_chunk` and, from `fusion_layer` on, `crossattention`.
        match: d -> 2; index 1 = the caption is true of the picture.
        fusion_layer: The first layer that cross-attends, counted from 0.
        cam_layer: The layer Grad-CAM is taken from unless another is asked for.
    """

    embeddings: nn.Module
    layers: nn.ModuleList
    match: nn.Module
    fusion_layer: int
    cam_layer: int

    def image_states(self, pixel_values: torch.Tensor) -> ImageStates:
        """Return the states [B, N, d] of pictures [B, 3, H, W], with their grid."""
        raise NotImplementedError

    def text_states(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Return the states [B, K, T, d] of words before they see the picture; ids and mask [B, K, T], 1 = a word."""
        states = self.embeddings(input_ids.flatten(0, 1))
        blocked = _blocked(mask, states.dtype)
        for layer in self.layers[: self.fusion_layer]:
            states = layer(states, blocked)
        return states.view(*input_ids.shape, -1)

    def fuse(
        self,
        text: torch.Tensor,
        mask: torch.Tensor,
        image: ImageStates,
        layers: slice | None = None,
        attention: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """Return the states of words after cross-attending layers.

        Args:
            text: [B, K, T, d], the states before.
            mask: [B, K, T], 1 = a word.
            image: The states of the B pictures.
            layers: A part of the layers, counted among all text layers; None: all that cross-attend.
            attention: Filled, for the layer numbers it holds as keys, with probabilities [B, heads, K * T, N].

        Returns:
            [B, K, T, d].
        """
        batch, captions, length, width = text.shape
        blocked = _blocked(mask, text.dtype)
        states = text.flatten(0, 1)
        start, stop, _ = (layers or slice(self.fusion_layer, None)).indices(len(self.layers))
        for number in range(start, stop):
            layer = self.layers[number]
            states = layer.attention(states, blocked)[0].view(batch, captions * length, width)
            context, probabilities = layer.crossattention.self(states, encoder_hidden_states=image.states)
            if attention is not None and number in attention:
                attention[number] = probabilities
            states = layer.crossattention.output(context, states)
            states = layer.feed_forward_chunk(states).view(batch * captions, length, width)
        return states.view(batch, captions, length, width)

    def match_logits(self, fused: torch.Tensor) -> torch.Tensor:
        """Return the match head's logits [B, K, 2] of fused states [B, K, T, d]; index 1 = the caption is true."""
        return self.match(fused[:, :, 0])

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Return the match logits [B, K, 2] of K captions for each of B pictures.

        Args:
            pixel_values: [B, 3, H, W].
            input_ids: [B, K, T].
            attention_mask: [B, K, T], 1 = a word.
        """
        image = self.image_states(pixel_values)
        return self.match_logits(self.fuse(self.text_states(input_ids, attention_mask), attention_mask, image))

    def gradcam_layer(self, layer: int | None) -> int:
        """Return the layer that Grad-CAM is taken from.

        Args:
            layer: Counted from 0 among all text layers; None: the model's own choice.

        Raises:
            InputError: The layer does not cross-attend.
        """
        layer = self.cam_layer if layer is None else layer
        first, last = self.fusion_layer, len(self.layers)
        if not first <= layer < last:
            raise InputError(f"layer {layer} does not cross-attend: layers {first} to {last - 1} do")
        return layer


def _blocked(mask: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[B, K, T] -> what self-attention adds to its scores, [B * K, 1, 1, T]; every word sees every word."""
    return (1.0 - mask.flatten(0, 1).to(dtype))[:, None, None] * torch.finfo(dtype).min


def grid_of(size: tuple[int, int], tokens: int, config: PreTrainedConfig) -> tuple[tuple[int, int], int]:
    """Return rows and columns of a tower that gives tokens, and how many tokens have no place.

    From its patch size; for towers that merge patches, from the stride that fits.

    Args:
        size: Height and width of the picture in pixels.
        tokens: How many tokens the tower gives.
        config: The tower's, of which patch_size is read.

    Raises:
        InputError: No grid fits.
    """
    patch = getattr(config, "patch_size", None)
    patch = patch[0] if isinstance(patch, list | tuple) else patch
    strides = ([patch] if patch else []) + [2**i for i in range(7)]
    for most in (0, 8):  # registers and class tokens are few
        for stride in strides:
            h, w = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
            if 0 <= tokens - h * w <= most or (stride == patch and 0 <= tokens - h * w <= 8):
                return (h, w), tokens - h * w
    raise InputError(
        f"the tower '{config.model_type}' gives {tokens} tokens for {size} pixels: no grid fits"
        + (f" (sides must be multiples of its patch, {patch})" if patch else "")
    )
