"""An image tower for transformers' dual encoders: a ResNet whose pooled output is flat.

`VisionTextDualEncoderModel` projects a tower's pooled output with a linear layer; ResNetModel's has two axes too many.
Importing this module makes the model type known, so that `from_pretrained` finds it.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AutoConfig, AutoModel, ResNetConfig, ResNetModel
from transformers.modeling_outputs import BaseModelOutputWithPoolingAndNoAttention


class FlatResNetConfig(ResNetConfig):
    """ResNetConfig; `hidden_size` must be given and equal the last of `hidden_sizes`."""

    model_type = "flat_resnet"


class FlatResNetModel(ResNetModel):
    """ResNetModel with pooler_output [B, C]."""

    config_class = FlatResNetConfig

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPoolingAndNoAttention:
        """[B, 3, H, W] -> last_hidden_state [B, C, h, w] and pooler_output [B, C]."""
        out = super().forward(pixel_values, return_dict=True)
        return BaseModelOutputWithPoolingAndNoAttention(
            last_hidden_state=out.last_hidden_state, pooler_output=out.pooler_output.flatten(1)
        )


AutoConfig.register("flat_resnet", FlatResNetConfig, exist_ok=True)
AutoModel.register(FlatResNetConfig, FlatResNetModel, exist_ok=True)
