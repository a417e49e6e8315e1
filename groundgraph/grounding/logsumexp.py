"""log sum exp whose backward pass takes no exponentials, and whose forward pass minds no masked logits."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def logsumexp(logits: Tensor, dim: int = -1) -> Tensor:
    """What `Tensor.logsumexp` gives of finite logits.

    That takes its exponentials one by one, which of masked logits, far below what a float can hold, is four times as
    slow on processors, and takes them again for the gradient. The softmax, which is the gradient, has them all.

    Args:
        logits: Of any shape.
        dim: Over which.
    """
    if not logits.shape[dim]:
        return logits.logsumexp(dim)  # over nothing: -inf
    return _LogSumExp.apply(logits, dim)


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, dim: int) -> Tensor:
        shares = logits.softmax(dim)
        ctx.save_for_backward(shares)
        ctx.dim = dim
        return logits.amax(dim) - shares.amax(dim).log()  # the greatest share is 1 / sum exp(logits - their maximum)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (shares,) = ctx.saved_tensors
        return gradients[0].unsqueeze(ctx.dim) * shares, None
