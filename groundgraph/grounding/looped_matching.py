"""The Hungarian method as loops of operations on tensors, which ONNX has; SciPy's is no part of a graph."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any

import torch
from torch import Tensor

NOTHING = 1e6  # cost of leaving an entity without a region: above any that a score makes
NEVER = 1e12  # cost of a region of another graph's


def looped_matching(scores: Tensor, graphs: Tensor, entities: Tensor, regions: Tensor) -> Tensor:
    """`matching.one_to_one` of a single problem, K = 1: arguments and outcome as there.

    All graphs are one problem: its columns are the regions once for each graph, and for each entity one that stands for
    none, which it takes where its graph has more entities than there are regions.
    """
    scores, graphs, regions, real = scores[0].detach().double(), graphs[0], regions[0], entities[0]
    places = torch.ones_like(graphs).cumsum(0) - 1
    open_ = real[:, None, None] & (graphs[:, None] == places)[..., None] & regions  # [E, graphs, V]
    costs = torch.where(open_, -scores[:, None], torch.full_like(scores[:, None], NEVER)).flatten(1)
    none = torch.where(places[:, None] == places, torch.full_like(scores[:, :1], NOTHING), NEVER)
    column = _scripted()(torch.cat([costs, none], 1))
    best = scores.masked_fill(~regions, -NEVER).argmax(-1)
    matched = column < costs.shape[1]
    return torch.where(matched, column % scores.shape[1], best)[None]


def assignment(costs: Tensor) -> Tensor:
    """The assignment of rows to columns with the least sum: rows enter one by one, each by a shortest augmenting path.

    Kuhn 1955 in the form of Jonker and Volgenant 1987: each row and column has a price, no cost is less than its two
    prices together, and those of the assignment equal them.

    Args:
        costs: [N, M], N <= M.

    Returns:
        [N] int64, each row's column.
    """
    rows = torch.ones_like(costs[:, 0], dtype=torch.int64).cumsum(0) - 1
    columns = torch.ones_like(costs[0], dtype=torch.int64).cumsum(0) - 1
    row_prices, column_prices = torch.zeros_like(costs[:, 0]), torch.zeros_like(costs[0])
    owners = torch.full_like(columns, -1)  # each column's row; -1: none
    for new in range(costs.size(0)):
        # Columns are reached in the order of their distance, until one is free.
        distances = costs[new] - row_prices[new] - column_prices
        parents, done = torch.full_like(columns, -1), columns < 0
        here = distances.argmin()
        least = distances[here]
        while bool(owners[here] >= 0):
            done = done | (columns == here)
            row = owners[here]
            through = least + costs[row] - row_prices[row] - column_prices
            shorter = (through < distances) & ~done
            distances = torch.where(shorter, through, distances)
            parents = torch.where(shorter, here, parents)
            here = torch.where(done, torch.full_like(distances, 1e300), distances).argmin()
            least = distances[here]
        # Prices follow, so that what was reached stays as cheap as it can be.
        saved = torch.where(done, least - distances, torch.zeros_like(distances))
        column_prices = column_prices - saved
        owned = (owners.unsqueeze(0) == rows.unsqueeze(1)) & done.unsqueeze(0)
        row_prices = row_prices + torch.where(owned, saved.unsqueeze(0), torch.zeros_like(costs)).sum(1)
        row_prices = torch.where(rows == new, row_prices + least, row_prices)
        while bool(parents[here] >= 0):
            before = parents[here]
            owners = torch.where(columns == here, owners[before], owners)
            here = before
        owners = torch.where(columns == here, torch.full_like(owners, new), owners)
    return (owners.unsqueeze(0) == rows.unsqueeze(1)).int().argmax(1)


@cache
def _scripted() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is deprecated, and what replaces it traces loops of fixed length alone
        return torch.jit.script(assignment)
