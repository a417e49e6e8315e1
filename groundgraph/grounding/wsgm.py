"""WSGM's grounder: one-to-one matching of a text graph's entities to regions, learnt by telling images from graphs.

Shi et al., "A Simple Baseline for Weakly-Supervised Scene Graph Generation", ICCV 2021: a first-order (entities, not
edges) graph matching trained by contrastive learning, before any scene graph model. No released code of it was found,
so what the paper's abstract and METHOD.md section 8 leave open is chosen here: both encoders are Eq. 1-2's; an entity
and a region are compared by the cosine of their embeddings; the score of an (image, graph) pair is the mean cosine of
the best one-to-one matching; the contrast is a cross-entropy over the batch, each graph against all images and each
image against all graphs.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, normalize

from groundgraph.grounding.batches import Step
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.inputs import Inputs
from groundgraph.grounding.layers import initialise, mlp
from groundgraph.grounding.losses import entity_contrast
from groundgraph.grounding.matching import match_first, one_to_one, text_graphs


class Wsgm(nn.Module):
    """Entities and regions in one space, and the matching of their cosines.

    An image's captions are matched each for itself (`text_graphs`): no region serves two entities of one graph, but two
    captions may speak of the same region.
    """

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GroundingConfig()
        self.inputs = Inputs(text_size, visual_size, self.config.standardise)
        self.text = mlp(text_size, self.config.dimension)
        self.visual = mlp(visual_size, self.config.dimension)
        initialise(self)

    def encode(self, batch: PaddedSet) -> tuple[Tensor, Tensor]:
        """Entities [B, E, d] and regions [B, V, d], of unit length."""
        h = dropout(self.text(self.inputs.text(batch.embeddings)), self.config.dropout, self.training)
        return normalize(h, dim=-1), normalize(self.visual(self.inputs.regions(batch.features)), dim=-1)

    def similarity(self, batch: PaddedSet) -> tuple[Tensor, Tensor, Tensor]:
        """S(G, I) of all graphs G with all images I: the mean cosine of an entity and its match.

        The graphs of one image's captions count together. The matching itself has no gradient; its cosines do.

        Returns:
            S [B, B]; the cosines [B, b, E, V] of all entities with the regions of one's own b images, and which
            entities are real [B, E].
        """
        share = batch.share
        h, v = self.encode(batch)
        own = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
        # All graphs are matched with one's own images, which are all images where one process has the batch.
        h, graphs, real = (share.gather(values) for values in (h, own, batch.entities))
        (count, entities, _), (images, regions, _) = h.shape, v.shape
        cosines = (h.flatten(0, 1) @ v.flatten(0, 1).T).float().view(count, entities, images, regions).transpose(1, 2)
        matches = one_to_one(
            cosines.flatten(0, 1),
            graphs.repeat_interleave(images, 0),
            real.repeat_interleave(images, 0),
            batch.regions.repeat(count, 1),
        ).view(count, images, entities)
        matched = cosines.gather(-1, matches.unsqueeze(-1)).squeeze(-1)
        weight = real.unsqueeze(1).to(matched)
        return share.gather(((matched * weight).sum(-1) / weight.sum(-1).clamp(min=1)).T).T, cosines, real

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The mean of the two cross-entropies of S / temperature, and where configured (ours) each entity's contrast.

        Returns:
            {"contrast", "entity_contrast"}: scalars.
        """
        batch, share, c = step.images, step.images.share, self.config
        similarity, cosines, real = self.similarity(batch)
        logits = similarity / c.wsgm.temperature
        own = torch.arange(len(logits), device=logits.device)
        terms = {"contrast": share.of_all((cross_entropy(logits, own) + cross_entropy(logits.T, own)) / 2)}
        if c.contrast_weight:
            scores = cosines.transpose(1, 2)[real] / c.wsgm.temperature
            contrast = entity_contrast(scores, real.nonzero()[:, 0], batch.regions, share)
            terms["entity_contrast"] = c.contrast_weight * contrast
        return terms

    def score(self, batch: PaddedSet) -> Tensor:
        """Cosines / temperature [B, E, V], every entity's match first."""
        h, v = self.encode(batch)
        scores = h @ v.transpose(1, 2) / self.config.wsgm.temperature
        graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
        return match_first(scores, one_to_one(scores, graphs, batch.entities, batch.regions), batch.regions)
