"""Neural Motifs (Zellers et al. 2018) on region features: METHOD.md section 5.

Regions in sequence pass a bidirectional LSTM (object context), a decoder that labels them one after the other, and a
second bidirectional LSTM that knows the labels (edge context); a pair is the product of its subject's and its object's
state and of what the box around both shows.

Where this departs from Zellers et al. and from Scene-Graph-Benchmark: plain LSTMs for highway LSTMs, label embeddings
learnt instead of begun with GloVe, and a decoder that reads "background" of a background region (theirs reads its own
best category, and so cannot decode all places of a training sequence at once).
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from groundgraph.sgg.batch import Batch, Outputs, SggModel, Sizes
from groundgraph.sgg.decoding import decode_labels
from groundgraph.sgg.heads import new_head, new_labels, start_at_zero
from groundgraph.sgg.lstm import Lstm
from groundgraph.sgg.pairs import FrequencyBias, UnionFeature, UnionKind, box_geometry, target_or_best
from groundgraph.sgg.start import DetectorAnswer, DetectorStart


class MotifsConfig(BaseModel):
    """Sizes and parts of Motifs; the defaults fit MiniGenome."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(128, gt=0, multiple_of=2, description="width of the LSTMs' states (official 512)")
    pair: int = Field(256, gt=0, description="width of a pair's product (official 1536)")
    embedded: int = Field(64, gt=0, description="width of the embeddings of labels and of geometry")
    layers: int = Field(1, gt=0, description="layers of each context LSTM")
    dropout: float = Field(0.1, ge=0, lt=1, description="share of entries dropped")
    order: Literal["confidence", "left-right", "size", "random"] = Field(
        "confidence",
        description="of the regions in the LSTMs: by the detector's score, from left to right, the largest first, or "
        "random (drawn anew at each step of training, fixed at inference)",
    )
    decoder_features: bool = Field(True, description="the decoder sees the region beside its context, as published")
    nms_threshold: float | None = Field(
        None,
        gt=0,
        le=1,
        description="IoU of the suppression of labels at inference, before the edge context reads them: a box keeps no "
        "label of a surer box that overlaps it so far (published .3); null: each region's own best",
    )
    union: UnionKind = Field(
        "spatial",
        description="what a pair's boxes add to it: nothing, their geometry (as in the released weakly supervised "
        "runs), or the detector's feature of the box around both as well (as published; needs a detector that can "
        "pool given boxes)",
    )
    frequency_bias: bool = Field(
        False,
        description="add the log frequency of the predicates between two labels, counted on the pseudo labels, to the "
        "predicate logits (published; off in the weakly supervised runs)",
    )


