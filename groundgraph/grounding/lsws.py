"""LSWS's grounder: entities in the context of their caption's graph attend to regions, detectors refine the result.

Ye and Kovashka, "Linguistic Structures as Weak Supervision for Visual Scene Graph Generation", CVPR 2021, in its
caption setting: the parts that decide which region an entity means. Left out, since they come after it: the relation
detector and the recurrent predictor that completes triplets. What differs from the released system, for want of its
inputs:

- its closed vocabulary of words is the batch's entities (`batch_vocabulary`), embedded by Eq. 1 instead of GloVe;
- it hands a label on to the regions that overlap the chosen one (IoU > .5), and reads attributes as further labels;
  here there are no boxes, so a label stays on its region, and attributes count only through the text encoder.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, softplus

from groundgraph.grounding.batches import Step
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import PaddedSet
from groundgraph.grounding.inputs import Inputs
from groundgraph.grounding.layers import MASKED_LOGIT, batch_vocabulary, everywhere, initialise, mean_where, mlp
from groundgraph.grounding.losses import entity_contrast
from groundgraph.training.processes import WHOLE, Share


class GraphContext(nn.Module):
    """One layer of attentive message passing over a text graph, added to its nodes.

    Every triplet is an edge both ways, every node has a loop; an edge (its predicate, receiver, sender) gives a message
    and its share, a softmax over what a receiver gets. The messages' weights start at zero, so that training begins
    with entities as they are (ours: with few captions a random context drowns the noun).
    """

    def __init__(self, d: int, share: float) -> None:
        super().__init__()
        self.share = share
        self.message, self.weigh = nn.Linear(3 * d, d), nn.Linear(3 * d, 1)
        initialise(self)
        nn.init.zeros_(self.message.weight)

    def forward(self, nodes: Tensor, predicates: Tensor, triplets: Tensor, mask: Tensor) -> Tensor:
        """The nodes in context.

        Args:
            nodes: [B, E, d].
            predicates: [B, T, d].
            triplets: [B, T, 2] int64, subject and object.
            mask: [B, T] bool.

        Returns:
            [B, E, d].
        """
        b, count, d = nodes.shape
        loops = torch.arange(count, device=nodes.device).expand(b, count)
        senders = torch.cat([triplets[..., 0], triplets[..., 1], loops], 1)
        receivers = torch.cat([triplets[..., 1], triplets[..., 0], loops], 1)
        real = torch.cat([mask, mask, torch.ones_like(loops, dtype=torch.bool)], 1)

        def of_edges(layer: nn.Linear) -> Tensor:
            """The layer on (predicate, receiver, sender) of every edge; its three parts first, each node once."""
            predicate, receiver, sender = (
                x @ w.T for x, w in zip((predicates, nodes, nodes), layer.weight.split(d, 1), strict=True)
            )
            width = receiver.shape[-1]
            receiver_end = receiver.gather(1, receivers.unsqueeze(-1).expand(-1, -1, width))
            sender_end = sender.gather(1, senders.unsqueeze(-1).expand(-1, -1, width))
            labels = torch.cat([predicate, predicate, torch.zeros_like(receiver)], 1)
            return labels + receiver_end + sender_end + layer.bias

        reaches = real.unsqueeze(1) & (receivers.unsqueeze(1) == loops.unsqueeze(2))  # [B, E, edges]
        shares = of_edges(self.weigh).transpose(1, 2).masked_fill(~reaches, MASKED_LOGIT).softmax(-1)
        return nodes + dropout(shares, self.share, self.training) @ of_edges(self.message)


class Lsws(nn.Module):
    """Attention softmax_j(q_i . x_j) of contextual entities over regions, and a chain of detectors taught by it.

    The attended features have to tell which entity asked (multiple instances: only the image is known to hold it). A
    region's share of attention times its probability of being the entity picks a region an entity; the first detector
    learns these labels, region by region, against a background; each further one learns from the best regions of the
    one before. The last one's probabilities are the grounding.
    """

    def __init__(self, text_size: int, visual_size: int, config: GroundingConfig | None = None) -> None:
        super().__init__()
        self.config = config or GroundingConfig()
        d, own = self.config.dimension, self.config.lsws
        self.inputs = Inputs(text_size, visual_size, self.config.standardise)
        self.text = mlp(text_size, d)
        self.attend, self.recognise = nn.Linear(visual_size, d), nn.Linear(visual_size, d)
        self.detect = nn.Linear(visual_size, own.refinements * d)
        self.bias = nn.Linear(d, 1)  # of a class, from its embedding
        self.background = nn.Parameter(torch.zeros(own.refinements))
        initialise(self)
        self.context = GraphContext(d, own.context_dropout)

    def read(self, batch: PaddedSet) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Classes [B, E, d] and their bias [B, E], contextual queries [B, E, d], features [B, V, dv] after dropout."""
        share = self.config.dropout
        classes = self.text(dropout(self.inputs.text(batch.embeddings), share, self.training))
        predicates = self.text(self.inputs.text(batch.predicates))
        queries = self.context(classes, predicates, batch.triplets, batch.triplet_mask)
        features = dropout(self.inputs.regions(batch.features), share, self.training)
        return classes, self.bias(classes).squeeze(-1), queries, features

    def attention(self, queries: Tensor, features: Tensor, regions: Tensor) -> Tensor:
        """Log of the attention [B, E, V] of queries [B, E, d] over regions [B, V]; padded regions get about -1e4."""
        logits = (queries @ self.attend(features).transpose(1, 2)).float() * queries.shape[-1] ** -0.5
        return logits.masked_fill(~regions.unsqueeze(1), MASKED_LOGIT).log_softmax(-1)

    def losses(self, step: Step, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """The cross-entropies of the attended features, and of all detectors, weighted.

        Where configured (ours) also the contrast of each entity, by the attention's logits.

        Args:
            step: The batch.
            generator: Nothing is drawn by it.

        Returns:
            {"grounding", "refinement", "entity_contrast"}: scalars.
        """
        batch, share, own = step.images, step.images.share, self.config.lsws
        classes, bias, queries, features = self.read(batch)
        classes, bias, class_mask = (share.gather(values) for values in (classes, bias, batch.entities))
        vocabulary = partial(batch_vocabulary, classes=classes, bias=bias, class_mask=class_mask, start=share.start)
        attention, recognised = self.attention(queries, features, batch.regions), self.recognise(features)
        logits, rest = vocabulary(attention.exp() @ recognised, batch.entities)
        grounding = mean_where(softplus(rest - logits.diagonal(dim1=1, dim2=2)), batch.entities, share)
        with torch.no_grad():
            logits, rest = vocabulary(recognised, batch.regions)
            fit = attention - softplus(rest.unsqueeze(-1) - logits).transpose(1, 2)
        total = torch.zeros_like(grounding)
        heads = self.detect(features).unflatten(-1, (own.refinements, -1)).unbind(2)
        for head, background in zip(heads, self.background, strict=True):
            logits, rest = vocabulary(head, batch.regions)
            loss, fit = refinement(fit, logits, rest, background, batch.entities, batch.regions, share)
            total = total + own.refinement_weight * loss
        terms = {"grounding": grounding, "refinement": total}
        if self.config.contrast_weight:
            # All words against one's own images, whichever process has them.
            words, owner = share.gather(queries)[class_mask], class_mask.nonzero()[:, 0]
            logits = everywhere(words, self.attend(features))
            contrast = entity_contrast(logits, owner, batch.regions, share)
            terms["entity_contrast"] = self.config.contrast_weight * contrast
        return terms

    def score(self, batch: PaddedSet) -> Tensor:
        """Log p(entity | region) of the last detector [B, E, V], among the image's own entities and the background."""
        classes, bias, _, features = self.read(batch)
        head = self.detect(features).unflatten(-1, (self.config.lsws.refinements, -1))[:, :, -1]
        logits = classes @ head.transpose(1, 2) * classes.shape[-1] ** -0.5 + bias.unsqueeze(-1)
        named = logits.masked_fill(~batch.entities.unsqueeze(-1), MASKED_LOGIT).logsumexp(1, keepdim=True)
        return logits - torch.logaddexp(named, self.background[-1])


def refinement(
    fit: Tensor,
    logits: Tensor,
    rest: Tensor,
    background: Tensor,
    entities: Tensor,
    regions: Tensor,
    share: Share = WHOLE,
) -> tuple[Tensor, Tensor]:
    """One detector's loss on the labels that `fit` gives, and its own fit for the next.

    A region's loss is the mean cross-entropy of its labels, or the background's where it has none, over all real
    regions.

    Args:
        fit: [B, E, V]; each entity labels its best region.
        logits: [B, V, E], own of `batch_vocabulary`.
        rest: [B, V] of `batch_vocabulary`.
        background: A scalar logit.
        entities: [B, E] bool.
        regions: [B, V] bool.
        share: Of the images, where several processes have them.

    Returns:
        The loss, a scalar, and log p(entity | region) [B, E, V] without a gradient.
    """
    chosen = fit.detach().masked_fill(~regions.unsqueeze(1), -torch.inf).argmax(-1, keepdim=True)
    label = torch.zeros_like(fit).scatter(-1, chosen, 1.0) * entities.unsqueeze(-1)
    log_p = -softplus(torch.logaddexp(rest, background).unsqueeze(-1) - logits).transpose(1, 2)
    named = logits.masked_fill(~entities.unsqueeze(1), MASKED_LOGIT).logsumexp(-1)
    nothing = -softplus(torch.logaddexp(rest, named) - background)
    count = label.sum(1)
    likelihood = torch.where(count > 0, (log_p * label).sum(1) / count.clamp(min=1), nothing)
    return -mean_where(likelihood, regions, share), log_p.detach()
