"""ALBEF's architecture from transformers' parts: an image tower, a BERT whose last layers look at it, a match head.

Li et al., "Align before Fuse" (NeurIPS 2021). Any vision model of transformers may be the tower.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer, BertOnlyMLMHead


class AlbefConfig(PreTrainedConfig):
    """Settings of `AlbefModel`.

    vision_config   any transformers vision model's config (or its dict)
    text_config     a BERT config (or its dict); its layers from `fusion_layer` on cross-attend to the picture
    fusion_layer    the first cross-attending layer, counted from 0 (ALBEF: 6 of 12)
    projection_dim  width of the word-patch contrast; 0 leaves the two projections out
    image_norm      a LayerNorm after a tower that ends in raw feature maps (a convolutional one)
    cam_layer       the cross-attending layer whose Grad-CAM localises words, counted from 0 among all text layers;
                    None = the first that cross-attends (ALBEF's own recipe: 8)
    """

    model_type = "albef"

    def __init__(
        self,
        vision_config: PreTrainedConfig | dict | None = None,
        text_config: PreTrainedConfig | dict | None = None,
        fusion_layer: int = 6,
        projection_dim: int = 256,
        image_norm: bool = False,
        cam_layer: int | None = None,
        **kwargs,
    ):
        self.vision_config = _sub_config(vision_config, "vit")
        self.text_config = _sub_config(text_config, "bert")
        self.fusion_layer = fusion_layer
        self.projection_dim = projection_dim
        self.image_norm = image_norm
        self.cam_layer = cam_layer
        kwargs.setdefault("tie_word_embeddings", True)
        super().__init__(**kwargs)
        layers = self.text_config.num_hidden_layers
        if not 0 <= fusion_layer < layers:
            raise ValueError(f"fusion_layer is {fusion_layer}, but the text encoder has layers 0 to {layers - 1}")
        if cam_layer is not None and not fusion_layer <= cam_layer < layers:
            raise ValueError(f"cam_layer is {cam_layer}, but layers {fusion_layer} to {layers - 1} cross-attend")


def _sub_config(config: PreTrainedConfig | dict | None, default: str) -> PreTrainedConfig:
    if isinstance(config, PreTrainedConfig):
        return config
    settings = dict(config or {})
    return AutoConfig.for_model(settings.pop("model_type", default), **settings)


@dataclass
class ImageStates:
    """What the tower saw.

    states  [B, N, d]: `extra` tokens without a place (a [CLS] token), then the grid's cells row by row
    grid    (h, w)
    extra   how many tokens come before the cells
    """

    states: torch.Tensor
    grid: tuple[int, int]
    extra: int = 0


class AlbefModel(PreTrainedModel):
    """Image tower + BERT text encoder with late cross-attention + match and masked-word heads.

    Captions come as [B, K, T]: K captions for each of B pictures. They share the picture's keys and values, because a
    word's cross-attention does not depend on the other words: all K * T words of a picture are queries at once.
    """

    config_class = AlbefConfig
    base_model_prefix = "albef"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _tied_weights_keys = {  # noqa: RUF012 (transformers reads it from the class)
        "words.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "words.predictions.decoder.bias": "words.predictions.bias",
    }

    def __init__(self, config: AlbefConfig):
        super().__init__(config)
        text = config.text_config
        text._attn_implementation = "eager"  # the fused kernels do not return attention probabilities
        self.tower = AutoModel.from_config(config.vision_config)
        width = _width(config.vision_config)
        adapter = [] if width == text.hidden_size else [nn.Linear(width, text.hidden_size)]
        norm = [nn.LayerNorm(text.hidden_size, eps=text.layer_norm_eps)] if config.image_norm else []
        self.adapter = nn.Sequential(*adapter, *norm)
        self.embeddings = BertEmbeddings(text)
        plain = type(text).from_dict(text.to_dict() | {"is_decoder": False, "add_cross_attention": False})
        fused = type(text).from_dict(text.to_dict() | {"is_decoder": True, "add_cross_attention": True})
        plain._attn_implementation = fused._attn_implementation = "eager"
        self.layers = nn.ModuleList(
            BertLayer(plain if i < config.fusion_layer else fused, layer_idx=i) for i in range(text.num_hidden_layers)
        )
        self.match = nn.Linear(text.hidden_size, 2)
        self.words = BertOnlyMLMHead(text)
        if config.projection_dim:
            self.word_projection = nn.Linear(text.hidden_size, config.projection_dim)
            self.patch_projection = nn.Linear(text.hidden_size, config.projection_dim)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """BERT's initialisation; the tower, a transformers model of its own, has its own."""
        super()._init_weights(module)
        if isinstance(module, BertEmbeddings):  # buffers that are not saved
            init.copy_(module.position_ids, torch.arange(module.position_ids.shape[-1]).expand((1, -1)))
            init.zeros_(module.token_type_ids)

    @property
    def cam_layer(self) -> int:
        """The layer Grad-CAM is taken from unless another is asked for."""
        return self.config.fusion_layer if self.config.cam_layer is None else self.config.cam_layer

    def image_states(self, pixel_values: torch.Tensor) -> ImageStates:
        """[B, 3, H, W] -> the tower's states, [B, N, d], with their grid."""
        states = self.tower(pixel_values=pixel_values).last_hidden_state
        if states.ndim == 4:
            grid, extra = tuple(states.shape[2:]), 0
            states = states.flatten(2).transpose(1, 2)
        else:
            grid, extra = _grid(tuple(pixel_values.shape[2:]), states.shape[1], self.config.vision_config)
        return ImageStates(self.adapter(states), grid, extra)

    def text_states(self, input_ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Words before they see the picture: ids and mask [B, K, T] (1 = a word) -> [B, K, T, d]."""
        shape = input_ids.shape
        states = self.embeddings(input_ids.flatten(0, 1))
        blocked = self._blocked(mask)
        for layer in self.layers[: self.config.fusion_layer]:
            states = layer(states, blocked)
        return states.view(*shape, -1)

    def fuse(
        self,
        text: torch.Tensor,
        mask: torch.Tensor,
        image: ImageStates,
        layers: slice | None = None,
        attention: dict[int, torch.Tensor] | None = None,
    ) -> torch.Tensor:
        """The cross-attending layers: text [B, K, T, d], mask [B, K, T] -> [B, K, T, d].

        layers     a part of them, counted among all text layers (default: all that cross-attend)
        attention  filled, for the layer numbers it holds as keys, with probabilities [B, heads, K * T, N]
        """
        batch, captions, length, width = text.shape
        blocked = self._blocked(mask)
        states = text.flatten(0, 1)
        start, stop, _ = (layers or slice(self.config.fusion_layer, None)).indices(len(self.layers))
        for number in range(start, stop):
            layer = self.layers[number]
            states = layer.attention(states, blocked)[0].view(batch, captions * length, width)
            seen, probabilities = layer.crossattention.self(states, encoder_hidden_states=image.states)
            if attention is not None and number in attention:
                attention[number] = probabilities
            states = layer.crossattention.output(seen, states)
            states = layer.feed_forward_chunk(states).view(batch * captions, length, width)
        return states.view(batch, captions, length, width)

    def match_logits(self, fused: torch.Tensor) -> torch.Tensor:
        """[B, K, T, d] -> [B, K, 2]; index 1 = the caption is true of the picture."""
        return self.match(fused[:, :, 0])

    def forward(
        self, pixel_values: torch.Tensor, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> torch.Tensor:
        """Match logits [B, K, 2] of K captions for each picture: ids and mask [B, K, T]."""
        image = self.image_states(pixel_values)
        return self.match_logits(self.fuse(self.text_states(input_ids, attention_mask), attention_mask, image))

    def _blocked(self, mask: torch.Tensor) -> torch.Tensor:
        """[B, K, T] -> what self-attention adds to its scores, [B * K, 1, 1, T]; every word sees every word."""
        blocked = (1.0 - mask.flatten(0, 1).to(self.dtype))[:, None, None]
        return blocked * torch.finfo(self.dtype).min


def _width(config: PreTrainedConfig) -> int:
    """Channels of a vision model's last hidden state."""
    sizes = getattr(config, "hidden_sizes", None)
    return sizes[-1] if sizes and config.model_type != "vit" else config.hidden_size


def _grid(size: tuple[int, int], tokens: int, config: PreTrainedConfig) -> tuple[tuple[int, int], int]:
    """Rows and columns of a tower that returns tokens, and how many tokens have no place.

    From its patch size; for towers that merge patches, from the stride that fits. Raises ValueError if none fits.
    """
    patch = getattr(config, "patch_size", None)
    patch = patch[0] if isinstance(patch, list | tuple) else patch
    strides = ([patch] if patch else []) + [2**i for i in range(7)]
    for most in (0, 8):  # registers and class tokens are few
        for stride in strides:
            h, w = math.ceil(size[0] / stride), math.ceil(size[1] / stride)
            if 0 <= tokens - h * w <= most or (stride == patch and 0 <= tokens - h * w <= 8):
                return (h, w), tokens - h * w
    raise ValueError(f"the tower '{config.model_type}' gives {tokens} tokens for {size} pixels: no grid fits")


AutoConfig.register("albef", AlbefConfig, exist_ok=True)
AutoModel.register(AlbefConfig, AlbefModel, exist_ok=True)
