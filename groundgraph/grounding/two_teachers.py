"""The paper's grounder and MIL alone: L_GD = L_MIL + L_KD + lambda L_adp (Eq. 15)."""

from __future__ import annotations

import torch
from torch import Tensor

from groundgraph.grounding.batches import Step
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.grounder import Grounder
from groundgraph.grounding.losses import (
    adaptor_loss,
    bag_similarity,
    distillation_loss,
    entity_contrast,
    lowest_attention,
    mil_loss,
    mil_weight,
    random_attention,
)
from groundgraph.teachers.fusion import fuse, fuse_product, smooth


class TwoTeachers(Grounder):
    """`Grounder` taught by multiple instances and by both teachers, fused as the configuration says."""

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The weighted terms of Eq. 15, and where configured (not in the paper) the contrast of each entity.

        Args:
            step: The batch.
            generator: Of L_adp's negatives.

        Returns:
            {"mil", "entity_contrast", "kd", "adaptor"}: scalars, those that do not count left out.
        """
        c, images, batch = self.config, step.images, step.entities
        h, v = self.encode_text(images.embeddings), self.encode_regions(images.features)
        # All captions against one's own images; the negatives are the whole batch's, whichever process has them.
        captions, entities = images.share.gather(h), images.share.gather(images.entities)
        scores = self.everywhere(captions, v)
        similarity = bag_similarity(scores, entities, images.regions, sigmoid=c.mil_sigmoid, padding=c.mil_padding)
        similarity = images.share.gather(similarity.T).T
        mil = images.share.of_all(mil_loss(similarity, c.margin, c.mil_diagonal))
        terms = {"mil": mil * (mil_weight(step.epoch) if c.mil_decay and step.epoch is not None else 1.0)}
        if c.contrast_weight:
            contrast = entity_contrast(scores[entities], entities.nonzero()[:, 0], images.regions, images.share)
            terms["entity_contrast"] = c.contrast_weight * contrast
        if batch is not images:
            h, v = self.encode_text(batch.embeddings), self.encode_regions(batch.features)
        return terms | self.distil(h, v, batch, step.epoch, generator)

    def distil(
        self, h: Tensor, v: Tensor, batch: PaddedSet, epoch: int | None, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        """L_KD against the fused targets (Eq. 9-12, 14; or a product), and L_adp where the weights are learnt (Eq. 13).

        Args:
            h: [B, Ne, d] entities.
            v: [B, Nv, d] regions.
            batch: Whose targets count.
            epoch: None at validation, where the learnt weights count in any epoch.
            generator: Of L_adp's negatives.

        Returns:
            {"kd"} and, self-guided, "adaptor": scalars.
        """
        c = self.config
        targets = batch.targets * batch.entities[..., None, None]
        if c.smoothing:
            targets = smooth(targets.flatten(1, 2), batch.regions, c.smoothing).view_as(targets)
        if c.fusing != "self":
            fused = self.fused(targets, batch.reliability)
            return {"kd": distillation_loss(self.scores(h, v), fused, batch.regions, batch.share)}
        informed = targets.sum(-1) > 0
        positive = torch.stack([self.reliability(t, h, v) for t in targets.unbind(-2)], -1)
        averaged = epoch is not None and epoch < c.average_epochs
        weights = torch.ones_like(positive) if averaged else positive.detach().softmax(-1)  # Eq. 11
        fused = fuse(targets, weights)
        kd = distillation_loss(self.scores(h, v), fused, batch.regions, batch.share)
        negatives = [
            lowest_attention(t, batch.regions, generator, batch.share)
            if c.negatives == "lowest"
            else random_attention(batch.regions, t.shape[1], generator, batch.share)
            for t in targets.unbind(-2)
        ]
        negative = torch.stack([self.reliability(n, h, v) for n in negatives], -1)
        adaptor = adaptor_loss(
            positive, negative, informed, c.adaptor_margin, c.crossed_negatives, c.hinge_sigmoid, batch.share
        )
        return {"kd": kd, "adaptor": c.adaptor_weight * adaptor}

    def fused(self, targets: Tensor, reliability: Tensor) -> Tensor:
        """The target [B, Ne, Nv] of all, [B, Ne, T, Nv], where nothing is learnt of how to fuse them."""
        if self.config.fusing == "product":
            # Averaged with Eq. 8's, which is even: alone it is so sharp that words without it are lost beside it.
            product = fuse_product(targets, self.config.product_temperature)
            targets, reliability = torch.stack([product, targets[..., 1, :]], -2), reliability[..., :2]
        return fuse(targets, reliability if self.config.fusing == "expert" else torch.ones_like(reliability))

    def score(self, batch: PaddedSet) -> Tensor:
        """a_ij [B, Ne, Nv] of every entity against the regions of its own image."""
        return self.forward(batch.embeddings, batch.features)


class Mil(TwoTeachers):
    """The same without a teacher: what image-caption pairs alone teach (L_MIL of Eq. 5)."""

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        super().__init__(text_size, visual_size, (config or GroundingConfig()).model_copy(update={"fusing": "average"}))

    def distil(
        self, h: Tensor, v: Tensor, batch: PaddedSet, epoch: int | None, generator: torch.Generator | None
    ) -> dict[str, Tensor]:
        """No teacher, no distillation."""
        return {}
