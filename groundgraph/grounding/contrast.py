"""The heads that keep what learns without a teacher from depending on its first weights (ours)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from groundgraph.grounding.layers import MASKED_LOGIT, initialise

FIRST_SCALE = 0.01  # of the head's first weights


class ContrastHead(nn.Module):
    """What each region may be called, learnt by contrast of images alone, whatever else its model is taught.

    Its weights begin near zero: at first an image's score for a category is the mean over its regions, so that all
    seeds begin with what the images' texts say and not with a chance preference of one region. With full-sized weights
    some seeds exchanged what comes together, as persons and their clothes, and never came back.

    Args:
        features: Width of a region's features.
        words: Width of the names' embeddings.
    """

    def __init__(self, features: int, words: int) -> None:
        super().__init__()
        self.head = nn.Linear(features, words)
        initialise(self)
        with torch.no_grad():
            self.head.weight.mul_(FIRST_SCALE)

    def forward(self, features: Tensor) -> Tensor:
        """States [b, V, words], to be classified by the names, of features [b, V, D]."""
        return leaky_relu(self.head(features))


class ContrastGuide(nn.Module):
    """Where each entity may be, learnt by the contrast of entities alone: linear words against a `ContrastHead`.

    Args:
        text_size: Width of an entity's embedding.
        visual_size: Width of a region's features.
        d: Of the space they share.
    """

    def __init__(self, text_size: int, visual_size: int, d: int) -> None:
        super().__init__()
        self.words = nn.Linear(text_size, d)
        initialise(self)
        self.regions = ContrastHead(visual_size, d)

    def forward(self, embeddings: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Entities [B, E, text_size] and regions [B, V, visual_size] in one space: [B, E, d], [B, V, d]."""
        return self.words(embeddings), self.regions(features)


@torch.no_grad()
def log_attention(words: Tensor, regions: Tensor, real: Tensor) -> Tensor:
    """Log softmax over the real [B, V] regions of w . r / sqrt(d), without a gradient: [B, E, V]."""
    logits = (words @ regions.transpose(1, 2)).float() * words.shape[-1] ** -0.5
    return logits.masked_fill(~real.unsqueeze(1), MASKED_LOGIT).log_softmax(-1)
