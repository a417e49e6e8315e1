"""The pair grounder: a triplet's subject and object are grounded together. Not in the paper; no published system does.

J_t(i, j) = a_si + a_oj + g_t(i, j): the scores of Eq. 1-3, and how well two regions fit the triplet, from its
predicate's and entities' embeddings, how the two boxes lie to each other, and both regions' features. What tells two
alike things apart is often no feature of either but how it lies to something else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, dropout, logsigmoid

from groundgraph.data.geometry import PAIR_GEOMETRY, pair_geometry
from groundgraph.grounding.batches import Step
from groundgraph.grounding.beliefs import propagate
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.layers import MASKED_LOGIT, initialise
from groundgraph.grounding.logsumexp import logsumexp
from groundgraph.grounding.losses import entity_contrast
from groundgraph.grounding.two_teachers import TwoTeachers
from groundgraph.teachers.fusion import fuse_product


class Pairs(TwoTeachers):
    """Beliefs over the regions of all entities of an image's captions, and over the pairs of regions of all triplets.

    It learns from the teachers' fused targets, of entities and of pairs, and from captions alone: an entity, and a
    triplet, have to tell their own image from the batch's others, a triplet also its predicate from the batch's others.
    Where the teachers' sharpened product is the target, words that the detector does not know are left to the latter.
    With `related_weight`, it learns which pairs of regions are related at all, from the pairs that no triplet can mean,
    and how much a pair is that is part of its score: which predicate fits two regions best says nothing of it.
    """

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        config = config or GroundingConfig()
        own = config.pairs
        # Of unit length, scores differ too little for the contrasts; centred and scaled inputs serve them instead.
        super().__init__(text_size, visual_size, config.model_copy(update={"fusing": own.fusing, "normalise": False}))
        d = config.dimension
        self.geometry = nn.Linear(PAIR_GEOMETRY, own.width)
        self.subject, self.object = (nn.Linear(d, own.width, bias=False) for _ in range(2))
        self.query = nn.Sequential(
            nn.Linear(text_size + 2 * d, 2 * own.width), nn.ReLU(), nn.Linear(2 * own.width, own.width)
        )
        self.related = (
            nn.Sequential(nn.Linear(own.width, own.width), nn.ReLU(), nn.Linear(own.width, 1))
            if own.related_weight
            else None
        )
        initialise(self)

    def pair_features(self, v: Tensor, boxes: Tensor) -> Tensor:
        """Of every ordered pair of regions: v [B, V, d] and boxes [B, V, 4] -> [B, V, V, k]."""
        lie = self.geometry(pair_geometry(boxes.unsqueeze(2), boxes.unsqueeze(1)))
        return (lie + self.subject(v).unsqueeze(2) + self.object(v).unsqueeze(1)).relu()

    def queries(self, h: Tensor, batch: PaddedSet) -> Tensor:
        """What each triplet looks for in a pair: h [B, E, d] -> [B, T, k], over the root of k."""
        query = self.query(torch.cat([self.inputs.text(batch.predicates), *ends_of(h, batch.triplets)], -1))
        return query * query.shape[-1] ** -0.5

    def unary(self, h: Tensor, v: Tensor, regions: Tensor) -> Tensor:
        """Scores of Eq. 3 [B, E, V], very low for padding."""
        return self.scores(h, v).masked_fill(~regions.unsqueeze(1), MASKED_LOGIT)

    def ground(self, batch: PaddedSet) -> tuple[Tensor, Tensor]:
        """Log beliefs of the entities' regions [B, E, V] and of the triplets' pairs of regions [B, T, V, V]."""
        h, v = self.encode_text(batch.embeddings), self.encode_regions(batch.features)
        features = self.pair_features(v, batch.boxes)
        fit, _ = self.fit(self.queries(h, batch), features, batch.regions)
        return propagate(
            self.unary(h, v, batch.regions), fit, batch.triplets, batch.triplet_mask, self.config.pairs.rounds
        )

    def relatedness(self, features: Tensor) -> Tensor | None:
        """Logits [B, V, V] of pairs with features [B, V, V, k] being related, whatever the predicate.

        None without `related_weight`.
        """
        return None if self.related is None else self.related(features).squeeze(-1).float()

    def fused(self, targets: Tensor, reliability: Tensor) -> Tensor:
        """The target [B, Ne, Nv] of all teachers; a product is not evened out, since the contrasts do that."""
        if self.config.fusing == "product":
            return fuse_product(targets, self.config.product_temperature)
        return super().fused(targets, reliability)

    def score(self, batch: PaddedSet) -> Tensor:
        """The log beliefs [B, E, V]; an entity without a triplet keeps softmax(a_i)."""
        return self.ground(batch)[0]

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Distillation of entities and pairs, and the contrasts.

        Args:
            step: The batch.
            generator: Of the triplets that are contrasted.

        Returns:
            {"kd", "pairs", "related", "contrast", "pair_contrast", "predicate_contrast"}: scalars, those of weight 0
            left out.
        """
        batch, own, share = step.images, self.config.pairs, step.images.share
        h, v = self.encode_text(batch.embeddings), self.encode_regions(batch.features)
        unary, queries, features = (
            self.unary(h, v, batch.regions),
            self.queries(h, batch),
            self.pair_features(v, batch.boxes),
        )
        fit, related = self.fit(queries, features, batch.regions)
        _, joint = propagate(unary, fit, batch.triplets, batch.triplet_mask, own.rounds)

        targets = batch.targets * batch.entities[..., None, None]
        named = confident(targets[:, :, 0], batch.confidences)
        targets = torch.cat([named.unsqueeze(2), targets[:, :, 1:]], 2)
        target = self.fused(targets, batch.reliability)
        weight = torch.where(batch.object.sum(-1) > 0, 1.0, own.unknown_weight) * (target.sum(-1) > 0)
        count = share.sum(batch.entities.sum()).clamp(min=1)
        terms = {"kd": -((target * unary.log_softmax(-1)).sum(-1) * weight).sum() / count}
        settled = step.epoch is None or step.epoch >= own.settle_after * self.config.epochs
        target = target * weight.unsqueeze(-1)
        if own.pair_weight:
            terms["pairs"] = own.pair_weight * pair_distillation(joint, target, batch, settled) / count
        if related is not None:
            terms["related"] = own.related_weight * related_loss(related, joint, target, batch, settled)
        if own.contrast_weight or own.pair_contrast_weight:
            terms |= self.contrasts(h, v, queries, features, batch, generator)
        if own.predicate_contrast_weight:
            terms["predicate_contrast"] = own.predicate_contrast_weight * self.predicate_contrast(
                h, joint - fit, features, batch
            )
        return terms

    def fit(self, queries: Tensor, features: Tensor, regions: Tensor) -> tuple[Tensor, Tensor | None]:
        """How well pairs of regions with features [B, V, V, k] fit triplets' queries [B, T, k].

        Returns:
            The log fit g [B, T, V, V], very low where a pair cannot be; and `relatedness`, which is part of it.
        """
        fit = (queries @ features.flatten(1, 2).transpose(1, 2)).float().view(*queries.shape[:2], *features.shape[1:3])
        fit = fit.masked_fill(~possible(regions).unsqueeze(1), MASKED_LOGIT)
        related = self.relatedness(features)
        return (fit if related is None else fit + logsigmoid(related).unsqueeze(1)), related

    def contrasts(
        self,
        h: Tensor,
        v: Tensor,
        queries: Tensor,
        features: Tensor,
        batch: PaddedSet,
        generator: torch.Generator | None,
    ) -> dict[str, Tensor]:
        """Which of the batch's images an entity, and which a triplet, belongs to: cross-entropies.

        An image's score is the log of the mean of exp(a) over its regions, or of exp(J) over its pairs. The triplets
        are drawn, so that memory does not grow with the captions.
        """
        own, share = self.config.pairs, batch.share
        # All words against one's own images, whichever process has them.
        h, queries, entities, triplets, mask = (
            share.gather(x) for x in (h, queries, batch.entities, batch.triplets, batch.triplet_mask)
        )
        owner = entities.nonzero()[:, 0]
        weighted = dropout(h[entities], self.config.dropout, self.training) * self.attend.weight[0]
        unary = (weighted @ v.flatten(0, 1).T).float().view(len(owner), *v.shape[:2]) + self.attend.bias
        unary = unary.masked_fill(~batch.regions, MASKED_LOGIT)  # [N, B, V]
        terms = {}
        if own.contrast_weight:
            terms["contrast"] = own.contrast_weight * entity_contrast(unary, owner, batch.regions, share)
        if own.pair_contrast_weight and mask.any():
            places = mask.nonzero()
            drawn = torch.randperm(len(places), generator=generator)[: own.contrast_triplets].to(places.device)
            image, place = places[drawn].unbind(1)
            row = (entities.flatten().cumsum(0) - 1).view_as(entities)
            subject, object_ = row[image.unsqueeze(1), triplets[image, place]].unbind(1)
            pairs = possible(batch.regions)
            joint = (queries[image, place] @ features.flatten(0, 2).T).float().view(len(image), *features.shape[:3])
            joint = joint + unary[subject].unsqueeze(-1) + unary[object_].unsqueeze(-2)
            joint = logsumexp(joint.masked_fill(~pairs, MASKED_LOGIT).flatten(2))
            images = share.gather((joint - pairs.sum((1, 2)).clamp(min=1).log()).T).T
            terms["pair_contrast"] = own.pair_contrast_weight * share.of_all(cross_entropy(images, image))
        return terms

    def predicate_contrast(self, h: Tensor, rest: Tensor, features: Tensor, batch: PaddedSet) -> Tensor:
        """Which of the batch's predicates a triplet has, between the regions that its ends are without it: mean.

        Args:
            h: [B, E, d] entities.
            rest: [B, T, V, V], what of the triplets' log beliefs is not their own fit.
            features: [B, V, V, k] of the pairs.
            batch: The batch.

        Returns:
            A scalar, cross-entropies over at most `contrast_predicates` predicates.
        """
        mask, share = batch.triplet_mask, batch.share
        words, real = share.gather(self.inputs.text(batch.predicates)), share.gather(mask)
        kinds, kind = torch.unique(words[real], dim=0, return_inverse=True)
        if len(kinds) < 2:
            return h.sum() * 0.0
        first = int(real[: share.start].sum())
        kind = kind[first : first + int(mask.sum())]
        kinds = kinds[: self.config.pairs.contrast_predicates]
        ends = torch.cat([x[mask] for x in ends_of(h, batch.triplets)], -1)
        queries = torch.cat([kinds.expand(len(ends), -1, -1), ends.unsqueeze(1).expand(-1, len(kinds), -1)], -1)
        queries = self.query(queries) * features.shape[-1] ** -0.5
        own = features.flatten(1, 2)[mask.nonzero()[:, 0]]
        fit = (queries @ own.transpose(1, 2)).float() + rest[mask].detach().flatten(1).unsqueeze(1)
        named = kind < len(kinds)
        losses = cross_entropy(logsumexp(fit), kind.clamp(max=len(kinds) - 1), reduction="none")
        return (losses * named).sum() / share.sum(named.sum()).clamp(min=1)


