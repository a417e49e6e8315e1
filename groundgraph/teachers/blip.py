"""BLIP for image-text retrieval (Li et al., ICML 2022), as transformers has it, made to say where it looks."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import BlipForImageTextRetrieval

from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.tokenizer import load_tokenizer
from groundgraph.teachers.cross_attention import CrossAttending, ImageStates, grid_of
from groundgraph.teachers.gradcam import GradCamModel
from groundgraph.teachers.pixels import CLIP_MEAN, CLIP_STD, load_image_processor


class BlipMatcher(CrossAttending, nn.Module):
    """BLIP's parts by the names Grad-CAM knows: every text layer looks at the picture, `itm_head` is the match head.

    The text starts with [CLS], as transformers' own processor and forward have it.

    Raises:
        InputError: The text encoder has no cross-attention.
    """

    fusion_layer = 0

    def __init__(self, model: BlipForImageTextRetrieval) -> None:
        super().__init__()
        self.config = model.config
        if not model.config.text_config.is_decoder:
            raise InputError("this BLIP's text encoder has no cross-attention (its text_config says is_decoder: false)")
        self.tower = model.vision_model
        self.embeddings = model.text_encoder.embeddings
        self.layers = model.text_encoder.encoder.layer
        self.match = model.itm_head

    @property
    def cam_layer(self) -> int:
        """Layer 7 of the released models' 12, which BLIP's authors read (LAVIS, Plug-and-Play VQA).

        A model of another depth has the layer at the same share of it, but never its last, which says nothing of words.
        """
        layers = len(self.layers)
        return max(0, min(7 * layers // 12, layers - 2))

    def image_states(self, pixel_values: torch.Tensor) -> ImageStates:
        """Return the tower's states [B, N, d] of pictures [B, 3, H, W] of any size, with their grid."""
        states = self.tower(pixel_values=pixel_values, interpolate_pos_encoding=True).last_hidden_state
        return ImageStates(states, *grid_of(tuple(pixel_values.shape[2:]), states.shape[1], self.config.vision_config))


def load_blip(
    place: str, *, tokenizer: str | None = None, image_size: int | None = None, **options: Any
) -> GradCamModel:
    """Return Grad-CAM of BLIP for image-text retrieval.

    Args:
        place: A folder or hub id, such as Salesforce/blip-itm-base-coco.
        tokenizer: Another's folder, hub id or package:NAME.
        image_size: Side in pixels that pictures are resized to; None: the model's own.
        options: See `GradCamModel`.

    Raises:
        InputError: The model is missing or is a BLIP for something else, which has no match head.
    """
    try:
        with quietly():
            model, report = BlipForImageTextRetrieval.from_pretrained(
                place, dtype=torch.float32, output_loading_info=True
            )
    except (OSError, KeyError) as error:
        raise InputError(f"no BLIP model could be loaded from '{place}' ({error})") from error
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"'{place}' is no BLIP for image-text retrieval: it lacks {len(missing)} weights, such as {missing[0]}"
        )
    side = model.config.vision_config.image_size
    processor = load_image_processor(place, side, CLIP_MEAN, CLIP_STD, image_size)
    return GradCamModel(BlipMatcher(model), load_tokenizer(tokenizer or place), processor, **options)
