"""VSPNet's grounder: an image graph made by message passing over role edges, aligned with the text graph in turns.

Zareian et al., "Weakly Supervised Visual Semantic Parsing", CVPR 2020. What differs from the released system: its
closed vocabularies are the batch's entities and predicates (`batch_vocabulary`), embedded by Eq. 1; region states start
from the features alone, without boxes; the confidence of a node, which only ranks the finished scene graph, is left
out; layers that send, pool and receive messages are one linear layer each; all losses weigh 1. An image has a text
graph a caption (`text_graphs`), where the released data has one: each is aligned for itself.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, leaky_relu, softplus

from groundgraph.grounding.batches import Step
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.contrast import ContrastGuide, log_attention
from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.inputs import Inputs
from groundgraph.grounding.layers import MASKED_LOGIT, batch_vocabulary, everywhere, initialise, mean_where, mlp
from groundgraph.grounding.losses import entity_contrast
from groundgraph.grounding.matching import match_first, one_to_one, text_graphs

GUIDE_WEIGHT = 2.0  # of the guide's log attention against a node's log probability


class Costs(NamedTuple):
    """How badly each node of an image graph stands for each node of its text graph.

    Attributes:
        entity: [B, E, V] cross-entropies.
        predicate: [B, T, P] cross-entropies.
        role: [B, 2, P, V], -log of the role edges' weights.
    """

    entity: Tensor
    predicate: Tensor
    role: Tensor


class TextAndRegions(Protocol):
    """Text graphs and how many regions their images have, as `PaddedSet` has them."""

    @property
    def entities(self) -> Tensor:
        """[B, E] bool."""

    @property
    def regions(self) -> Tensor:
        """[B, V] bool."""

    @property
    def triplets(self) -> Tensor:
        """[B, T, 2] int64."""

    @property
    def triplet_mask(self) -> Tensor:
        """[B, T] bool."""


class RolePassing(nn.Module):
    """Message passing between entity nodes (the regions) and predicate nodes over soft subject and object edges.

    Each round, a predicate node p and an entity node v are joined in role r with weight softmax over (subject, object,
    none) x softmax over (the regions, none) of the keys' product, the logit of "none" being 0. Messages are sent,
    pooled along the edges of each role, added up and received through small layers, and a GRU takes them in; entities
    change from the second round on. No gradient goes through the edges that carry messages (as released): they learn
    from the alignment alone.
    """

    def __init__(self, d: int, predicates: int, rounds: int) -> None:
        super().__init__()
        self.rounds, self.d = rounds, d
        self.start = nn.Parameter(torch.rand(predicates, d))
        self.keys = nn.ModuleList(nn.Linear(d, 2 * d) for _ in range(2))  # of entity nodes, of predicate nodes
        self.send, self.receive = (nn.ModuleList(nn.Linear(d, d) for _ in range(2)) for _ in range(2))
        self.pool = nn.ModuleList(nn.Linear(2 * d, d) for _ in range(2))  # both roles' layers side by side, summed
        self.update = nn.ModuleList(nn.GRUCell(d, d) for _ in range(2))

    def edges(self, entities: Tensor, predicates: Tensor, regions: Tensor) -> Tensor:
        """Log weights of the role edges [B, 2, P, V], of entities [B, V, d] and predicates [B, P, d].

        Padded regions get about -1e4.
        """
        both = (entities, predicates)
        keys = [torch.stack(k(x).chunk(2, -1), 1) for k, x in zip(self.keys, both, strict=True)]
        logits = (keys[1] @ keys[0].transpose(2, 3)).float() * self.d**-0.5
        logits = logits.masked_fill(~regions[:, None, None], MASKED_LOGIT)
        over_roles = torch.cat([logits, torch.zeros_like(logits[:, :1])], 1).log_softmax(1)[:, :2]
        over_regions = torch.cat([logits, torch.zeros_like(logits[..., :1])], 3).log_softmax(3)[..., :-1]
        return over_roles + over_regions

    def forward(self, entities: Tensor, regions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pass messages.

        Args:
            entities: [B, V, d], states of the regions.
            regions: [B, V] bool.

        Returns:
            States of the regions [B, V, d] and of the predicate nodes [B, P, d], and the last log edge weights
            [B, 2, P, V].
        """
        b, v, d = entities.shape
        predicates = self.start.expand(b, -1, -1)
        for turn in range(self.rounds):
            edges = self.edges(entities, predicates, regions)
            weights = edges.detach().exp()
            sent = [leaky_relu(send(x)) for send, x in zip(self.send, (entities, predicates), strict=True)]
            pooled = (
                (weights @ sent[0].unsqueeze(1)).transpose(1, 2).flatten(2),  # [B, P, 2 d]
                (weights.transpose(2, 3) @ sent[1].unsqueeze(1)).transpose(1, 2).flatten(2),  # [B, V, 2 d]
            )
            to_predicates, to_entities = (
                leaky_relu(receive(leaky_relu(pool(x))))
                for receive, pool, x in zip(self.receive, self.pool, pooled, strict=True)
            )
            predicates = self.update[1](to_predicates.flatten(0, 1), predicates.flatten(0, 1)).view_as(predicates)
            if turn:
                entities = self.update[0](to_entities.flatten(0, 1), entities.flatten(0, 1)).view(b, v, d)
        return entities, predicates, edges


