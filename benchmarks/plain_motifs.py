"""A plain port of Motifs as released, for `motifs.py` to measure beside: formula after formula, none put together.

After the released code of Scene-Graph-Benchmark (Tang et al. 2020) as SGNLS and WS-SGG use it, with an offline
detector: its layers, names of weights, order and rules; written anew.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softmax
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Batch, Outputs, Sizes, collate, ordered_pairs

HIDDEN, EMBEDDED, PAIR = 512, 200, 1536


class PlainDecoder(nn.Module):
    """A highway LSTM, step after step, all of whose inputs are multiplied at each step."""

    def __init__(self, inputs: int, sizes: Sizes) -> None:
        super().__init__()
        self.obj_embed = nn.Embedding(2 + sizes.categories, EMBEDDED)
        self.input_linearity = nn.Linear(inputs + EMBEDDED, 6 * HIDDEN)
        self.state_linearity = nn.Linear(HIDDEN, 5 * HIDDEN)
        self.out_obj = nn.Linear(HIDDEN, 1 + sizes.categories)

    def forward(self, packed: PackedSequence, labels: Tensor | None, dropout: float) -> tuple[Tensor, Tensor]:
        rows, counts = packed.data, packed.batch_sizes.tolist()
        state = memory = rows.new_zeros(counts[0], HIDDEN)
        before = self.obj_embed.weight[:1].expand(counts[0], -1)
        kept = (torch.rand_like(state) > dropout).float() / (1 - dropout)
        logits, chosen, end = [], [], 0
        for count in counts:
            start, end = end, end + count
            state, memory, before, kept = state[:count], memory[:count], before[:count], kept[:count]
            entered = self.input_linearity(torch.cat([rows[start:end], before], 1))
            came = self.state_linearity(state)
            gates = [
                entered[:, i * HIDDEN : (i + 1) * HIDDEN] + came[:, i * HIDDEN : (i + 1) * HIDDEN] for i in range(5)
            ]
            memory = gates[0].sigmoid() * gates[2].tanh() + gates[1].sigmoid() * memory
            state = gates[3].sigmoid() * memory.tanh()
            highway = gates[4].sigmoid()
            state = highway * state + (1 - highway) * entered[:, 5 * HIDDEN :]
            if self.training:
                state = state * kept
            logits.append(self.out_obj(state))
            best = logits[-1][:, 1:].max(1)[1] + 1
            if labels is not None:
                known = labels[start:end]
                best = torch.where(known == 0, best, known)
            chosen.append(best)
            before = self.obj_embed(best + 1)
        return torch.cat(logits), torch.cat(chosen)


class PlainContext(nn.Module):
    """Objects' and edges' contexts by packed LSTMs."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.obj_embed1 = nn.Embedding(1 + sizes.detector_categories, EMBEDDED)
        self.obj_embed2 = nn.Embedding(1 + sizes.categories, EMBEDDED)
        norm = nn.BatchNorm1d(32, momentum=0.001)
        self.pos_embed = nn.Sequential(nn.Linear(9, 32), norm, nn.Linear(32, 128), nn.ReLU(inplace=True))
        region = sizes.features + EMBEDDED + 128
        self.obj_ctx_rnn = nn.LSTM(region, HIDDEN, bidirectional=True)
        self.decoder_rnn = PlainDecoder(HIDDEN + region, sizes)
        self.edge_ctx_rnn = nn.LSTM(EMBEDDED + sizes.features + HIDDEN, HIDDEN, bidirectional=True)
        self.lin_obj_h = nn.Linear(2 * HIDDEN, HIDDEN)
        self.lin_edge_h = nn.Linear(2 * HIDDEN, HIDDEN)


