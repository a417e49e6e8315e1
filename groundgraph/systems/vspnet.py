"""VSPNet: an image's scene graph is made by message passing over role edges, and aligned with its text graph.

Zareian et al., "Weakly Supervised Visual Semantic Parsing", CVPR 2020, and its released code. Held: entity nodes begin
as the regions' features and boxes, predicate nodes as learnt vectors; role edges, messages and updates (`RolePassing`);
both kinds of nodes are classified by embeddings that begin as a text model's and are learnt on; each node's confidence,
whether it is aligned; the alignment in turns from both sides (`align`), and as losses the mean cross-entropies of
aligned nodes, the log weights of aligned roles, and the confidences'. Read off as published: regions of the
roles' largest weights, classes of the largest probability, ranked by the product of the three.

Not held: embeddings are the recipe's text model's instead of GloVe's; heads are one linear layer each; an image has a
graph a caption, whose entities are aligned each for itself, where the released data has one graph; all losses weigh 1
(released: 10 times the roles', which are divided by the nodes, and 0 times the confidences'); a predicate's confidence
multiplies its class's probability; predicate nodes begin normally instead of uniformly distributed, so that they differ
more; boxes of one thing are suppressed before roles are read.

Ours: inputs are standardised; an entity's logits are those before messages plus those after them. `contrast_weight`:
unless it is 0, a head of its own learns what regions are called (`ContrastHead`, `exclusive_log_p`), and entities are
aligned by its log probabilities, times `GUIDE_WEIGHT`, less the entity nodes' costs. `overlap`: the regions that show
one thing share what it is taught, its category and confidence (`thing_costs`), and the weights of its roles
(`thing_roles`). `nodes_per_triplet`: so many predicate nodes learn each triplet, as in one-to-many matching of
detection transformers (Jia et al., CVPR 2023). `pairs_per_node`: a node says so many pairs of regions, by the product
of its roles' weights over that of its best pair.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, leaky_relu

from groundgraph.data.types import Graph
from groundgraph.grounding.contrast import ContrastHead
from groundgraph.grounding.layers import initialise, mean_where
from groundgraph.grounding.vspnet import Costs, RolePassing, align, aligned
from groundgraph.sgg.batch import Batch, Sizes, overlaps
from groundgraph.sgg.inference import GraphTask, InferenceConfig
from groundgraph.sgg.pairs import box_geometry
from groundgraph.systems.contrast import category_contrast, exclusive_log_p
from groundgraph.systems.graphs import allowed_pairs, graph_of, objects_of
from groundgraph.systems.model import SystemConfig, SystemModel
from groundgraph.systems.text_graphs import SystemBatch

GUIDE_WEIGHT = 4.0  # of the head in the alignment: with 1, nodes and roles kept a wrong exchange together
LEAST_WEIGHT = 1e-30  # of a role, whose logarithm is taken


class VspnetSystemConfig(SystemConfig):
    """VSPNet's sizes, which fit MiniGenome; published where another is named."""

    dropout: float = Field(0.3, ge=0, lt=1, description="share of entries dropped (published 0)")
    states: int = Field(128, ge=1, description="width of a node's state (published 1024)")
    predicates: int = Field(32, ge=1, description="predicate nodes an image: its graph has no more relations (100)")
    rounds: int = Field(3, ge=1, description="rounds of messages")
    alignments: int = Field(3, ge=1, description="turns of the alignment")
    overlap: float = Field(
        0.5, gt=0, le=1, description="IoU from which on two regions show one thing (ours; as published: 1)"
    )
    nodes_per_triplet: int = Field(
        3, ge=1, description="predicate nodes that learn each triplet of the text (ours; as published: 1)"
    )
    pairs_per_node: int = Field(
        5, ge=1, description="pairs of regions that a predicate node says (ours; as published: 1)"
    )


class ImageGraph(NamedTuple):
    """What VSPNet makes of images alone.

    Attributes:
        entities: Logits [B, V, C].
        predicates: Logits [B, P, R].
        roles: Log weights of the subject and object edges [B, 2, P, V].
        confidences: Logits of the nodes' being in the graph, [B, V] and [B, P].
    """

    entities: Tensor
    predicates: Tensor
    roles: Tensor
    confidences: tuple[Tensor, Tensor]