class Vspnet(nn.Module):
    """A graph is made of the image alone; the text graph is aligned with it, and each learns to fit the other.

    Region states and predicate nodes go through `RolePassing`, and a linear head gives each an embedding, whose logits
    over the vocabulary (`batch_vocabulary`) say what it stands for.
    """

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GroundingConfig()
        d, own = self.config.dimension, self.config.vspnet
        self.inputs = Inputs(text_size, visual_size, self.config.standardise)
        self.text = mlp(text_size, d)
        self.visual = mlp(visual_size, own.states)
        self.passing = RolePassing(own.states, own.predicates, own.rounds)
        self.heads = nn.ModuleList(nn.Linear(own.states, d) for _ in range(2))  # of entity nodes, of predicate nodes
        self.bias = nn.ModuleList(nn.Linear(d, 1) for _ in range(2))  # of a class, from its embedding
        initialise(self)
        self.guide = ContrastGuide(text_size, visual_size, d) if self.config.contrast_weight and own.guided else None

    def look(self, batch: PaddedSet) -> tuple[Tensor, Tensor]:
        """Entities' embeddings and regions' features as they are read, after dropout."""
        share, inputs = self.config.dropout, self.inputs
        pairs = (inputs.text, batch.embeddings), (inputs.regions, batch.features)
        embeddings, features = (dropout(read(values), share, self.training) for read, values in pairs)
        return embeddings, features

    def read(self, batch: PaddedSet) -> tuple[list[Tensor], list[Tensor], list[Tensor], Tensor]:
        """The nodes of both graphs in one space.

        Returns:
            Embeddings of the image's nodes, [B, V, d] and [B, P, d]; of the text's, [B, E, d] and [B, T, d]; the text's
            bias, [B, E] and [B, T]; log weights of the role edges, [B, 2, P, V].
        """
        share = self.config.dropout
        states = leaky_relu(self.visual(dropout(self.inputs.regions(batch.features), share, self.training)))
        *states, edges = self.passing(states, batch.regions)
        nodes = [head(dropout(x, share, self.training)) for head, x in zip(self.heads, states, strict=True)]
        embedded = (self.inputs.text(x) for x in (batch.embeddings, batch.predicates))
        words = [self.text(dropout(x, share, self.training)) for x in embedded]
        return nodes, words, [bias(x).squeeze(-1) for bias, x in zip(self.bias, words, strict=True)], edges

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Mean costs of the aligned nodes and edges, and where configured (ours) the contrast of each entity.

        In the first epochs (`vspnet.guided`) the contrast teaches the guide instead of the nodes, and entities are
        aligned by it too: with some seeds nodes alone exchange persons and their clothes, and stay so.

        Args:
            step: The batch.
            generator: Nothing is drawn by it.

        Returns:
            {"entity", "predicate", "role", "entity_contrast"}: scalars.
        """
        batch, share = step.images, step.images.share
        *embedded, edges = self.read(batch)
        costs = []
        every = torch.ones(embedded[0][1].shape[:2], dtype=torch.bool, device=edges.device)
        kinds = zip(*embedded, (batch.regions, every), (batch.entities, batch.triplet_mask), strict=True)
        for nodes, words, bias, node_mask, word_mask in kinds:
            words, bias, word_mask = (share.gather(values) for values in (words, bias, word_mask))
            own, rest = batch_vocabulary(nodes, node_mask, words, bias, word_mask, share.start)
            costs.append(softplus(rest.unsqueeze(-1) - own).transpose(1, 2))
        whole = Costs(costs[0], costs[1], -edges)
        guided, words, regions = whole, embedded[1][0], embedded[0][0]
        first_epochs = self.config.vspnet.guided * self.config.epochs
        if self.guide is not None and step.epoch is not None and step.epoch < first_epochs:
            words, regions = self.guide(*self.look(batch))
            attention = log_attention(words, regions, batch.regions)
            guided = whole._replace(entity=whole.entity - GUIDE_WEIGHT * attention)
        entity, predicate, role = aligned(whole, batch, *align(guided, batch, self.config.vspnet.alignments))
        terms = {
            "entity": mean_where(entity, batch.entities, share),
            "predicate": mean_where(predicate, batch.triplet_mask, share),
            "role": mean_where(role, batch.triplet_mask, share),
        }
        if self.config.contrast_weight:
            real = share.gather(batch.entities)
            logits = everywhere(share.gather(words)[real], regions)
            contrast = entity_contrast(logits, real.nonzero()[:, 0], batch.regions, share)
            terms["entity_contrast"] = self.config.contrast_weight * contrast
        return terms

    def score(self, batch: PaddedSet) -> Tensor:
        """Minus the cost of each region given how the predicates are aligned [B, E, V], every entity's match first.

        Here no other image is at hand to be set against: a node's cost is minus its logit.
        """
        *embedded, edges = self.read(batch)
        entity, predicate = (
            -(words @ nodes.transpose(1, 2) * nodes.shape[-1] ** -0.5 + bias.unsqueeze(-1))
            for nodes, words, bias in zip(*embedded, strict=True)
        )
        costs = Costs(entity, predicate, -edges)
        regions, predicates = align(costs, batch, self.config.vspnet.alignments)
        graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
        return match_first(-costs.entity - entity_roles(costs, batch, predicates, graphs), regions, batch.regions)


@torch.no_grad()
def align(costs: Costs, batch: TextAndRegions, turns: int, owners: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Match both kinds of nodes, one-to-one within a text graph.

    Entities are matched given the predicates' nodes, then predicates given the entities' regions, `turns` times; the
    first match of all looks at its own kind alone. Both kinds begin once, and an image keeps the cheaper outcome.

    Args:
        costs: Of all nodes.
        batch: The text graphs.
        turns: How often.
        owners: [B, T] int64, triplets of one owner have a predicate node each; None: those of a text graph have.

    Returns:
        Regions [B, E] of the entities and predicate nodes [B, T] of the triplets.
    """
    graphs = text_graphs(batch.entities, batch.triplets, batch.triplet_mask)
    owners = graphs.gather(1, batch.triplets[..., 0]) if owners is None else owners
    every = torch.ones_like(costs.role[:, 0, :, 0], dtype=torch.bool)

    def entities(predicates: Tensor | None) -> Tensor:
        roles = 0.0 if predicates is None else entity_roles(costs, batch, predicates, graphs)
        return one_to_one(-costs.entity - roles, graphs, batch.entities, batch.regions)

    def predicates(regions: Tensor | None) -> Tensor:
        roles = 0.0 if regions is None else predicate_roles(costs, batch, regions)
        return one_to_one(-costs.predicate - roles, owners, batch.triplet_mask, every)

    outcomes = []
    for first in (None, predicates(None)):
        regions = entities(first)
        nodes = predicates(regions)
        for _ in range(turns - 1):
            regions = entities(nodes)
            nodes = predicates(regions)
        entity, predicate, role = aligned(costs, batch, regions, nodes)
        total = (entity * batch.entities).sum(1) / batch.entities.sum(1).clamp(min=1)
        total += ((predicate + role) * batch.triplet_mask).sum(1) / batch.triplet_mask.sum(1).clamp(min=1)
        outcomes.append((total, regions, nodes))
    (total, regions, nodes), (other_total, other_regions, other_nodes) = outcomes
    cheaper = (other_total < total).unsqueeze(1)
    return torch.where(cheaper, other_regions, regions), torch.where(cheaper, other_nodes, nodes)