def pair_distillation(joint: Tensor, target: Tensor, batch: PaddedSet, settled: bool) -> Tensor:
    """What the triplets' pairs cost against the product t of their ends' targets, summed over the triplets.

    At first the cross-entropy with t. Once settled, -log sum_ij t(i, j) p(i, j): t says which pairs can be meant, and
    among these the grounder's own belief decides, as in expectation maximisation, whose gradient this has.

    Args:
        joint: log p [B, T, V, V].
        target: [B, E, V]; a triplet of which an end has none gives no loss.
        batch: The batch.
        settled: Which of the two.

    Returns:
        A scalar.
    """
    product, taught = taught_pairs(target, batch)
    if settled:
        losses = -logsumexp(within(joint, product))
    else:
        losses = -(product * joint.clamp(min=-50)).sum((-1, -2))
    return torch.where(taught, losses, 0.0).sum()


def related_loss(logits: Tensor, joint: Tensor, target: Tensor, batch: PaddedSet, settled: bool) -> Tensor:
    """What the logits of being related cost: cross-entropy, the mean over the pairs of images with a taught triplet.

    A pair is related as surely as the triplet that likeliest means it: by the product t of its ends' targets at first,
    once settled by the belief within t. So a pair that no triplet can mean is not, and of those that one can mean the
    ones are that it rather means.

    Args:
        logits: [B, V, V].
        joint: log p [B, T, V, V].
        target: [B, E, V].
        batch: The batch.
        settled: Which of the two.
    """
    product, taught = taught_pairs(target, batch)
    if settled:
        product = within(joint.detach(), product).softmax(-1).view_as(product)
    meant = (product * taught[..., None, None]).amax(1) if product.shape[1] else torch.zeros_like(logits)
    counted = possible(batch.regions) & taught.any(1)[:, None, None]
    losses = binary_cross_entropy_with_logits(logits, meant, reduction="none") * counted
    return losses.sum() / batch.share.sum(counted.sum()).clamp(min=1)


