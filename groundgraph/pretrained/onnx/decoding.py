"""Scene-graph models without what fixes the number of regions or pairs when a model is traced.

Loops are TorchScript, which becomes ONNX's Loop, and pairs are read all at once.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

from groundgraph.pretrained.onnx.finishing import iou, scripted
from groundgraph.sgg.batch import Batch
from groundgraph.sgg.heads import head_weights
from groundgraph.sgg.lstm import highway_step, lstm_step
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.start import DetectorAnswer, moved_logits
from groundgraph.sgg.uniter import Uniter


def decode_greedily(
    entered: Tensor,
    table: Tensor,
    state: Tensor,
    head: Tensor,
    bias: Tensor,
    start: Tensor,
    own: Tensor,
    started: bool,
    highway: bool,
) -> Tensor:
    """Label logits of one image's regions, each knowing the label before it, as `Motifs` decodes them.

    Args:
        entered: [V, G], what enters each step beside the label before it.
        table: [1 + C + 1, G], what each label adds; the last one is the start token.
        state: [G, hidden] (of a highway LSTM [5 hidden, hidden]), the weight of the last output.
        head: [1 + C, hidden], weights of the labels.
        bias: [1 + C].
        start: [V, 1 + C], the detector's logits; not read unless `started`.
        own: [V, 1 + C] bool, see `DetectorAnswer`.
        started: Whether logits start from the detector's.
        highway: The decoder is a highway LSTM, whose label is never background.

    Returns:
        [V, 1 + C].
    """
    hidden = torch.zeros_like(state[0]).unsqueeze(0)
    cell = torch.zeros_like(hidden)
    before = torch.ones_like(table[:, 0], dtype=torch.int64).sum() - 1
    steps: list[Tensor] = []
    for place in range(entered.size(0)):
        step = (entered[place] + table[before]).unsqueeze(0)
        if highway:
            hidden, cell = highway_step(step, hidden, cell, state)
        else:
            hidden, cell = lstm_step(step, hidden, cell, state)
        logits = linear(hidden, head, bias)[0]
        if started:
            logits = moved_logits(start[place], own[place], logits)
        steps.append(logits)
        before = logits[1:].argmax() + 1 if highway else logits.argmax()
    return torch.stack(steps)


def decode_once(probabilities: Tensor, near: Tensor) -> Tensor:
    """`sgg.decoding.decode_labels` of one image without padding, without writing into tensors.

    Args:
        probabilities: [V, 1 + C]; column 0, background, is not looked at.
        near: [V, V] bool, two boxes overlap by the threshold or more.

    Returns:
        [V] int64 in 1..C.
    """
    left = probabilities[:, 1:]
    labels = torch.zeros_like(left[:, 0], dtype=torch.int64)
    regions, categories = torch.ones_like(labels).cumsum(0) - 1, torch.ones_like(left[0], dtype=torch.int64)
    count, columns = categories.sum(), categories.cumsum(0) - 1
    for _ in range(probabilities.size(0)):
        place = left.flatten().argmax()
        region, category = torch.div(place, count, rounding_mode="floor"), place % count
        labels = torch.where(regions == region, category + 1, labels)
        lost = near[region].unsqueeze(1) & (columns == category).unsqueeze(0) & (left > 0)
        left = torch.where(lost, left - 1, left)
        left = torch.where((regions == region).unsqueeze(1), torch.full_like(left, -2.0), left)
    return labels


class LoopedMotifs(Motifs):
    """Motifs for one image without padding, its loops as TorchScript; made of a trained one's sizes and weights."""

    def _decode(self, inputs: Tensor, targets: Tensor | None, lengths: Tensor, start: DetectorAnswer | None) -> Tensor:
        (weight, added), width = self.decoder.enters(), inputs.shape[-1]
        head, bias = head_weights(self.objects)
        nothing = torch.zeros_like(head[:1])
        logits = scripted(decode_greedily)(
            linear(inputs[0], weight[:, :width], added),
            linear(self.previous.weight, weight[:, width:]),
            self.decoder.step_weight(),
            head,
            bias,
            start.logits[0] if start else nothing,
            start.own[0] if start else nothing > 0,
            start is not None,
            self.config.decoder == "highway",
        )
        return logits.unsqueeze(0)

    def _order(self, batch: Batch) -> Tensor:
        keys = self._keys(batch)
        return keys.topk(keys.shape[1], largest=False).indices  # ONNX's has equals in their order, as a stable sort

    def _labels(self, batch: Batch, logits: Tensor, targets: Tensor | None, order: Tensor) -> Tensor:
        if self.config.nms_threshold is None:
            return super()._labels(batch, logits, targets, order)
        boxes = batch.boxes.gather(1, order[..., None].expand_as(batch.boxes))
        return suppressed_labels(logits.softmax(-1), boxes, self.config.nms_threshold)


class WholeUniter(Uniter):
    """Uniter that reads all pairs at once; made of a trained one's sizes and weights."""

    def _pair_states(self, pairs: Tensor, mask: Tensor, words: Tensor, regions: Tensor) -> Tensor:
        one = torch.cat([pairs, torch.zeros_like(words[:, :3])[:, :1].repeat(1, 3)])
        return self._read_pairs(one, mask, words, regions)[:-1]  # one more, since of none ONNX makes no sequences


def suppressed_labels(probabilities: Tensor, boxes: Tensor, threshold: float) -> Tensor:
    """`decode_labels` of one image, probabilities [1, V, 1 + C] and boxes [1, V, 4], as a loop: [1, V]."""
    return scripted(decode_once)(probabilities[0], iou(boxes[0]) >= threshold).unsqueeze(0)
