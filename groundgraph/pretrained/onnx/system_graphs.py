"""A whole system as one ONNX graph: one image's regions in, its scene graph out, without pairs to be given."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu

from groundgraph.errors import InputError
from groundgraph.pretrained.onnx import finishing
from groundgraph.pretrained.onnx.finishing import RawGraph, finished, iou, scripted, suppressed, survivors
from groundgraph.pretrained.onnx.graph_file import OneImage
from groundgraph.pretrained.onnx.scene_graphs import INPUTS, batch_of
from groundgraph.sgg.batch import Batch
from groundgraph.sgg.inference import InferenceConfig
from groundgraph.sgg.merging import Merging
from groundgraph.systems.lsws import LswsSystem
from groundgraph.systems.model import SystemModel
from groundgraph.systems.vspnet import VspnetSystem, thing_roles

NEVER = -1e9  # log weight of a pair that may not be related
TIED = 1e-5  # difference of log weights that rounding makes


class SystemGraph(OneImage):
    """A system for one image: `SystemModel.generate` as far as tensors go, and what is done after it.

    Args:
        model: Of `SYSTEMS`, on the CPU.
        config: What becomes of duplicates, and how many relations are kept.
        merging: Which boxes are of one thing.

    Raises:
        InputError: There is no such graph of this model.
    """

    outputs = finishing.OUTPUTS
    axes = {name: {0: "regions"} for name in INPUTS[:4]} | finishing.AXES

    def __init__(self, model: SystemModel, config: InferenceConfig, merging: Merging) -> None:
        super().__init__()
        if type(model) not in _READERS:
            raise InputError(f"{model.name} reads a graph off an image in steps that are not known here")
        self.model, self.config, self.merging, self.read = model, config, merging, _READERS[type(model)]
        self.inputs = ("features", "boxes", *(["size"] if isinstance(model, VspnetSystem) else []))
        self.eval()

    def forward(self, *values: Tensor) -> tuple[Tensor, ...]:
        """Features [V, D] and boxes [V, 4] of the regions, of VSPNet the image's size [2] -> `finishing.finished`."""
        unread = {
            "labels": torch.zeros_like(values[1][:, 0]).long(),
            "scores": values[1][:, 0],
            "size": values[1][0, 2:],
        }
        batch = batch_of(unread | dict(zip(self.inputs, values, strict=True)))
        return finished(self.read(self.model, batch, self.config), self.config, self.merging)


def _vspnet(model: VspnetSystem, batch: Batch, config: InferenceConfig) -> RawGraph:
    """Every pair with the surest of the nodes that it is one of the best of, see `VspnetSystem.generate`.

    Of pairs that a node weighs alike, as of one thing's regions, all count where there it is as it happens.
    """
    graph = model(batch)
    boxes, labels, scores, there = _objects(batch, graph.entities[0].softmax(-1), config)
    same = (iou(boxes) >= model.config.overlap) | _itself(boxes)
    subject, object_ = thing_roles(graph.roles, same.unsqueeze(0))[0].unbind(0)  # [P, V]
    products = subject.unsqueeze(2) + object_.unsqueeze(1)
    products = torch.where(_allowed(boxes, there, config), products, torch.full_like(products, NEVER))
    top, least = scripted(_best_and_last)(products.flatten(1), model.config.pairs_per_node)
    chosen = (products > NEVER / 2) & (products >= least.unsqueeze(-1) - TIED)
    shares = torch.where(chosen, (products - top.unsqueeze(-1)).exp(), torch.zeros_like(products))
    sure, named = graph.confidences[1][0].sigmoid()[:, None, None] * shares, graph.predicates[0].softmax(-1)
    node = (sure * named.amax(-1)[:, None, None]).argmax(0)  # [V, V], the surest of each pair
    sure = sure.gather(0, node.unsqueeze(0)).flatten().unsqueeze(1)
    places = torch.ones_like(labels).cumsum(0) - 1
    pairs = torch.stack([places.unsqueeze(1).expand_as(node), places.unsqueeze(0).expand_as(node)], -1)
    predicates = torch.cat([1 - sure, sure * named[node.flatten()]], 1)
    return RawGraph(boxes, labels, scores, there, pairs.flatten(0, 1), predicates, chosen.any(0).flatten())