class VspnetSystem(SystemModel):
    """Regions -> entity nodes, predicate nodes, and soft roles between them."""

    name = "vspnet"
    Config = VspnetSystemConfig

    def __init__(self, sizes: Sizes, config: VspnetSystemConfig | None = None) -> None:
        super().__init__(sizes, config or VspnetSystemConfig())
        c = self.config
        self.look, self.place = nn.Linear(sizes.features, c.states), nn.Linear(9, c.states)
        self.passing = RolePassing(c.states, c.predicates, c.rounds)
        self.name_entity, self.name_predicate = (nn.Linear(c.states, sizes.words) for _ in range(2))
        self.entity_confidence, self.predicate_confidence = (nn.Linear(c.states, 1) for _ in range(2))
        initialise(self)
        nn.init.normal_(self.passing.start)
        self.contrast = ContrastHead(sizes.features, sizes.words)

    def forward(self, batch: Batch) -> ImageGraph:
        """The graphs of images."""
        share = self.config.dropout
        features = dropout(self.inputs(batch.features), share, self.training)
        states = leaky_relu(self.look(features)) + leaky_relu(self.place(box_geometry(batch)))
        entities, predicates, roles = self.passing(states, batch.mask)
        states, entities, predicates = (dropout(x, share, self.training) for x in (states, entities, predicates))
        return ImageGraph(
            self.categories(self.name_entity(states)) + self.categories(self.name_entity(entities)),
            self.predicates(self.name_predicate(predicates)),
            roles,
            (self.entity_confidence(entities)[..., 0].float(), self.predicate_confidence(predicates)[..., 0].float()),
        )

    def losses(self, batch: SystemBatch) -> dict[str, Tensor]:
        """What the aligned text graph costs, see `costs` and `aligned`, and whether nodes know that they are aligned.

        Returns:
            {"entity", "predicate", "role", "entity_confidence", "predicate_confidence", "contrast"}: scalars.
        """
        batch = batch.with_repeated_triplets(self.config.nodes_per_triplet)
        graph, share, same = self(batch.images), batch.share, self.same_thing(batch.images)
        whole = costs(graph._replace(roles=thing_roles(graph.roles, same)), batch)
        guided, terms = whole, {}
        if self.config.contrast_weight:
            features = dropout(self.inputs(batch.images.features), self.config.dropout, self.training)
            log_p = exclusive_log_p(self.categories(self.contrast(features)))
            terms["contrast"] = self.config.contrast_weight * category_contrast(log_p, batch)
            guided = whole._replace(entity=whole.entity - GUIDE_WEIGHT * batch.of_entities(log_p))
        regions, nodes = align(guided, batch, self.config.alignments, torch.zeros_like(batch.predicates))
        _, predicate, role = aligned(whole, batch, regions, nodes)
        terms |= {
            "entity": mean_where(thing_costs(whole.entity, regions, same), batch.entities, share),
            "predicate": mean_where(predicate * batch.predicate_weights[batch.predicates], batch.triplet_mask, share),
            "role": mean_where(role, batch.triplet_mask, share),
        }
        targets = (
            (shown_with(regions, same) & batch.entities[..., None]).any(1),
            torch.zeros_like(graph.confidences[1]).scatter_add(1, nodes, batch.triplet_mask.float()) > 0,
        )
        real = batch.regions, torch.ones_like(targets[1])
        for name, logits, target, mask in zip(("entity", "predicate"), graph.confidences, targets, real, strict=True):
            losses = binary_cross_entropy_with_logits(logits, target.float(), reduction="none")
            terms[f"{name}_confidence"] = mean_where(losses, mask, share)
        return terms

    def same_thing(self, batch: Batch) -> Tensor:
        """Which regions show one thing, by their overlap, each with itself: [B, V, V] bool."""
        itself = torch.eye(batch.mask.shape[1], dtype=torch.bool, device=batch.mask.device)
        return (overlaps(batch.boxes) >= self.config.overlap) & batch.mask[:, None] & batch.mask[..., None] | itself

    @torch.no_grad()
    def generate(self, batch: Batch, config: InferenceConfig, task: GraphTask) -> list[Graph]:
        """See `GraphGenerator`: each predicate node's best pairs; of those of one pair of regions the best stays."""
        graph = self(batch)
        labels, scores, stays = objects_of(batch, graph.entities.softmax(-1), config.nms_threshold, task)
        roles = thing_roles(graph.roles, self.same_thing(batch))
        pairs, strength = best_pairs(roles, allowed_pairs(batch, stays, config, task), self.config.pairs_per_node)
        sure = (graph.confidences[1].sigmoid()[..., None] * strength)[..., None]
        predicates = torch.cat([1 - sure, sure * graph.predicates.softmax(-1)[:, :, None]], -1)
        parts = batch.boxes, labels, scores, stays, pairs.flatten(1, 2), predicates.flatten(1, 2)
        return [graph_of(*own, config.pairs) for own in zip(*(x.cpu().numpy() for x in parts), strict=True)]


