"""Neural Motifs (Zellers et al. 2018) on region features: METHOD.md section 5.

Regions in sequence pass a bidirectional LSTM (object context), a decoder that labels them one after the other, and a
second bidirectional LSTM that knows the labels (edge context); a pair is made of its subject's and its object's state
and of what the box around both shows.

By default plain LSTMs stand for highway LSTMs, label embeddings are learnt instead of begun with GloVe, and the decoder
reads "background" of a background region (the published one reads its own best category, and so cannot decode all
places of a training sequence at once). What the released code does instead are options: docs/official-release.md.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from groundgraph.sgg.batch import Batch, Outputs, SggModel, Sizes
from groundgraph.sgg.decoding import decode_labels
from groundgraph.sgg.heads import new_head, new_labels, start_at_zero
from groundgraph.sgg.lstm import HighwayLstm, Lstm
from groundgraph.sgg.motifs_config import MotifsConfig
from groundgraph.sgg.pairs import UnionFeature, box_geometry, new_pair_bias, target_or_best
from groundgraph.sgg.start import DetectorAnswer, DetectorStart

RELEASED_GEOMETRY = (32, 128)  # hidden and output width of the released code's embedding of a box


class Motifs(SggModel):
    """Regions of B images -> object logits [B, V, 1 + C] and predicate logits [Q, 1 + P] of the pairs asked for."""

    name = "motifs"
    Config = MotifsConfig
    pairs_at_once = 256  # at inference: what is computed of so many stays in a processor's cache

    def __init__(self, sizes: Sizes, config: MotifsConfig | None = None) -> None:
        super().__init__(sizes, config or MotifsConfig())
        c = self.config
        self.features: nn.Module = nn.Identity()
        features = sizes.features
        if c.features == "projected":
            features = c.hidden
            self.features = nn.Sequential(nn.LayerNorm(sizes.features), nn.Linear(sizes.features, c.hidden), nn.ReLU())
        self.detected = nn.Embedding(sizes.detector_categories + 1, c.embedded)  # the last one: no label
        geometry = c.embedded
        if c.geometry == "linear":
            self.geometry = nn.Sequential(nn.Linear(9, geometry), nn.ReLU())
        else:
            inner, geometry = RELEASED_GEOMETRY
            norm = nn.BatchNorm1d(inner, momentum=0.001)
            self.geometry = nn.Sequential(nn.Linear(9, inner), norm, nn.Linear(inner, geometry), nn.ReLU())
        region = features + c.embedded + geometry
        self.object_context = self._lstm(region)
        # The decoder's first input is a start token, numbered after the labels.
        self.previous = new_labels(c.embedded, sizes, extra=1)
        decoded = c.hidden + c.embedded + (region if c.decoder_features else 0)
        self.decoder: Lstm | HighwayLstm
        if c.decoder == "lstm":
            self.decoder = Lstm(decoded, c.hidden, batch_first=True)
        else:
            self.decoder = HighwayLstm(decoded, c.hidden)
        self.objects = new_head("categories", c.hidden, sizes)
        self.label = new_labels(c.embedded, sizes)
        self.edge_context = self._lstm(features + c.hidden + c.embedded)
        if c.lstm_width is not None:
            self.object_join = nn.Linear(2 * c.lstm_width, c.hidden)
            self.edge_join = nn.Linear(2 * c.lstm_width, c.hidden)
        state = c.hidden + c.embedded
        if c.relation == "sum":
            state = c.hidden
            self.ends = nn.Linear(c.hidden, 2 * c.hidden)  # a state as a subject and as an object
        self.subject = nn.Linear(state, c.pair, bias=c.relation == "product")
        self.object = nn.Linear(state, c.pair)
        self.union = UnionFeature(c.union, sizes, c.embedded, c.pair) if c.union != "none" else None
        self.predicates = new_head("predicates", c.pair, sizes)
        self.dropout = nn.Dropout(c.dropout) if c.dropout_on == "all" else nn.Identity()
        self.frequency = new_pair_bias(c.frequency_bias, sizes)
        if c.relation == "sum":
            self._start_as_released()
        self.start = DetectorStart(sizes) if sizes.start else None
        if self.start:
            start_at_zero(self.objects)

    def _lstm(self, width: int) -> Lstm:
        c = self.config
        dropout = c.dropout if c.layers > 1 else 0.0
        own = c.lstm_width or c.hidden // 2
        return Lstm(width, own, c.layers, batch_first=True, bidirectional=True, dropout=dropout)

    def _start_as_released(self) -> None:
        """The pairs' layers as the released code starts them: states as ends large, the rest Xavier's, biases 0."""
        nn.init.normal_(self.ends.weight, std=10 / self.config.hidden**0.5)
        # Xavier's of the one layer on the concatenation, of which these are halves.
        std = (2 / (2 * self.config.hidden + self.config.pair)) ** 0.5
        for half in (self.subject, self.object):
            nn.init.normal_(half.weight, std=std)
        biases = [self.ends.bias, self.object.bias]
        if isinstance(self.predicates, nn.Linear):
            nn.init.xavier_normal_(self.predicates.weight)
            biases.append(self.predicates.bias)
        for bias in biases:
            nn.init.zeros_(bias)

    def forward(self, batch: Batch) -> Outputs:
        """Score objects and pairs.

        Args:
            batch: The decoder and the edges read its targets, where it has any.

        Returns:
            Object logits [B, V, 1 + C] and predicate logits [Q, 1 + P].
        """
        features = self.features(batch.features)
        regions = torch.cat([features, self._detected(batch), self._geometry(batch)], -1)
        order = self._order(batch)
        lengths = batch.mask.sum(1).cpu()
        regions = _take(self.dropout(regions), order)
        context = self.object_context(regions, lengths)
        if self.config.lstm_width is not None:
            context = self.object_join(context)
        targets = None if batch.targets is None else _take(batch.targets, order)
        inputs = torch.cat([context, regions], -1) if self.config.decoder_features else context
        start: DetectorAnswer | None = self.start(batch) if self.start else None
        logits = self._decode(inputs, targets, lengths, start and start.each(lambda x: _take(x, order)))

        labels = self._labels(batch, logits, targets, order)
        names = self.label(labels)
        inputs = torch.cat([_take(features, order), context, names], -1)
        edges = self.edge_context(self.dropout(inputs), lengths)
        if self.config.lstm_width is not None:
            edges = self.edge_join(edges)
        back = order.argsort(1)
        # The label stands beside the context, so that a pair need not learn to read it through the LSTM.
        states = edges if self.config.relation == "sum" else torch.cat([edges, names], -1)
        states = _take(self.dropout(states), back)
        labels, logits = _take(labels, back), _take(logits, back)
        relations = self._relate(batch, states, labels)
        return Outputs(logits, relations, *(start.shares, start.doubt, start.own) if start else ())

    def _detected(self, batch: Batch) -> Tensor:
        """The detector's label, embedded; its score is shared between that label and none: [B, V, embedded]."""
        nothing = self.detected.num_embeddings - 1
        label = torch.where(batch.labels < 0, nothing, batch.labels)
        score = batch.scores[..., None]
        return score * self.detected(label) + (1 - score) * self.detected.weight[nothing]

    def _geometry(self, batch: Batch) -> Tensor:
        """Boxes, embedded: [B, V, width]."""
        geometry = box_geometry(batch)
        if self.config.geometry == "linear":
            return self.geometry(geometry)
        embedded = self.geometry(geometry[batch.mask])  # padding is not what a batch has on average
        return embedded.new_zeros(*batch.mask.shape, embedded.shape[1]).masked_scatter(batch.mask[..., None], embedded)

    def _order(self, batch: Batch) -> Tensor:
        """Places of the regions in the sequence, padding last: [B, V] int64."""
        return self._keys(batch).masked_fill(~batch.mask, torch.inf).argsort(dim=1, stable=True)

    def _keys(self, batch: Batch) -> Tensor:
        """What the regions are ordered by, [B, V]."""
        boxes = batch.boxes
        match self.config.order:
            case "confidence":
                return -batch.scores
            case "left-right":
                return boxes[..., ::2].mean(-1)
            case "right-left":
                return -boxes[..., ::2].mean(-1)
            case "size":
                return -(boxes[..., 2:] - boxes[..., :2]).prod(-1)
            case _ if self.training:
                return torch.rand_like(batch.scores)
            case _:  # multiples of the golden ratio, of which no two are near each other, scatter the places
                place = torch.arange(boxes.shape[1], dtype=torch.float64) * 0.6180339887  # which a Mac's GPU has not
                return (place - place.floor()).to(batch.scores).expand(batch.mask.shape)

    def _labels(self, batch: Batch, logits: Tensor, targets: Tensor | None, order: Tensor) -> Tensor:
        """The label each region goes into the edge context with: [B, V] in 1..C, all in sequence order."""
        if targets is None and self.config.nms_threshold is not None:
            boxes, mask = _take(batch.boxes, order), _take(batch.mask, order)
            return decode_labels(logits.float().softmax(-1), boxes, mask, self.config.nms_threshold)
        return target_or_best(logits, targets)

    def _decode(self, inputs: Tensor, targets: Tensor | None, lengths: Tensor, start: DetectorAnswer | None) -> Tensor:
        """Label logits [B, V, 1 + C] in sequence order; each label is decoded knowing the one before it.

        `start`: what the logits start from, None: 0.
        """
        first = 1 + self.sizes.categories
        if targets is not None and isinstance(self.decoder, Lstm):  # all steps at once, by teacher forcing
            before = torch.cat([torch.full_like(targets[:, :1], first), targets[:, :-1]], 1)
            hidden = self.decoder(torch.cat([inputs, self.previous(before)], -1), lengths)
            logits = self.objects(self.dropout(hidden))
            return start.moved(logits) if start else logits
        # Greedy decoding is sequential by nature: V steps for the whole batch. All that does not depend on the step
        # before is multiplied beforehand: every place's input, and each label's part of it.
        (weight, bias), width = self.decoder.enters(), inputs.shape[-1]
        entered = linear(inputs, weight[:, :width], bias).unbind(1)
        table = linear(self.previous.weight, weight[:, width:])
        before = torch.full_like(lengths, first, device=inputs.device)
        hidden = cell = inputs.new_zeros(len(inputs), self.config.hidden)
        released = isinstance(self.decoder, HighwayLstm)
        # As released, one mask for all steps, which the next step's input has as well.
        kept = nn.functional.dropout(torch.ones_like(hidden), self.config.dropout, self.training and released)
        steps = []
        for place, at_place in enumerate(entered):
            hidden, cell = self.decoder.step(at_place + embedding(before, table), hidden, cell)
            hidden = hidden * kept if released and self.training else hidden
            logits = self.objects(self.dropout(hidden))
            steps.append(start.at(place).moved(logits) if start else logits)
            if released:
                before = target_or_best(steps[-1], None if targets is None else targets[:, place])
            else:
                before = steps[-1].argmax(-1)
        return torch.stack(steps, 1)

    def _relate(self, batch: Batch, states: Tensor, labels: Tensor) -> Tensor:
        """Predicate logits [Q, 1 + P] of batch.pairs from region states [B, V, width]."""
        if batch.pairs is None or not len(batch.pairs):
            return states.new_zeros((0, 1 + self.sizes.predicates))
        # Each region's part is computed once, as a subject and as an object, and looked up by the pairs.
        ends = self.ends(states).chunk(2, -1) if self.config.relation == "sum" else (states, states)
        subjects, objects = self.subject(ends[0]).flatten(0, 1), self.object(ends[1]).flatten(0, 1)
        places = batch.pairs[:, :1] * states.shape[1] + batch.pairs[:, 1:]
        exact = self.config.dropout_on == "decoder" or not self.training
        if self.config.relation == "sum" and self.union is None and exact:
            # All that follows is linear, so that pairs need but add what their regions' parts give.
            none = self.predicates(torch.zeros_like(objects[:1]))
            subjects, objects = self.predicates(subjects), self.predicates(objects) - none
            logits = embedding(places[:, 0], subjects) + embedding(places[:, 1], objects)
        elif torch.is_grad_enabled():
            logits = self._score(batch, subjects, objects, places)
        else:
            size = self.pairs_at_once
            unions = [None] * len(places) if batch.unions is None else batch.unions.split(size)
            parts = zip(batch.pairs.split(size), unions, places.split(size), strict=False)
            scores = [self._score(replace(batch, pairs=p, unions=u), subjects, objects, own) for p, u, own in parts]
            logits = torch.cat(scores)
        return logits if self.frequency is None else logits + self.frequency(labels, batch.pairs)

    def _score(self, batch: Batch, subjects: Tensor, objects: Tensor, places: Tensor) -> Tensor:
        """Predicate logits [Q, 1 + P] of batch.pairs, whose two regions are rows [Q, 2] of subjects and objects."""
        subject, object_ = embedding(places[:, 0], subjects), embedding(places[:, 1], objects)
        pair = subject + object_ if self.config.relation == "sum" else subject * object_
        if self.union is not None:
            # Around 1, so that the pair is there to learn from before the union says anything.
            pair = torch.addcmul(pair, pair, self.union(batch))
        return self.predicates(self.dropout(pair))


def _take(values: Tensor, order: Tensor) -> Tensor:
    """Values [B, V, ...] in the order [B, V]."""
    return values.gather(1, order.reshape(*order.shape, *[1] * (values.dim() - 2)).expand_as(values))
