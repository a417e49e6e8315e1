"""LSWS: captions' graphs ground and refine detectors, and a recurrent network completes triplets.

Ye and Kovashka, "Linguistic Structures as Weak Supervision for Visual Scene Graph Generation", CVPR 2021, and its
released code (Cap2SG). Held, in its order: entities in the context of their caption's graph, with dropout on the
messages (`GraphContext`); their attention to regions, by which the attended features have to say which entity asked
(multiple instances); detectors of things refined several times, each labelled by the regions that the one before
prefers, and by those that overlap these; heads of subjects and objects of a predicate, of which a pair's logit is the
lesser; an LSTM that reads subject's and object's features and names and says subject, object, predicate in this order,
of which a beam search keeps the best.

Not held: names begin as the recipe's text model's embeddings and are learnt on, instead of GloVe's, which stay (and are
as wide as the LSTM's state, released 100); attributes are not read; attention is
linear in the features (released: a transformer over them); an entity's first region is that of the largest attention
times probability. A relation's score is the beam's times its two detections' times that of being related at all
(released: the beam's alone), since here scores of all relations of an image are compared. The LSTM is not also trained
to tell swapped regions. Ours: inputs are standardised, and `contrast_weight`: unless it is 0, a head of its own learns
what regions are called (`ContrastHead`), and its probabilities among an image's entities (`own_log_p`) take the place
of attention and recognised features where the first detector is labelled; further detectors are labelled by the product
of these and the same of the detector before.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, dropout, leaky_relu

from groundgraph.data.types import Graph
from groundgraph.grounding.contrast import ContrastHead
from groundgraph.grounding.layers import MASKED_LOGIT, initialise, mean_where
from groundgraph.grounding.lsws import GraphContext
from groundgraph.sgg.batch import Batch, Sizes, overlaps
from groundgraph.sgg.inference import GraphTask, InferenceConfig
from groundgraph.systems.contrast import category_contrast, evidence, own_log_p
from groundgraph.systems.graphs import allowed_pairs, completed_graph, objects_of
from groundgraph.systems.model import SystemConfig, SystemModel
from groundgraph.systems.text_graphs import SystemBatch
from groundgraph.systems.triplet_predictor import TripletPredictor


class LswsSystemConfig(SystemConfig):
    """LSWS's parts; the defaults are released, but for the number of pairs."""

    refinements: int = Field(4, ge=1, description="refinements of the detectors of things")
    detection_weight: float = Field(
        0.5, ge=0, description="weight of every loss but the attention's: refinements, relations, sequence"
    )
    context_dropout: float = Field(0.5, ge=0, lt=1, description="share of the messages of a text graph that is dropped")
    overlap: float = Field(0.5, ge=0, le=1, description="IoU with an entity's region from which a region has its label")
    candidates: int = Field(100, ge=1, description="pairs of regions an image whose triplets are completed")
    beam_size: int = Field(5, ge=1, description="triplets kept of a pair while they are completed")


