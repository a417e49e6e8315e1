"""The student: entities and regions in one space, and how well each region fits each entity (Eq. 1-3)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class GrounderConfig(BaseModel):
    """The grounder's sizes. `dimension` is d of Eq. 1-2; dropout acts on h, one mask an entity (0: none)."""

    model_config = ConfigDict(extra="forbid")

    dimension: int = 768
    dropout: float = 0.2


class Grounder(nn.Module):
    """H = En_txt(E), V = En_vis(X), a_ij = FC_att(h_i * v_j): METHOD.md Eq. 1-3.

    The official code drops entries of every product h_i * v_j; here one mask an entity, on h, serves all its regions.
    That is an approximation: it keeps the scores one matrix product, and [Ne, Nv, d] is never materialised.
    """

    def __init__(self, text_size: int, visual_size: int, config: GrounderConfig | None = None):
        super().__init__()
        config = config or GrounderConfig()
        d = config.dimension
        self.text = _mlp(text_size, d)  # Eq. 1
        self.visual = _mlp(visual_size, d)  # Eq. 2
        self.attend = nn.Linear(d, 1)  # FC_att of Eq. 3
        self.dropout = nn.Dropout(config.dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def encode_text(self, embeddings: Tensor) -> Tensor:
        """E [..., Ne, de] -> H [..., Ne, d]."""
        return self.text(embeddings)

    def encode_regions(self, features: Tensor) -> Tensor:
        """X [..., Nv, dv] -> V [..., Nv, d]."""
        return self.visual(features)

    def scores(self, h: Tensor, v: Tensor) -> Tensor:
        """H [..., Ne, d], V [..., Nv, d] -> A [..., Ne, Nv]; FC_att(h * v) = (w * h) . v + b (Eq. 3)."""
        weighted = self.dropout(h) * self.attend.weight[0]
        return weighted @ v.transpose(-1, -2) + self.attend.bias

    def forward(self, embeddings: Tensor, features: Tensor) -> Tensor:
        """E [..., Ne, de], X [..., Nv, dv] -> A [..., Ne, Nv], every entity against the regions of its own image."""
        return self.scores(self.encode_text(embeddings), self.encode_regions(features))


def _mlp(inputs: int, d: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, d), nn.ReLU(), nn.Linear(d, d))
