"""What grounders read, on a common footing: embeddings and features centred and scaled by the training set's own.

Ours, the same for all grounders that learn (the default of some: `Method`); no publication has it. Text models and
detectors give vectors of any length with a large common part (here the mean cosine of two words is .23, of two regions
.40). Unscaled, scores are in the hundreds after two epochs, the sigmoid of Eq. 4 is flat and no gradient is left;
uncentred, what is learnt first is which region is high for every word. A grounder without a teacher then ends wherever
its first weights sent it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from groundgraph.grounding.data import GroundingSet

SAMPLE = 500  # images that tell the mean and the scale well enough, and fit into memory


class Standardise(nn.Module):
    """x -> (x - mean) / scale: the mean a vector, the scale one number, so that directions keep their proportions.

    Until `fit` it changes nothing.

    Args:
        width: Of x.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(()))

    def fit(self, values: Tensor) -> None:
        """Take mean and scale from values [N, width]; the scale is the root of the entries' mean variance."""
        self.mean.copy_(values.mean(0))
        self.scale.copy_((values - values.mean(0)).square().mean().sqrt().clamp(min=1e-6))

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]."""
        return (x - self.mean) / self.scale


class Inputs(nn.Module):
    """`Standardise` of both sides, or neither unless so configured.

    Attributes:
        text: Of entities' and predicates' embeddings.
        regions: Of regions' features.
    """

    def __init__(self, text_size: int, visual_size: int, standardise: bool | None) -> None:
        super().__init__()
        self.text = Standardise(text_size) if standardise else nn.Identity()
        self.regions = Standardise(visual_size) if standardise else nn.Identity()

    @torch.no_grad()
    def fit(self, data: GroundingSet) -> None:
        """Take means and scales from what is learnt from: of a large set, from images at even distances."""
        if isinstance(self.text, Standardise) and isinstance(self.regions, Standardise):
            rows = torch.linspace(0, len(data) - 1, min(len(data), SAMPLE)).round().long()
            sample = data.sample(rows, data.entities.shape[1], None)
            self.text.fit(sample.embeddings[sample.entities])
            self.regions.fit(sample.features[sample.regions])