def costs(graph: ImageGraph, batch: SystemBatch) -> Costs:
    """How badly each node of an image's graph stands for each node of its text graph.

    Of an entity e and a region v it is -log p_v(category of e), of a triplet and a predicate node likewise, of a role
    -log of its edge's weight.
    """
    entity, predicate = (
        -logits.log_softmax(-1).transpose(1, 2).gather(1, classes[..., None].expand(-1, -1, logits.shape[1]))
        for logits, classes in ((graph.entities, batch.categories), (graph.predicates, batch.predicates))
    )
    return Costs(entity, predicate, -graph.roles)


def thing_roles(roles: Tensor, same: Tensor) -> Tensor:
    """Log weights of the role edges to the thing that each region shows: the sum over all regions that show it.

    Args:
        roles: [B, 2, P, V], of regions alone.
        same: [B, V, V] bool, which regions show one thing.

    Returns:
        [B, 2, P, V].
    """
    with torch.autocast(roles.device.type, enabled=False):  # half precision has no such small numbers
        return (roles.exp() @ same[:, None].to(roles)).clamp(min=LEAST_WEIGHT).log()


def shown_with(regions: Tensor, same: Tensor) -> Tensor:
    """The regions that show what each entity's region [B, E] shows, itself among them: [B, E, V] bool."""
    return same.gather(1, regions[..., None].expand(-1, -1, same.shape[2]))


def thing_costs(entity: Tensor, regions: Tensor, same: Tensor) -> Tensor:
    """The mean cost [B, E] of all regions that show what each entity's region shows.

    Args:
        entity: [B, E, V], of each region for each entity.
        regions: [B, E], the aligned ones.
        same: [B, V, V] bool, which regions show one thing.
    """
    shown = shown_with(regions, same)
    return (entity * shown).sum(-1) / shown.sum(-1)


def best_pairs(roles: Tensor, allowed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The pairs of regions for which each predicate node's weights as subject and object have the largest product.

    Args:
        roles: [B, 2, P, V] log weights.
        allowed: [B, V, V] bool, pairs that may be related.
        count: Of pairs a node.

    Returns:
        Pairs [B, P, K, 2] and their products over the node's best pair's [B, P, K]; where fewer pairs are allowed, a
        pair that is not, at 0. K is at most V^2.
    """
    subject, object_ = roles.unbind(1)
    products = (subject[..., None] + object_[..., None, :]).masked_fill(~allowed[:, None], -torch.inf).flatten(2)
    best, place = products.topk(min(count, products.shape[2]), -1)
    width = roles.shape[-1]
    real = best.isfinite()
    pairs = torch.stack([place // width, place % width], -1)
    pairs = torch.where(real[..., None], pairs, pairs[..., :1])  # one and the same region twice says nothing
    return pairs, torch.where(real, best - best[..., :1], -torch.inf).exp()