def taught_pairs(target: Tensor, batch: PaddedSet) -> tuple[Tensor, Tensor]:
    """The products of triplets' ends' targets [B, T, V, V], of sum 1, and which triplets [B, T] have one.

    Args:
        target: [B, E, V].
        batch: The batch.
    """
    subject, object_ = ends_of(target, batch.triplets)
    product = (subject.unsqueeze(-1) * object_.unsqueeze(-2)).masked_fill(~possible(batch.regions).unsqueeze(1), 0.0)
    mass = product.sum((-1, -2), keepdim=True)
    return product / mass.clamp(min=1e-6), (mass[..., 0, 0] > 1e-6) & batch.triplet_mask


def within(joint: Tensor, product: Tensor) -> Tensor:
    """Log p + log t of pairs, very low where t is 0: [B, T, V, V] both -> [B, T, V * V]."""
    meant = joint + product.clamp(min=1e-9).log()
    return meant.masked_fill(product <= 1e-9, MASKED_LOGIT).flatten(-2)


def confident(target: Tensor, confidences: Tensor) -> Tensor:
    """An object-aware target [B, E, V] (Eq. 6) in which regions count by the detector's scores [B, V], not alike."""
    weighted = target * confidences.unsqueeze(1)
    return weighted / weighted.sum(-1, keepdim=True).clamp(min=1e-12)


def ends_of(values: Tensor, triplets: Tensor) -> tuple[Tensor, Tensor]:
    """The rows [B, T, w] of values [B, E, w] that are the triplets' subjects, and objects."""
    subject, object_ = (values.gather(1, triplets[..., k, None].expand(-1, -1, values.shape[-1])) for k in (0, 1))
    return subject, object_


def possible(regions: Tensor) -> Tensor:
    """Which ordered pairs of regions can be a subject and an object: real ones, and two. [B, V] -> [B, V, V] bool."""
    place = torch.arange(regions.shape[1], device=regions.device)
    return regions.unsqueeze(2) & regions.unsqueeze(1) & (place.unsqueeze(1) != place)
