"""The student: entities and regions in one space, and how well each region fits each entity (Eq. 1-3, 12)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import dropout, normalize

from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.inputs import Inputs
from groundgraph.grounding.layers import initialise, mlp


class Grounder(nn.Module):
    """H = En_txt(E), V = En_vis(X), a_ij = FC_att(h_i * v_j), and the adaptor FC_adp: METHOD.md Eq. 1-3 and 12.

    What losses are computed from, `scores` and `reliability`, is float32 in any precision.

    The released code drops entries of every product h_i * v_j; by default one mask an entity, on h, serves all its
    regions. That is an approximation: it keeps the scores one matrix product, and [Ne, Nv, d] is never materialised.

    Args:
        text_size: d_e, width of an entity's embedding.
        visual_size: d_v, width of a region's features.
        config: Its choices; the paper's form by default.
    """

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GroundingConfig()
        d = self.config.dimension
        self.inputs = Inputs(text_size, visual_size, self.config.standardise)
        self.text = mlp(text_size, d)  # Eq. 1
        self.visual = mlp(visual_size, d)  # Eq. 2
        self.attend = nn.Linear(d, 1)  # FC_att of Eq. 3
        self.adaptor = nn.Linear(d, 1) if self.config.fusing == "self" else None  # FC_adp of Eq. 12
        initialise(self)

    def encode_text(self, embeddings: Tensor) -> Tensor:
        """Eq. 1: E [..., Ne, de] -> H [..., Ne, d]."""
        return self.text(self.inputs.text(embeddings))

    def encode_regions(self, features: Tensor) -> Tensor:
        """Eq. 2: X [..., Nv, dv] -> V [..., Nv, d]."""
        return self.visual(self.inputs.regions(features))

    def scores(self, h: Tensor, v: Tensor) -> Tensor:
        """Eq. 3, as FC_att(h * v) = (w * h) . v + b: H [..., Ne, d], V [..., Nv, d] -> A [..., Ne, Nv]."""
        if self.config.normalise:
            h, v = normalize(h, dim=-1), normalize(v, dim=-1)
        share = self.config.dropout if self.training else 0.0
        if share and self.config.dropout_on == "product":
            return self.attend(dropout(h.unsqueeze(-2) * v.unsqueeze(-3), share)).squeeze(-1).float()
        weighted = dropout(h, share) * self.attend.weight[0]
        return (weighted @ v.transpose(-1, -2)).float() + self.attend.bias

    def reliability(self, attention: Tensor, h: Tensor, v: Tensor) -> Tensor:
        """FC_adp of an attended feature and its entity, without a gradient into v (Eq. 10, 12).

        The adaptor reads the product of the two, as FC_att does.

        Args:
            attention: a^(o/r) [..., Ne, Nv].
            h: [..., Ne, d].
            v: [..., Nv, d].

        Returns:
            sim^(o/r) [..., Ne].

        Raises:
            InputError: The grounder is not self-guided.
        """
        if self.adaptor is None:
            raise InputError('this grounder has no adaptor: build it with fusing "self"')
        attended = attention @ v.detach()
        if self.config.normalise:
            attended = normalize(attended, dim=-1)
        h = h if self.config.text_gradient else h.detach()
        return self.adaptor(attended * h).squeeze(-1).float()

    def forward(self, embeddings: Tensor, features: Tensor) -> Tensor:
        """Every entity against the regions of its own image: E [..., Ne, de], X [..., Nv, dv] -> A [..., Ne, Nv]."""
        return self.scores(self.encode_text(embeddings), self.encode_regions(features))

    def everywhere(self, h: Tensor, v: Tensor) -> Tensor:
        """Every entity against every region of every image: H [B, Ne, d], V [B', Nv, d] -> [B, Ne, B', Nv]."""
        flat = self.scores(h.flatten(0, 1), v.flatten(0, 1))
        return flat.view(*h.shape[:2], *v.shape[:2])