class PlainMotifs(nn.Module):
    """Regions of B images -> object logits and predicate logits, as `groundgraph.sgg.motifs.Motifs` gives them."""

    dropout = 0.2

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.context_layer = PlainContext(sizes)
        self.post_emb = nn.Linear(HIDDEN, 2 * HIDDEN)
        self.post_cat = nn.Linear(2 * HIDDEN, PAIR)
        self.rel_compress = nn.Linear(PAIR, 1 + sizes.predicates)
        nn.init.normal_(self.post_emb.weight, std=10 / HIDDEN**0.5)
        for layer in (self.post_cat, self.rel_compress):
            nn.init.xavier_normal_(layer.weight)
        for layer in (self.post_emb, self.post_cat, self.rel_compress):
            nn.init.zeros_(layer.bias)

    def forward(self, batch: Batch) -> Outputs:
        context, counts = self.context_layer, batch.mask.sum(1).tolist()
        flat = torch.cat([batch.features[i, :n] for i, n in enumerate(counts)])
        shares = torch.cat([self._distribution(batch, i, n) for i, n in enumerate(counts)])
        boxes = torch.cat([box_numbers(batch.boxes[i, :n], batch.sizes[i]) for i, n in enumerate(counts)])
        regions = torch.cat([flat, shares @ context.obj_embed1.weight, context.pos_embed(boxes)], -1)

        centres = (batch.boxes[..., 0] + batch.boxes[..., 2]) / 2
        order = centres.masked_fill(~batch.mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
        firsts = np.cumsum([0, *counts[:-1]])
        places = [order[i, :n] + int(first) for i, (n, first) in enumerate(zip(counts, firsts, strict=True))]

        def packed(rows: Tensor) -> PackedSequence:
            padded = nn.utils.rnn.pad_sequence([rows[p] for p in places])
            return pack_padded_sequence(padded, torch.tensor(counts), enforce_sorted=False)

        def like(data: Tensor, other: PackedSequence) -> PackedSequence:
            return PackedSequence(data, other.batch_sizes, other.sorted_indices, other.unsorted_indices)

        def unpacked(sequence: PackedSequence) -> Tensor:
            padded = pad_packed_sequence(sequence)[0]
            rows = torch.cat([padded[:n, i] for i, n in enumerate(counts)])
            return rows[torch.cat(places).argsort()]

        entering = packed(regions)
        read = context.lin_obj_h(context.obj_ctx_rnn(entering)[0].data)
        targets = (
            None if batch.targets is None else packed(torch.cat([batch.targets[i, :n] for i, n in enumerate(counts)]))
        )
        decoded = like(torch.cat([entering.data, read], 1), entering)
        logits, chosen = context.decoder_rnn(decoded, None if targets is None else targets.data, self.dropout)
        objects, labels, read = (unpacked(like(v, entering)) for v in (logits, chosen, read))

        edges = packed(torch.cat([context.obj_embed2(labels), flat, read], -1))
        states = unpacked(like(context.lin_edge_h(context.edge_ctx_rnn(edges)[0].data), edges))
        heads, tails = self.post_emb(states).view(-1, 2, HIDDEN).unbind(1)
        joined = []
        for i, first in enumerate(firsts):
            pairs = batch.pairs[batch.pairs[:, 0] == i, 1:] + int(first)
            joined.append(torch.cat([heads[pairs[:, 0]], tails[pairs[:, 1]]], -1))
        predicates = self.rel_compress(self.post_cat(torch.cat(joined)))
        out = objects.new_zeros(*batch.mask.shape, objects.shape[1])
        out[batch.mask] = objects
        return Outputs(out, predicates)

    def _distribution(self, batch: Batch, image: int, count: int) -> Tensor:
        """The detector's distributions [count, 1 + D] of an image, 0: no category."""
        shares = batch.features.new_zeros(count, 1 + self.sizes.detector_categories)
        rows, scores = torch.arange(count), batch.scores[image, :count]
        shares[:, 0] = 1 - scores
        shares[rows, batch.labels[image, :count] + 1] = scores
        return shares


def box_numbers(boxes: Tensor, size: Tensor) -> Tensor:
    """Sides, centre, corners and area of boxes [n, 4] in fractions of the image: [n, 9]."""
    width, height = size
    sides = boxes[:, 2:] - boxes[:, :2]
    centre = boxes[:, :2] + 0.5 * sides
    area = sides[:, :1] * sides[:, 1:] / (width * height)
    return torch.cat([sides / size, centre / size, boxes / size.repeat(2), area], -1)


def suppressed_labels(boxes: Tensor, logits: Tensor, threshold: float = 0.5) -> Tensor:
    """Labels by suppression, of boxes [n, 4] that are repeated for each category, as released."""
    shares = softmax(logits, 1)
    count, categories = shares.shape
    every = boxes[:, None].expand(-1, categories, -1).contiguous()
    high = torch.min(every[:, None, :, 2:].expand(-1, count, -1, -1), every[None, :, :, 2:].expand(count, -1, -1, -1))
    low = torch.max(every[:, None, :, :2].expand(-1, count, -1, -1), every[None, :, :, :2].expand(count, -1, -1, -1))
    shared = (high - low + 1).clamp(min=0).prod(-1)
    areas = (every[..., 2:] - every[..., :2] + 1).prod(-1)
    near = (shared / (areas[None] + areas[:, None] - shared)).numpy() >= threshold
    left = shares.numpy().copy()
    left[:, 0] = 0
    labels = np.zeros(count, np.int64)
    for _ in range(count):
        box, category = np.unravel_index(left.argmax(), left.shape)
        if not labels[box]:
            labels[box] = category
        left[near[box, :, category], category] = 0
        left[box] = -1
    return torch.from_numpy(labels)


@torch.no_grad()
def plain_graph(model: PlainMotifs, regions: Regions) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One image's labels, their scores, and all pairs with their predicates' distributions, best first."""
    batch = collate([regions])
    batch = replace(batch, pairs=ordered_pairs(batch))
    outputs = model(batch)
    labels = suppressed_labels(batch.boxes[0], outputs.objects[0])
    scores = softmax(outputs.objects[0], 1)[torch.arange(len(labels)), labels]
    predicates = softmax(outputs.predicates, 1)
    pairs = batch.pairs[:, 1:]
    strength = predicates[:, 1:].max(1)[0] * scores[pairs[:, 0]] * scores[pairs[:, 1]]
    order = strength.sort(descending=True)[1]
    return labels, scores, pairs[order], predicates[order]
