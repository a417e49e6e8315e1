"""ALBEF's architecture from transformers' parts: an image tower, a BERT whose last layers look at it, a match head.

Li et al., "Align before Fuse" (NeurIPS 2021). Any vision model of transformers may be the tower.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PreTrainedConfig, PreTrainedModel
from transformers import initialization as init
from transformers.models.bert.modeling_bert import BertEmbeddings, BertLayer, BertOnlyMLMHead

from groundgraph.errors import InputError
from groundgraph.models import quietly
from groundgraph.models.tokenizer import load_tokenizer
from groundgraph.teachers.cross_attention import CrossAttending, ImageStates, grid_of
from groundgraph.teachers.gradcam import GradCamModel
from groundgraph.teachers.pixels import load_image_processor


class AlbefConfig(PreTrainedConfig):
    """Settings of `AlbefModel`.

    Args:
        vision_config: Any transformers vision model's config, or its dict.
        text_config: A BERT config, or its dict; its layers from `fusion_layer` on cross-attend to the picture.
        fusion_layer: The first cross-attending layer, counted from 0 (ALBEF: 6 of 12).
        projection_dim: Width of the word-patch contrast; 0 leaves the two projections out.
        image_norm: A LayerNorm after a tower that ends in raw feature maps (a convolutional one).
        cam_layer: The cross-attending layer whose Grad-CAM localises words, counted from 0 among all text layers;
            None: the first that cross-attends (ALBEF's own recipe: 8).
        kwargs: See `PreTrainedConfig`.

    Raises:
        InputError: `fusion_layer` or `cam_layer` is no such layer.
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
        **kwargs: Any,
    ) -> None:
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
            raise InputError(f"fusion_layer is {fusion_layer}, but the text encoder has layers 0 to {layers - 1}")
        if cam_layer is not None and not fusion_layer <= cam_layer < layers:
            raise InputError(f"cam_layer is {cam_layer}, but layers {fusion_layer} to {layers - 1} cross-attend")


def _sub_config(config: PreTrainedConfig | dict | None, default: str) -> PreTrainedConfig:
    if isinstance(config, PreTrainedConfig):
        return config
    settings = dict(config or {})
    return AutoConfig.for_model(settings.pop("model_type", default), **settings)


class AlbefModel(CrossAttending, PreTrainedModel):
    """Image tower + BERT text encoder with late cross-attention + match and masked-word heads.

    Captions come as [B, K, T]: K captions for each of B pictures (`CrossAttending` says what becomes of them).
    """

    config_class = AlbefConfig
    base_model_prefix = "albef"
    main_input_name = "pixel_values"
    input_modalities = ("image", "text")
    _tied_weights_keys = {  # noqa: RUF012 (transformers reads it from the class)
        "words.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "words.predictions.decoder.bias": "words.predictions.bias",
    }

    def __init__(self, config: AlbefConfig) -> None:
        super().__init__(config)
        text = config.text_config
        text._attn_implementation = "eager"  # the fused kernels do not return attention probabilities
        self.tower = AutoModel.from_config(config.vision_config)
        # Towers that can interpolate their position embeddings then take pictures of any size.
        any_size = "interpolate_pos_encoding" in inspect.signature(self.tower.forward).parameters
        self.tower_options = {"interpolate_pos_encoding": True} if any_size else {}
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
    def fusion_layer(self) -> int:
        """The first layer that looks at the picture."""
        return self.config.fusion_layer

    @property
    def cam_layer(self) -> int:
        """The layer Grad-CAM is taken from unless another is asked for."""
        return self.config.fusion_layer if self.config.cam_layer is None else self.config.cam_layer

    def image_states(self, pixel_values: torch.Tensor) -> ImageStates:
        """Return the tower's states [B, N, d] of pictures [B, 3, H, W], with their grid."""
        states = self.tower(pixel_values=pixel_values, **self.tower_options).last_hidden_state
        if states.ndim == 4:
            grid, extra = tuple(states.shape[2:]), 0
            states = states.flatten(2).transpose(1, 2)
        else:
            grid, extra = grid_of(tuple(pixel_values.shape[2:]), states.shape[1], self.config.vision_config)
        return ImageStates(self.adapter(states), grid, extra)


def _width(config: PreTrainedConfig) -> int:
    """Channels of a vision model's last hidden state."""
    sizes = getattr(config, "hidden_sizes", None)
    return sizes[-1] if sizes and config.model_type != "vit" else config.hidden_size


def load_albef(
    place: str, *, tokenizer: str | None = None, image_size: int | None = None, **options: Any
) -> GradCamModel:
    """Return Grad-CAM of a saved `AlbefModel`.

    Args:
        place: A folder or hub id, with its tokenizer and image settings.
        tokenizer: Another's folder, hub id or package:NAME.
        image_size: Side in pixels that pictures are resized to; None: the model's own.
        options: See `GradCamModel`.

    Raises:
        InputError: Weights, tokenizer or image settings are missing.
    """
    try:
        with quietly():
            model, report = AlbefModel.from_pretrained(place, dtype=torch.float32, output_loading_info=True)
    except (OSError, KeyError) as error:
        raise InputError(f"no vision-language model could be loaded from '{place}' ({error})") from error
    if missing := sorted(k for k in report["missing_keys"] if not k.startswith("tower.pooler.")):
        raise InputError(f"'{place}' lacks {len(missing)} weights of an ALBEF model, such as {missing[0]}")
    side = image_size or getattr(model.config.vision_config, "image_size", None)
    processor = load_image_processor(place, side, image_size=image_size)
    return GradCamModel(model, load_tokenizer(tokenizer or place), processor, **options)


AutoConfig.register("albef", AlbefConfig, exist_ok=True)
AutoModel.register(AlbefConfig, AlbefModel, exist_ok=True)
