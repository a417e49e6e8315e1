"""Networks that are done learning, made quicker on a processor: the same function, but for rounding."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn.utils import fuse_conv_bn_eval


def quicken(model: nn.Module) -> None:
    """Fold batch norms into their convolutions and lay feature maps out channels last, which oneDNN goes through.

    A network without such pairs, such as a ViT, stays as it is, to the bit.

    Args:
        model: In eval mode; changed in place, and its state_dict is no longer what it was loaded from.
    """
    if fold_batch_norms(model):
        model.to(memory_format=torch.channels_last)


def fold_batch_norms(model: nn.Module) -> int:
    """Let each convolution that a batch norm follows do that one's work too; gives how many.

    These are the pairs that stand together in a module under names that say so: 0 and 1 of a Sequential, conv1 and bn1
    (torchvision), convolution and normalization (transformers).
    """
    pairs = 0
    for parent in list(model.modules()):
        for (name, layer), (next_name, norm) in pairwise(list(parent.named_children())):
            follows = isinstance(parent, nn.Sequential) or (name, next_name) == ("convolution", "normalization")
            follows = follows or (name.startswith("conv") and next_name == f"bn{name.removeprefix('conv')}")
            if follows and isinstance(layer, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(layer, norm))
                setattr(parent, next_name, nn.Identity())
                pairs += 1
    return pairs
