"""One-to-one matching of a text graph's entities to regions, for many graphs and images at once."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from groundgraph.grounding.looped_matching import looped_matching

LONGEST_EXPORTED = 127  # path from one of a text graph's entities to another, in a graph that is exported


def text_graphs(entities: Tensor, triplets: Tensor, triplet_mask: Tensor) -> Tensor:
    """Which of an image's text graphs an entity belongs to.

    A graph is what triplets join: the captions of one image, which often speak of the same things, are thereby kept
    apart, and so are an image's unlocalized triplets. An entity in no triplet is a graph of its own.

    Args:
        entities: [B, E] bool.
        triplets: [B, T, 2] int64, subject and object.
        triplet_mask: [B, T] bool.

    Returns:
        [B, E] int64, the place of the graph's first entity.
    """
    count = entities.shape[1]
    places = torch.arange(count, device=entities.device)
    subject, object_ = ((end[..., None] == places).float() for end in triplets.unbind(-1))  # [B, T, E]
    joined = (subject * triplet_mask[..., None]).transpose(1, 2) @ object_
    reach = (joined + joined.transpose(1, 2) + (places[:, None] == places).float()).clamp(max=1)
    # A graph in ONNX is of any number of entities.
    longest = LONGEST_EXPORTED if torch.onnx.is_in_onnx_export() else max(1, count - 1)
    for _ in range(longest.bit_length()):  # squaring doubles the length of the paths that count
        reach = (reach @ reach).clamp(max=1)
    return reach.argmax(-1)  # argmax gives the first of equals


def one_to_one(scores: Tensor, graphs: Tensor, entities: Tensor, regions: Tensor) -> Tensor:
    """The assignment of entities to regions with the largest sum, no region twice within a graph.

    Exact: where the best regions of a graph's entities differ they are the optimum, found for all K at once; each graph
    where two fall together is solved by SciPy's Hungarian method, which takes microseconds at these sizes, where an
    auction on tensors needs many rounds of small operations and is exact only up to its step. A graph with more
    entities than there are regions leaves the rest their best one.

    Args:
        scores: [K, E, V].
        graphs: [K, E] int64, see `text_graphs`.
        entities: [K, E] bool.
        regions: [K, V] bool.

    Returns:
        [K, E] int64, places of regions; of padded entities, anything.
    """
    if torch.onnx.is_in_onnx_export():
        return looped_matching(scores, graphs, entities, regions)
    values = scores.detach().float().masked_fill(~regions.unsqueeze(1), -torch.inf)
    best = values.argmax(-1)
    rivals = (graphs.unsqueeze(2) == graphs.unsqueeze(1)) & (best.unsqueeze(2) == best.unsqueeze(1))
    rivals &= entities.unsqueeze(2) & entities.unsqueeze(1)
    torn = rivals.triu(1).any(2).nonzero()
    if not len(torn):
        return best
    from scipy.optimize import linear_sum_assignment  # of a second; a model that is loaded to predict has no need of it

    torn[:, 1] = graphs[torn[:, 0], torn[:, 1]]
    table, owner, real, free = (x.cpu().numpy() for x in (values, graphs, entities, regions))
    table = np.nan_to_num(table)  # a loss gone astray is training's to report
    matches = best.cpu().numpy().copy()
    for problem, graph in np.unique(torn.cpu().numpy(), axis=0):
        members = np.flatnonzero(real[problem] & (owner[problem] == graph))
        places = np.flatnonzero(free[problem])
        rows, columns = linear_sum_assignment(table[problem][members[:, None], places], maximize=True)
        matches[problem, members[rows]] = places[columns]
    return torch.from_numpy(matches).to(best)


def match_first(scores: Tensor, matched: Tensor, regions: Tensor) -> Tensor:
    """Scores in which each entity's match ranks first: it and the entity's best region exchange their scores.

    Args:
        scores: [B, E, V].
        matched: [B, E] int64, places of regions.
        regions: [B, V] bool.

    Returns:
        [B, E, V]; nothing changes where the match is the best region.
    """
    best = scores.masked_fill(~regions.unsqueeze(1), -torch.inf).argmax(-1, keepdim=True)
    matched = matched.unsqueeze(-1)
    exchanged = scores.scatter(-1, best, scores.gather(-1, matched))
    return exchanged.scatter(-1, matched, scores.gather(-1, best))