def aligned(costs: Costs, batch: TextAndRegions, regions: Tensor, predicates: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The costs of an alignment: of each entity [B, E], of each triplet's predicate and (mean of two) roles [B, T]."""
    entity = costs.entity.gather(2, regions.unsqueeze(-1)).squeeze(-1)
    roles = predicate_roles(costs, batch, regions)
    at = predicates.unsqueeze(-1)
    return entity, costs.predicate.gather(2, at).squeeze(-1), roles.gather(2, at).squeeze(-1)


def predicate_roles(costs: Costs, batch: TextAndRegions, regions: Tensor) -> Tensor:
    """What each predicate node's edges to a triplet's two regions [B, E] cost, their mean: [B, T, P]."""
    ends = regions.gather(1, batch.triplets.flatten(1)).view_as(batch.triplets)
    by_region = costs.role.transpose(2, 3)  # [B, 2, V, P]
    at = ends.transpose(1, 2).unsqueeze(-1).expand(-1, -1, -1, by_region.shape[-1])
    return by_region.gather(2, at).mean(1)


def entity_roles(costs: Costs, batch: TextAndRegions, predicates: Tensor, graphs: Tensor) -> Tensor:
    """What each region's edges to the nodes of an entity's triplets cost: [B, E, V].

    The sum over the roles the entity plays, divided by all the roles of its text graph (released), so that a role
    weighs the same against an entity's own cost from both sides.
    """
    at = predicates[:, None, :, None].expand(-1, 2, -1, costs.role.shape[-1])
    paid = costs.role.gather(2, at) * batch.triplet_mask[:, None, :, None]  # [B, 2, T, V]
    player = batch.triplets.transpose(1, 2).unsqueeze(-1).expand_as(paid)
    total = torch.zeros_like(costs.entity).scatter_add(1, player.flatten(1, 2), paid.flatten(1, 2))
    owners = graphs.gather(1, batch.triplets[..., 0]).masked_fill(~batch.triplet_mask, -1)
    return total / (2 * (graphs.unsqueeze(2) == owners.unsqueeze(1)).sum(2).clamp(min=1).unsqueeze(-1))
