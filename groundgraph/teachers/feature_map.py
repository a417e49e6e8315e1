"""One pass of an image-text model over a picture: a map in the common space, for regions to be pooled from.

The pooling that makes one vector of a picture is left out, so that each place keeps what is there: as MaskCLIP does
(Zhou et al., ECCV 2022) with a CLIP whose tower is a ViT, and RegionCLIP (Zhong et al., CVPR 2022) with a convolutional
one.
"""

from __future__ import annotations

from torch import Tensor, nn

from groundgraph.errors import InputError

MAP_SCALE = 2  # times the side of the model's own input: of 36 regions a ninth of the crops' pixels


def feature_map(model: nn.Module, pixels: Tensor) -> Tensor:
    """The features of every place of pictures, as comparable with the model's text features as a picture's own are.

    A tower that ends in a map, whose mean is a picture's vector: the map, projected. A CLIP's ViT: in the last layer no
    token looks at others, its value is projected as if it looked at itself alone.

    Args:
        model: A CLIP, or a dual encoder of transformers around such a tower.
        pixels: [B, 3, H, W], of any size that the tower takes.

    Returns:
        [B, d, h, w].

    Raises:
        InputError: The tower is of another kind.
    """
    vision, project = model.vision_model, model.visual_projection
    if hasattr(vision, "encoder") and hasattr(vision, "post_layernorm"):
        tokens = vision.pre_layrnorm(vision.embeddings(pixels, interpolate_pos_encoding=True))
        *layers, last = vision.encoder.layers
        for layer in layers:
            tokens = _tensor(layer(tokens, attention_mask=None))
        own = last.self_attn.out_proj(last.self_attn.v_proj(last.layer_norm1(tokens)))
        tokens = tokens + own
        tokens = tokens + last.mlp(last.layer_norm2(tokens))
        features = project(vision.post_layernorm(tokens[:, 1:]))  # without the class token
        patch = vision.embeddings.patch_size
        return features.transpose(1, 2).unflatten(2, (pixels.shape[2] // patch, pixels.shape[3] // patch))
    maps = vision(pixel_values=pixels).last_hidden_state
    if maps.ndim != 4:
        raise InputError(
            f"teachers.expert.features: map needs a CLIP with a ViT, or a tower that ends in a map; "
            f"{model.config.model_type} with {vision.config.model_type} is neither: take crops"
        )
    return project(maps.movedim(1, -1)).movedim(-1, 1)


def _tensor(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]