class Motifs(SggModel):
    """Regions of B images -> object logits [B, V, 1 + C] and predicate logits [Q, 1 + P] of the pairs asked for."""

    name = "motifs"
    Config = MotifsConfig

    def __init__(self, sizes: Sizes, config: MotifsConfig | None = None) -> None:
        super().__init__(sizes, config or MotifsConfig())
        c = self.config
        region = c.hidden + 2 * c.embedded
        self.features = nn.Sequential(nn.LayerNorm(sizes.features), nn.Linear(sizes.features, c.hidden), nn.ReLU())
        self.detected = nn.Embedding(sizes.detector_categories + 1, c.embedded)  # the last one: no label
        self.geometry = nn.Sequential(nn.Linear(9, c.embedded), nn.ReLU())
        self.object_context = self._lstm(region)
        # The decoder's first input is a start token, numbered after the labels.
        self.previous = new_labels(c.embedded, sizes, extra=1)
        decoded = c.hidden + c.embedded + (region if c.decoder_features else 0)
        self.decoder = Lstm(decoded, c.hidden, batch_first=True)
        self.objects = new_head("categories", c.hidden, sizes)
        self.label = new_labels(c.embedded, sizes)
        self.edge_context = self._lstm(2 * c.hidden + c.embedded)
        self.subject = nn.Linear(c.hidden + c.embedded, c.pair)
        self.object = nn.Linear(c.hidden + c.embedded, c.pair)
        self.union = UnionFeature(c.union, sizes, c.embedded, c.pair) if c.union != "none" else None
        self.predicates = new_head("predicates", c.pair, sizes)
        self.dropout = nn.Dropout(c.dropout)
        self.frequency = FrequencyBias(sizes) if c.frequency_bias else None
        self.start = DetectorStart(sizes) if sizes.start else None
        if self.start:
            start_at_zero(self.objects)

    def _lstm(self, width: int) -> Lstm:
        c = self.config
        dropout = c.dropout if c.layers > 1 else 0.0
        return Lstm(width, c.hidden // 2, c.layers, batch_first=True, bidirectional=True, dropout=dropout)

    def forward(self, batch: Batch) -> Outputs:
        """Score objects and pairs.

        Args:
            batch: The decoder and the edges read its targets, where it has any.

        Returns:
            Object logits [B, V, 1 + C] and predicate logits [Q, 1 + P].
        """
        features = self.features(batch.features)
        regions = torch.cat([features, self._detected(batch), self.geometry(box_geometry(batch))], -1)
        order = self._order(batch)
        lengths = batch.mask.sum(1).cpu()
        regions = _take(self.dropout(regions), order)
        context = _run(self.object_context, regions, lengths)
        targets = None if batch.targets is None else _take(batch.targets, order)
        inputs = torch.cat([context, regions], -1) if self.config.decoder_features else context
        start: DetectorAnswer | None = self.start(batch) if self.start else None
        logits = self._decode(inputs, targets, lengths, start and start.each(lambda x: _take(x, order)))

        labels = self._labels(batch, logits, targets, order)
        names = self.label(labels)
        inputs = torch.cat([_take(features, order), context, names], -1)
        edges = _run(self.edge_context, self.dropout(inputs), lengths)
        back = order.argsort(1)
        # The label stands beside the context, so that a pair need not learn to read it through the LSTM.
        states = _take(self.dropout(torch.cat([edges, names], -1)), back)
        labels, logits = _take(labels, back), _take(logits, back)
        relations = self._relate(batch, states, labels)
        return Outputs(logits, relations, *(start.shares, start.doubt, start.own) if start else ())

    def _detected(self, batch: Batch) -> Tensor:
        """The detector's label, embedded; its score is shared between that label and none: [B, V, embedded]."""
        nothing = self.detected.num_embeddings - 1
        label = torch.where(batch.labels < 0, nothing, batch.labels)
        score = batch.scores[..., None]
        return score * self.detected(label) + (1 - score) * self.detected.weight[nothing]

    def _order(self, batch: Batch) -> Tensor:
        """Places of the regions in the sequence, padding last: [B, V] int64."""
        boxes = batch.boxes
        match self.config.order:
            case "confidence":
                key = -batch.scores
            case "left-right":
                key = boxes[..., ::2].mean(-1)
            case "size":
                key = -(boxes[..., 2:] - boxes[..., :2]).prod(-1)
            case _ if self.training:
                key = torch.rand_like(batch.scores)
            case _:  # multiples of the golden ratio, of which no two are near each other, scatter the places
                place = torch.arange(boxes.shape[1], dtype=torch.float64)  # which a Mac's GPU has not
                key = (place * 0.6180339887).frac().to(batch.scores).expand(batch.mask.shape)
        return key.masked_fill(~batch.mask, torch.inf).argsort(dim=1, stable=True)

    def _labels(self, batch: Batch, logits: Tensor, targets: Tensor | None, order: Tensor) -> Tensor:
        """The label each region goes into the edge context with: [B, V] in 1..C, all in sequence order."""
        if targets is None and self.config.nms_threshold is not None:
            boxes, mask = _take(batch.boxes, order), _take(batch.mask, order)
            return decode_labels(logits.float().softmax(-1), boxes, mask, self.config.nms_threshold)
        return target_or_best(logits, targets)

    def _decode(self, context: Tensor, targets: Tensor | None, lengths: Tensor, start: DetectorAnswer | None) -> Tensor:
        """Label logits [B, V, 1 + C] in sequence order; each label is decoded knowing the one before it.

        `start`: what the logits start from, None: 0.
        """
        first = 1 + self.sizes.categories
        if targets is not None:  # all steps at once, by teacher forcing
            before = torch.cat([torch.full_like(targets[:, :1], first), targets[:, :-1]], 1)
            hidden = _run(self.decoder, torch.cat([context, self.previous(before)], -1), lengths)
            logits = self.objects(self.dropout(hidden))
            return start.moved(logits) if start else logits
        # Greedy decoding is sequential by nature: V steps for the whole batch. All that does not depend on the step
        # before is multiplied beforehand: every place's input, and each label's part of it.
        enters, recurs, *biases = (
            self.decoder.get_parameter(f"{name}_l0") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        )
        width = context.shape[-1]
        inputs = linear(context, enters[:, :width], biases[0] + biases[1]).unbind(1)
        table = linear(self.previous.weight, enters[:, width:])
        before = torch.full_like(lengths, first, device=context.device)
        hidden = cell = context.new_zeros(len(context), self.config.hidden)
        steps = []
        for place, at_place in enumerate(inputs):
            gates = at_place + table[before] + linear(hidden, recurs)
            enter, keep, new, out = gates.chunk(4, -1)
            cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
            hidden = out.sigmoid() * cell.tanh()
            logits = self.objects(self.dropout(hidden))
            steps.append(start.at(place).moved(logits) if start else logits)
            before = steps[-1].argmax(-1)
        return torch.stack(steps, 1)

    def _relate(self, batch: Batch, states: Tensor, labels: Tensor) -> Tensor:
        """Predicate logits [Q, 1 + P] of batch.pairs from region states [B, V, hidden + embedded]."""
        if batch.pairs is None or not len(batch.pairs):
            return states.new_zeros((0, 1 + self.sizes.predicates))
        image, subject, object_ = batch.pairs.unbind(1)
        pair = self.subject(states)[image, subject] * self.object(states)[image, object_]
        if self.union is not None:
            # Around 1, so that the product of the two states is there to learn from before the union says anything.
            pair = pair * (1 + self.union(batch))
        logits = self.predicates(self.dropout(pair))
        return logits if self.frequency is None else logits + self.frequency(labels, batch.pairs)


def _take(values: Tensor, order: Tensor) -> Tensor:
    """Values [B, V, ...] in the order [B, V]."""
    return values.gather(1, order.reshape(*order.shape, *[1] * (values.dim() - 2)).expand_as(values))


def _run(lstm: Lstm, values: Tensor, lengths: Tensor) -> Tensor:
    """An LSTM over sequences [B, V, ...] of which only the first `lengths` [B] places are real."""
    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=values.shape[1])[0]
