"""BLIP for image-text retrieval (Li et al., ICML 2022), as transformers has it, made to say where it looks."""

from __future__ import annotations

import torch
from torch import nn
from transformers import BlipForImageTextRetrieval

from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.device import Precision
from groundgraph.teachers.cross_attention import CrossAttending, ImageStates, grid_of
from groundgraph.teachers.preparation import CLIP_MEAN, CLIP_STD, Preparation
from groundgraph.teachers.vision_language import GradCamLooker, load_tokenizer


class BlipMatcher(CrossAttending, nn.Module):
    """BLIP's parts by the names Grad-CAM knows: every text layer looks at the picture, `itm_head` is the match head.

    The text starts with [CLS], as transformers' own processor and forward have it.
    Raises InputError for a text encoder without cross-attention.
    """

    fusion_layer = 0

    def __init__(self, model: BlipForImageTextRetrieval):
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
        """[B, 3, H, W] -> the tower's states, [B, N, d], with their grid; position embeddings are interpolated."""
        states = self.tower(pixel_values=pixel_values, interpolate_pos_encoding=True).last_hidden_state
        return ImageStates(states, *grid_of(tuple(pixel_values.shape[2:]), states.shape[1], self.config.vision_config))


def open_looker(
    place: str,
    layer: int | None = None,
    tokenizer: str | None = None,
    image_size: int | None = None,
    batch: int = 16,
    device: str | torch.device = "auto",
    precision: Precision = "auto",
) -> GradCamLooker:
    """Grad-CAM of BLIP for image-text retrieval: a folder or hub id such as Salesforce/blip-itm-base-coco.

    Raises InputError where the model is missing or is a BLIP for something else, which has no match head.
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
    preparation = Preparation.from_pretrained(place, model.config.vision_config.image_size, CLIP_MEAN, CLIP_STD)
    words = load_tokenizer(tokenizer or place)
    return GradCamLooker(BlipMatcher(model), words, preparation.resized(image_size), layer, batch, device, precision)
