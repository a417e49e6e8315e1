"""VSPNet: an image's scene graph is made by message passing over role edges, and aligned with its text graph.

Zareian et al., "Weakly Supervised Visual Semantic Parsing", CVPR 2020, and its released code. Held: entity nodes begin
as the regions' features and boxes, predicate nodes as learnt vectors; role edges, messages and updates (`RolePassing`);
both kinds of nodes are classified by embeddings that begin as a text model's and are learnt on; each node's confidence,
whether it is aligned; the alignment in turns from both sides (`align`), and as losses the mean cross-entropies of
aligned nodes, the log weights of aligned roles, and the confidences'. Read off as published: the region of a role's
largest weight, classes of the largest probability, ranked by the product of the three.

Not held: embeddings are the recipe's text model's instead of GloVe's; heads are one linear layer each; an image has a
graph a caption, whose entities are aligned each for itself, where the released data has one graph; all losses weigh 1
(released: 10 times the roles', which are divided by the nodes, and 0 times the confidences'); a predicate's confidence
multiplies its class's probability; predicate nodes begin normally instead of uniformly distributed, so that they differ
more; boxes of one thing are suppressed before roles are read. Ours: inputs are standardised; an entity's logits are
those before messages plus those after them; `contrast_weight`: unless it is 0, a head of its own learns what regions
are called (`ContrastHead`), and entities are aligned by its probabilities, to the power of `GUIDE_WEIGHT`, times the
entity nodes', both among the image's entities (`own_log_p`), while the losses are of all categories. Without, some
seeds exchange things that come together.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, dropout, leaky_relu

from groundgraph.data.types import Graph
from groundgraph.grounding.layers import initialise, mean_where
from groundgraph.grounding.vspnet import Costs, RolePassing, align, aligned
from groundgraph.sgg.batch import Batch, Sizes
from groundgraph.sgg.inference import GraphTask, InferenceConfig
from groundgraph.sgg.pairs import box_geometry
from groundgraph.systems.contrast import ContrastHead, category_contrast, evidence, own_log_p
from groundgraph.systems.graphs import allowed_pairs, graph_of, objects_of
from groundgraph.systems.model import SystemConfig, SystemModel
from groundgraph.systems.text_graphs import SystemBatch

GUIDE_WEIGHT = 4.0  # of the head in the alignment: with 1, nodes and roles kept a wrong exchange together


class VspnetSystemConfig(SystemConfig):
    """VSPNet's sizes, which fit MiniGenome; published where another is named."""

    dropout: float = Field(0.3, ge=0, lt=1, description="share of entries dropped (published 0)")
    states: int = Field(128, ge=1, description="width of a node's state (published 1024)")
    predicates: int = Field(32, ge=1, description="predicate nodes an image: its graph has no more relations (100)")
    rounds: int = Field(3, ge=1, description="rounds of messages")
    alignments: int = Field(3, ge=1, description="turns of the alignment")


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
        graph, share = self(batch.images), batch.share
        whole = costs(graph, batch)
        guided, terms = whole, {}
        if self.config.contrast_weight:
            features = dropout(self.inputs(batch.images.features), self.config.dropout, self.training)
            logits = self.categories(self.contrast(features))
            terms["contrast"] = self.config.contrast_weight * category_contrast(logits, batch)
            guide = own_log_p(evidence(logits, batch), batch, nothing=0.0)
            guided = whole._replace(entity=-GUIDE_WEIGHT * guide - own_log_p(graph.entities, batch))
        regions, nodes = align(guided, batch, self.config.alignments, torch.zeros_like(batch.predicates))
        entity, predicate, role = aligned(whole, batch, regions, nodes)
        terms |= {
            "entity": mean_where(entity, batch.entities, share),
            "predicate": mean_where(predicate * batch.predicate_weights[batch.predicates], batch.triplet_mask, share),
            "role": mean_where(role, batch.triplet_mask, share),
        }
        chosen = (regions, batch.entities), (nodes, batch.triplet_mask)
        real = batch.regions, torch.ones_like(graph.confidences[1], dtype=torch.bool)
        for name, logits, (places, mask), nodes_mask in zip(
            ("entity", "predicate"), graph.confidences, chosen, real, strict=True
        ):
            target = torch.zeros_like(logits).scatter_add(1, places, mask.to(logits)).clamp(max=1)
            losses = binary_cross_entropy_with_logits(logits, target, reduction="none")
            terms[f"{name}_confidence"] = mean_where(losses, nodes_mask, share)
        return terms

    @torch.no_grad()
    def generate(self, batch: Batch, config: InferenceConfig, task: GraphTask) -> list[Graph]:
        """See `GraphGenerator`: a triplet a predicate node; of those of one pair of regions the best stays."""
        graph = self(batch)
        labels, scores, stays = objects_of(batch, graph.entities.softmax(-1), config.nms_threshold, task)
        weights = graph.roles.masked_fill(~stays[:, None, None], -torch.inf)
        subject = weights[:, 0].argmax(-1)
        object_ = weights[:, 1].scatter(2, subject[..., None], -torch.inf).argmax(-1)
        image = torch.arange(len(subject), device=subject.device)[:, None]
        allowed = allowed_pairs(batch, stays, config, task)[image, subject, object_]
        object_ = torch.where(allowed, object_, subject)  # a row that says nothing
        sure = graph.confidences[1].sigmoid()[..., None]
        predicates = torch.cat([1 - sure, sure * graph.predicates.softmax(-1)], -1)
        parts = batch.boxes, labels, scores, stays, torch.stack([subject, object_], -1), predicates
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
