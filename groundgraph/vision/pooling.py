"""Features of boxes from a feature map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchvision.ops import roi_align

from groundgraph.data.types import Regions

CELLS = 7  # bins a side that a region is pooled to before their mean, as Faster R-CNN does


def pool_regions(maps: Tensor, boxes: Sequence[Tensor]) -> list[Tensor]:
    """Return the mean of a feature map inside each box: RoIAlign on 7 x 7 bins of 2 x 2 samples, then their mean.

    Cell (i, j)'s value stands at its centre (i + .5, j + .5), as He et al. 2017 align it.

    Args:
        maps: [B, C, h, w]; the grid covers the whole picture.
        boxes: B times [V, 4] xyxy as shares of the picture's width and height.

    Returns:
        B times [V, C].
    """
    grid = sides_of(maps).repeat(2)
    scaled = [b.to(grid) * grid for b in boxes]
    pooled = roi_align(maps, scaled, CELLS, spatial_scale=1.0, sampling_ratio=2, aligned=True)
    return list(pooled.mean((2, 3)).split([b.shape[0] for b in scaled]))


def sides_of(picture: Tensor) -> Tensor:
    """Return width and height [2] of a picture or map [..., h, w], in its type; a trace keeps them as its input's."""
    height, width = (torch.as_tensor(side, device=picture.device) for side in picture.shape[-2:])
    return torch.stack([width, height]).to(picture.dtype)


def unnamed(boxes: np.ndarray, size: tuple[int, int]) -> Regions:
    """Return boxes [V, 4] as regions without label or features, score 1."""
    count = len(boxes)
    return Regions(boxes, np.full(count, -1), np.ones(count, np.float32), np.zeros((count, 0), np.float32), size)
