"""Grad-CAM of the match score on a cross-attention layer: where the model looks for each word."""

from __future__ import annotations

import torch

from groundgraph.teachers.cross_attention import CrossAttending, ImageStates


def cam(
    model: CrossAttending, image: ImageStates, input_ids: torch.Tensor, mask: torch.Tensor, layer: int | None = None
) -> torch.Tensor:
    """Attention times the positive gradient of the match score, averaged over heads (ALBEF's recipe).

    input_ids, mask  [B, K, T]: K captions of each picture; a caption of padding alone gives a map of no meaning
    layer            a cross-attending layer, counted among all text layers (default: the model's own)
    returns          [B, K, T, h, w] float32, no gradient

    One backward pass of the summed score serves every word of every caption, since a caption's score depends on its
    own attention alone. Only what follows the layer's attention keeps a graph; the tower gets no gradient.
    Raises ValueError for a layer that does not cross-attend.
    """
    layer = model.looking_layer(layer)
    image = ImageStates(image.states.detach(), image.grid, image.extra)
    with torch.no_grad():
        states = model.text_states(input_ids, mask)
        states = model.fuse(states, mask, image, slice(model.fusion_layer, layer))
    kept: dict[int, torch.Tensor] = {layer: states}
    with torch.enable_grad():
        # The gradient is asked for at the probabilities, so the backward pass ends there and enters no weight.
        states = states.detach().requires_grad_()
        fused = model.fuse(states, mask, image, slice(layer, None), kept)
        score = model.match_logits(fused)[..., 1].sum()
        probabilities = kept[layer]
        # In float16 the gradients of so many probabilities would vanish.
        scale = 1024.0 if score.dtype == torch.float16 else 1.0
        (gradient,) = torch.autograd.grad(score, probabilities, torch.full_like(score, scale))
    maps = (probabilities.detach().float() * (gradient.float() / scale).clamp(min=0)).mean(1)[..., image.extra :]
    return maps.view(*input_ids.shape, *image.grid)
