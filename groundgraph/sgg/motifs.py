"""Neural Motifs (Zellers et al. 2018) on precomputed region features: METHOD.md section 5.

Regions in sequence pass a bidirectional LSTM (object context), a decoder that labels them one after the other, and a
second bidirectional LSTM that knows the labels (edge context); a pair is the product of its subject's and its object's
state and of the two boxes' geometry. Visual features of the union box do not exist for precomputed regions; the
official runs had none.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from groundgraph.sgg.batch import Batch, Outputs, Sizes


class MotifsConfig(BaseModel):
    """Sizes of the model; the defaults fit MiniGenome.

    hidden: of the LSTMs (official 512); pair: of a pair's product (official 1536); embedded: of labels and geometry.
    order: by the detector's score, or from left to right. frequency_bias: add the log frequency of the predicates
    between two labels, counted on the pseudo labels, to the predicate logits (off, as officially).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(128, gt=0, multiple_of=2)
    pair: int = Field(256, gt=0)
    embedded: int = Field(64, gt=0)
    layers: int = Field(1, gt=0)
    dropout: float = Field(0.1, ge=0, lt=1)
    order: Literal["confidence", "left-right"] = "confidence"
    frequency_bias: bool = False


class Motifs(nn.Module):
    """Regions of B images -> object logits [B, V, 1 + C] and predicate logits [Q, 1 + P] of the pairs asked for."""

    name = "motifs"
    Config = MotifsConfig

    def __init__(self, sizes: Sizes, config: MotifsConfig | None = None):
        super().__init__()
        self.sizes, self.config = sizes, config or MotifsConfig()
        c, labels = self.config, 1 + sizes.categories
        self.features = nn.Sequential(nn.LayerNorm(sizes.features), nn.Linear(sizes.features, c.hidden), nn.ReLU())
        self.detected = nn.Embedding(sizes.detector_categories + 1, c.embedded)  # the last one: no label
        self.geometry = nn.Sequential(nn.Linear(9, c.embedded), nn.ReLU())
        self.object_context = self._lstm(c.hidden + 2 * c.embedded)
        # The decoder's first input is a start token, numbered after the labels.
        self.previous = nn.Embedding(labels + 1, c.embedded)
        self.decoder = nn.LSTM(c.hidden + c.embedded, c.hidden, batch_first=True)
        self.objects = nn.Linear(c.hidden, labels)
        self.label = nn.Embedding(labels, c.embedded)
        self.edge_context = self._lstm(2 * c.hidden + c.embedded)
        self.subject = nn.Linear(c.hidden + c.embedded, c.pair)
        self.object = nn.Linear(c.hidden + c.embedded, c.pair)
        self.spatial = nn.Sequential(nn.Linear(15, c.embedded), nn.ReLU(), nn.Linear(c.embedded, c.pair))
        self.predicates = nn.Linear(c.pair, 1 + sizes.predicates)
        self.dropout = nn.Dropout(c.dropout)
        if c.frequency_bias:
            self.register_buffer("frequency", torch.zeros(labels, labels, 1 + sizes.predicates))

    def _lstm(self, width: int) -> nn.LSTM:
        c = self.config
        dropout = c.dropout if c.layers > 1 else 0.0
        return nn.LSTM(width, c.hidden // 2, c.layers, batch_first=True, bidirectional=True, dropout=dropout)

    def set_frequency(self, counts: Tensor) -> None:
        """Take the frequency bias from counts [1 + C, 1 + C, 1 + P] of (subject label, object label, predicate).

        Column 0 counts pairs without a relation. Raises ValueError where the configuration has no frequency bias.
        """
        if not self.config.frequency_bias:
            raise ValueError("this model has no frequency bias: set frequency_bias in its configuration")
        counts = counts.to(self.frequency) + 1e-3  # keeps the logarithm of what was never seen finite
        self.frequency.copy_((counts / counts.sum(-1, keepdim=True)).log())

    def forward(self, batch: Batch) -> Outputs:
        """Score objects and pairs; the decoder and the edges are told batch.targets, where these are given."""
        features = self.features(batch.features)
        regions = torch.cat([features, self._detected(batch), self.geometry(box_geometry(batch))], -1)
        order = self._order(batch)
        lengths = batch.mask.sum(1).cpu()
        context = _run(self.object_context, _take(self.dropout(regions), order), lengths)
        told = None if batch.targets is None else _take(batch.targets, order)
        logits = self._decode(context, told, lengths)

        # What has no label, or background, goes on as its best category: at inference every region has one.
        best = logits[..., 1:].detach().argmax(-1) + 1
        labels = best if told is None else torch.where(told > 0, told, best)
        named = self.label(labels)
        inputs = torch.cat([_take(features, order), context, named], -1)
        edges = _run(self.edge_context, self.dropout(inputs), lengths)
        back = order.argsort(1)
        # The label stands beside the context, so that a pair need not learn to read it through the LSTM.
        states = _take(self.dropout(torch.cat([edges, named], -1)), back)
        labels, logits = _take(labels, back), _take(logits, back)
        return Outputs(logits, self._relate(batch, states, labels))

    def _detected(self, batch: Batch) -> Tensor:
        """The detector's label, embedded; its score is shared between that label and none: [B, V, embedded]."""
        nothing = self.detected.num_embeddings - 1
        label = torch.where(batch.labels < 0, nothing, batch.labels)
        score = batch.scores[..., None]
        return score * self.detected(label) + (1 - score) * self.detected.weight[nothing]

    def _order(self, batch: Batch) -> Tensor:
        """Places of the regions in the sequence, padding last: [B, V] int64."""
        left_right = self.config.order == "left-right"
        key = batch.boxes[..., ::2].mean(-1) if left_right else -batch.scores
        return key.masked_fill(~batch.mask, torch.inf).argsort(dim=1, stable=True)

    def _decode(self, context: Tensor, told: Tensor | None, lengths: Tensor) -> Tensor:
        """Label logits [B, V, 1 + C] in sequence order; each label is decoded knowing the one before it."""
        start = self.previous.num_embeddings - 1
        if told is not None:  # all steps at once: what was decoded before is known
            before = torch.cat([torch.full_like(told[:, :1], start), told[:, :-1]], 1)
            return self.objects(
                self.dropout(_run(self.decoder, torch.cat([context, self.previous(before)], -1), lengths))
            )
        before = context.new_full((len(context), 1), start, dtype=torch.int64)
        state, steps = None, []
        # Greedy decoding is sequential by nature: V steps for the whole batch.
        for place in range(context.shape[1]):
            hidden, state = self.decoder(torch.cat([context[:, place, None], self.previous(before)], -1), state)
            steps.append(self.objects(self.dropout(hidden)))
            before = steps[-1].argmax(-1)
        return torch.cat(steps, 1)

    def _relate(self, batch: Batch, states: Tensor, labels: Tensor) -> Tensor:
        """Predicate logits [Q, 1 + P] of batch.pairs from region states [B, V, hidden + embedded]."""
        if batch.pairs is None or not len(batch.pairs):
            return states.new_zeros((0, 1 + self.sizes.predicates))
        image, subject, object_ = batch.pairs.unbind(1)
        first, second = image * states.shape[1] + subject, image * states.shape[1] + object_
        product = self.subject(states).flatten(0, 1)[first] * self.object(states).flatten(0, 1)[second]
        boxes = batch.boxes.flatten(0, 1)
        geometry = self.spatial(pair_geometry(boxes[first], boxes[second], batch.sizes[image]))
        # Around 1, so that the product of the two states is there to learn from before the geometry says anything.
        logits = self.predicates(self.dropout(product * (1 + geometry)))
        if self.config.frequency_bias:
            flat = labels.flatten()
            logits = logits + self.frequency[flat[first], flat[second]]
        return logits


def box_geometry(batch: Batch) -> Tensor:
    """A box in fractions of its image: centre, width, height, corners, area: [B, V, 9]."""
    scale = batch.sizes.repeat(1, 2)[:, None]
    corners = batch.boxes / scale
    sides = corners[..., 2:] - corners[..., :2]
    centre = (corners[..., 2:] + corners[..., :2]) / 2
    return torch.cat([centre, sides, corners, sides.prod(-1, keepdim=True)], -1)


def pair_geometry(subject: Tensor, object_: Tensor, sizes: Tensor) -> Tensor:
    """How two boxes lie: boxes [Q, 4] and image sizes [Q, 2] -> [Q, 15], all within about -4..4.

    In units of the union box: the four corner offsets, the subject's sides, the object's sides; the log ratios of their
    sides; IoU, and the share of each that lies in the other; the union's sides in fractions of the image.
    """
    low, high = torch.minimum(subject, object_), torch.maximum(subject, object_)
    union = (high[:, 2:] - low[:, :2]).clamp(min=1e-3)
    sides = [(b[:, 2:] - b[:, :2]).clamp(min=1e-3) for b in (subject, object_)]
    shared = (low[:, 2:] - high[:, :2]).clamp(min=0).prod(1, keepdim=True)
    areas = [s.prod(1, keepdim=True) for s in sides]
    return torch.cat(
        [
            (object_ - subject) / union.repeat(1, 2),
            sides[0] / union,
            sides[1] / union,
            (sides[1] / sides[0]).log(),
            shared / (areas[0] + areas[1] - shared),
            shared / areas[0],
            shared / areas[1],
            union / sizes,
        ],
        1,
    )


def _take(values: Tensor, order: Tensor) -> Tensor:
    """values [B, V, ...] in the order [B, V]."""
    return values.gather(1, order.reshape(*order.shape, *[1] * (values.dim() - 2)).expand_as(values))


def _run(lstm: nn.LSTM, values: Tensor, lengths: Tensor) -> Tensor:
    """An LSTM over sequences [B, V, ...] of which only the first `lengths` [B] places are real."""
    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    return pad_packed_sequence(lstm(packed)[0], batch_first=True, total_length=values.shape[1])[0]