class LswsSystem(SystemModel):
    """Regions -> detections, scores of pairs, and their completed triplets."""

    name = "lsws"
    Config = LswsSystemConfig

    def __init__(self, sizes: Sizes, config: LswsSystemConfig | None = None) -> None:
        super().__init__(sizes, config or LswsSystemConfig())
        c, d = self.config, sizes.words
        self.attend, self.recognise = nn.Linear(sizes.features, d), nn.Linear(sizes.features, d)
        self.detect = nn.Linear(sizes.features, c.refinements * d)
        self.relate = nn.Linear(sizes.features, 2 * d)  # as a subject, as an object
        self.look = nn.Linear(sizes.features, d)
        self.background = nn.Parameter(torch.zeros(c.refinements + 2))
        self.predictor = TripletPredictor(d)
        initialise(self)
        self.contrast = ContrastHead(sizes.features, d)
        self.context = GraphContext(d, c.context_dropout)

    def detections(self, features: Tensor) -> list[Tensor]:
        """Log probabilities [B, V, 1 + C] of each refinement's detector, column 0 = background."""
        heads = leaky_relu(self.detect(features)).unflatten(-1, (self.config.refinements, -1)).unbind(2)
        return [
            _with_background(self.categories(h), b).log_softmax(-1)
            for h, b in zip(heads, self.background[:-2], strict=True)
        ]

    def relations(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, V, 1 + P] of a region's being the subject, and the object, of each predicate."""
        heads = leaky_relu(self.relate(features)).chunk(2, -1)
        as_subject, as_object = (
            _with_background(self.predicates(h), b) for h, b in zip(heads, self.background[-2:], strict=True)
        )
        return as_subject, as_object

    def losses(self, batch: SystemBatch) -> dict[str, Tensor]:
        """The cross-entropies of all heads, by the labels that the heads before them give.

        Returns:
            {"grounding", "refinement", "relation", "sequence", "contrast"}: scalars.
        """
        share, c = batch.share, self.config
        features = dropout(self.inputs(batch.images.features), c.dropout, self.training)
        entities, triplets = batch.categories, batch.triplets
        nodes = self.context(
            self.categories.weight[entities], self.predicates.weight[batch.predicates], triplets, batch.triplet_mask
        )
        logits = (nodes @ self.attend(features).transpose(1, 2)).float() * nodes.shape[-1] ** -0.5
        attention = logits.masked_fill(~batch.regions[:, None], MASKED_LOGIT).log_softmax(-1)
        recognised = leaky_relu(self.recognise(features))
        attended = self.categories(attention.exp() @ recognised).transpose(1, 2)  # [b, C, E]
        terms = {"grounding": mean_where(cross_entropy(attended, entities, reduction="none"), batch.entities, share)}

        guide = None
        fit = attention + batch.of_entities(self.categories(recognised).log_softmax(-1))
        if c.contrast_weight:
            logits = self.categories(self.contrast(features))
            terms["contrast"] = c.contrast_weight * category_contrast(logits, batch)
            fit = guide = own_log_p(evidence(logits, batch), batch, nothing=0.0)
        near = overlaps(batch.images.boxes) > c.overlap
        refinement = fit.new_zeros(())
        for log_p in self.detections(features):
            chosen = best_region(fit, batch.regions)
            labels = region_labels(chosen, entities + 1, batch.entities, near, log_p.shape[-1])
            refinement = refinement + mean_where(-(labels * log_p).sum(-1), batch.regions, share)
            things = log_p[..., 1:]
            fit = batch.of_entities(things) if guide is None else guide + own_log_p(things, batch)
        terms["refinement"] = c.detection_weight * refinement

        chosen = best_region(fit, batch.regions)
        ends = chosen.gather(1, triplets.flatten(1)).view_as(triplets)
        alone = torch.eye(near.shape[1], dtype=torch.bool, device=near.device).expand_as(near)
        terms["relation"] = torch.zeros_like(refinement)
        weights = torch.cat([batch.predicate_weights.new_ones(1), batch.predicate_weights])
        for end, scores in enumerate(self.relations(features)):
            labels = region_labels(ends[..., end], batch.predicates + 1, batch.triplet_mask, alone, scores.shape[-1])
            losses = -(labels * weights * scores.log_softmax(-1)).sum(-1)
            terms["relation"] = terms["relation"] + c.detection_weight * mean_where(losses, batch.regions, share)
        terms["sequence"] = c.detection_weight * self._sequence(batch, features, ends)
        return terms

    def _sequence(self, batch: SystemBatch, features: Tensor, ends: Tensor) -> Tensor:
        """The predictor's cross-entropies, the sum of its three steps', on grounded triplets [b, T, 2]."""
        image, which = batch.triplet_mask.nonzero(as_tuple=True)
        looks = leaky_relu(self.look(features))[image[:, None], ends[image, which]]
        names = batch.categories[image[:, None], batch.triplets[image, which]]
        words = self.categories.weight[names]
        first, second, third = self.predictor((looks[:, 0], looks[:, 1]), (words[:, 0], words[:, 1]))
        steps = (
            (self.categories(first), names[:, 0], None),
            (self.categories(second), names[:, 1], None),
            (self.predicates(third), batch.predicates[image, which], batch.predicate_weights),
        )
        total = sum(cross_entropy(logits, target, weight, reduction="sum") for logits, target, weight in steps)
        return total / batch.share.sum(batch.triplet_mask.sum()).clamp(min=1)

    @torch.no_grad()
    def generate(self, batch: Batch, config: InferenceConfig, task: GraphTask) -> list[Graph]:
        """See `GraphGenerator`: the best pairs of detections, their triplets completed by beam search."""
        features = self.inputs(batch.features)
        detected = self.detections(features)[-1].exp()
        labels, scores, stays = objects_of(batch, detected[..., 1:], config.nms_threshold, task)
        as_subject, as_object = self.relations(features)
        related = torch.minimum(as_subject[:, :, None], as_object[:, None]).softmax(-1)[..., 1:]
        strength = scores[:, :, None] * scores[:, None] * related.amax(-1)
        allowed = allowed_pairs(batch, stays, config, task)
        count = min(self.config.candidates, allowed[0].numel())
        best, places = strength.masked_fill(~allowed, -1).flatten(1).topk(count)
        image, place = (best >= 0).nonzero(as_tuple=True)
        place = places[image, place]
        pairs = torch.stack([place // stays.shape[1], place % stays.shape[1]], -1)
        looks = leaky_relu(self.look(features))[image[:, None], pairs].unbind(1)
        if task == "sgdet":
            beams = self.predictor.search(looks, self.categories, self.predicates, self.config.beam_size)
        else:
            names = labels[image[:, None], pairs] - 1
            beams = self.predictor.predicates_of(looks, names, self.categories, self.predicates)
        tables = (
            beams.subjects,
            beams.objects,
            beams.log_p,
            beams.predicates,
            related[image, pairs[:, 0], pairs[:, 1]].sum(-1),
        )
        pairs, image, *tables = (x.cpu().numpy() for x in (pairs, image, *tables))
        nodes = [x.cpu().numpy() for x in (batch.boxes, labels, scores, stays, detected)]
        return [
            completed_graph(*(x[i] for x in nodes), pairs[own], *(x[own] for x in tables), config.pairs)
            for i, own in enumerate(image == i for i in range(len(stays)))
        ]


def _with_background(logits: Tensor, background: Tensor) -> Tensor:
    return torch.cat([background.expand_as(logits[..., :1]), logits], -1)


def best_region(fit: Tensor, regions: Tensor) -> Tensor:
    """The region that fits each entity best: [B, E, V], real ones [B, V] -> [B, E]."""
    return fit.detach().masked_fill(~regions[:, None], -torch.inf).argmax(-1)


def region_labels(chosen: Tensor, classes: Tensor, real: Tensor, near: Tensor, width: int) -> Tensor:
    """What a detector learns of each region: its labels in equal shares, or background where it has none.

    Args:
        chosen: [B, E], each entity's region.
        classes: [B, E] in 1..width-1.
        real: [B, E] bool.
        near: [B, V, V] bool, the regions that have a chosen one's labels too.
        width: Classes, 0 = background.

    Returns:
        [B, V, width], rows sum to 1.
    """
    marked = near.gather(1, chosen[..., None].expand(-1, -1, near.shape[2])) & real[..., None]  # [B, E, V]
    labels = torch.zeros(*near.shape[:2], width, device=near.device)
    labels.scatter_add_(2, classes[:, None].expand(-1, near.shape[1], -1), marked.transpose(1, 2).float())
    labels = labels.clamp(max=1)
    labels[..., 0] = labels.sum(-1) == 0
    return labels / labels.sum(-1, keepdim=True)