def _lsws(model: LswsSystem, batch: Batch, config: InferenceConfig) -> RawGraph:
    """The best pairs of detections, their triplets completed by beam search, see `LswsSystem.generate`.

    A region that a triplet calls by another name than its detector is an object of its own, behind the regions.
    """
    features = model.inputs(batch.features)
    detected = model.detections(features)[-1][0].exp()
    boxes, labels, scores, there = _objects(batch, detected[:, 1:], config)
    as_subject, as_object = model.relations(features)
    related = torch.minimum(as_subject[0].unsqueeze(1), as_object[0]).softmax(-1)[..., 1:]
    strength = scores.unsqueeze(1) * scores * related.amax(-1)
    strength = torch.where(_allowed(boxes, there, config), strength, torch.full_like(strength, -1))
    pairs = scripted(_best_places)(strength, model.config.candidates)
    # One more that does not count, since ONNX does not shape what is empty.
    pairs = torch.cat([pairs, pairs.new_zeros(1, 2)])
    counts = (pairs[:, :1] != pairs[:, 1:]).unsqueeze(1)
    looks = leaky_relu(model.look(features))[0][pairs].unbind(1)
    beams = model.predictor.search(looks, model.categories, model.predicates, model.config.beam_size)

    ends = pairs.unsqueeze(1).expand(-1, beams.subjects.shape[1], -1).reshape(-1)
    names = 1 + torch.stack([beams.subjects, beams.objects], -1).reshape(-1)
    other = (names != labels[ends]) & counts.expand(-1, beams.subjects.shape[1], 2).reshape(-1)
    width = detected.shape[1]
    keys = ends * width + names
    # Each region with another name once; and one more, the first region with its own, which nothing is said of.
    new = torch.cat([keys[other], labels[:1]]).unique()
    region, name = torch.div(new, width, rounding_mode="floor"), new % width
    behind = boxes.shape[0] + (keys.unsqueeze(1) == new).int().argmax(1)
    nodes = torch.where(other, behind, ends).reshape(-1, 2)
    sure = beams.log_p.exp() * related[pairs[:, 0], pairs[:, 1]].sum(-1, keepdim=True)
    rows = (sure.unsqueeze(-1) * beams.predicates.exp()).flatten(0, 1)
    rows = torch.cat([1 - rows.sum(-1, keepdim=True), rows], -1)
    scores = torch.cat([scores, detected[region, name]])
    ranks, same = scores[nodes].prod(1) * rows[:, 1:].amax(-1), (nodes.unsqueeze(1) == nodes).all(-1)
    return RawGraph(
        torch.cat([boxes, boxes[region]]),
        torch.cat([labels, name]),
        scores,
        torch.cat([there, there[region] & (name != labels[region])]),
        nodes,
        rows,
        survivors(ranks, same, nodes[:, 0] != nodes[:, 1]),  # the best of each two objects
    )


_READERS: dict[type[SystemModel], Any] = {VspnetSystem: _vspnet, LswsSystem: _lsws}


def _objects(batch: Batch, probabilities: Tensor, config: InferenceConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """`systems.graphs.objects_of` what is detected in one image, probabilities [V, C], with its boxes."""
    scores, labels = probabilities.max(-1)
    boxes, labels = batch.boxes[0], labels + 1
    return boxes, labels, scores, suppressed(boxes, labels, scores, batch.mask[0], config.nms_threshold)


def _allowed(boxes: Tensor, there: Tensor, config: InferenceConfig) -> Tensor:
    """`systems.graphs.allowed_pairs` of one image: [V, V] bool."""
    allowed = there.unsqueeze(1) & there & ~_itself(boxes)
    return allowed & (iou(boxes) > 0) if config.overlapping else allowed


def _itself(boxes: Tensor) -> Tensor:
    """Each of V boxes with itself: [V, V] bool."""
    places = torch.ones_like(boxes[:, 0], dtype=torch.int64).cumsum(0)
    return places.unsqueeze(1) == places


def _best_and_last(values: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The largest of each row of values [P, N], and the last of its `most` largest: [P, 1] both."""
    best = values.topk(min(most, values.size(1)))[0]
    return best[:, :1], best[:, -1:]


def _best_places(values: Tensor, most: int) -> Tensor:
    """Row and column of the `most` largest of values [V, V] that are not negative, best first: [M, 2]."""
    best, places = values.flatten().topk(min(most, values.numel()))
    places = places[best >= 0]
    return torch.stack([torch.div(places, values.size(1), rounding_mode="floor"), places % values.size(1)], 1)
