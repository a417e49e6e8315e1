"""From regions to scene graphs with a trained model: detection (SGDet), and given boxes (SGCls) or labels (PredCls)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from groundgraph.data.store import counts_of
from groundgraph.data.types import Graph, Regions
from groundgraph.errors import InputError
from groundgraph.models.device import device_of_model
from groundgraph.sgg.batch import Batch, Outputs, SggModel, Unions, collate, ordered_pairs, with_pairs
from groundgraph.sgg.decoding import decode_labels, suppress

GraphTask = Literal["sgdet", "sgcls", "predcls"]


class Objects(NamedTuple):
    """Objects of B images, padded.

    Attributes:
        boxes: [B, N, 4]; the first V are the regions.
        labels: [B, N] int64 in 1..C.
        scores: [B, N].
        mask: [B, N] bool, which are there.
    """

    boxes: Tensor
    labels: Tensor
    scores: Tensor
    mask: Tensor


class InferenceConfig(BaseModel):
    """How a model's answers become graphs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: int = Field(100, gt=0, description="pairs kept an image, best first")
    nms_threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="IoU of two boxes with one label that are duplicates; of what is as the detector says, where "
        "sgg.start is detector, it has suppressed its own, and nothing falls",
    )
    duplicates: Literal["drop", "relabel"] = Field(
        "drop",
        description="what becomes of duplicates: the one with the lower score falls, or it takes its next best label "
        "(published, with a threshold of .3)",
    )
    overlapping: bool = Field(
        False, description="only pairs whose boxes overlap, where the data set's evaluation says so"
    )
    batch_size: int = Field(16, gt=0, description="images that go through the model at once")


class GraphGenerator(SggModel):
    """A model that reads graphs off an image's regions itself, instead of scoring the pairs that it is given."""

    def generate(self, batch: Batch, config: InferenceConfig, task: GraphTask) -> list[Graph]:
        """The graph of each image of a batch; arguments as of `predict`, with given labels as the batch's targets."""
        raise NotImplementedError


@torch.no_grad()
def predict(
    model: SggModel,
    regions: Sequence[Regions],
    config: InferenceConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    task: GraphTask = "sgdet",
    labels: Sequence[np.ndarray] | None = None,
    unions: Unions | None = None,
) -> list[Graph]:
    """Scene graphs of images from their regions; an image without regions gets an empty graph.

    An object's label is its best category, its score that category's probability. The pairs are ranked by subject
    score x object score x best predicate score. The model's mode is left as it was.

    Where the model starts from the detector's answer, an object that is what the detector says has the detector's
    score, whatever name of that category is its label; where the model says otherwise, the detector's own object stays
    in the graph beside it, without relations. So the graphs (SGDet) find the detector's categories as it does.

    Args:
        model: Of `SGG_MODELS`, or a `GraphGenerator`.
        regions: Of each image.
        config: How answers become graphs.
        progress: Called with (images done, all images) after each batch.
        task: "sgdet": regions are what a detector proposes, and config says what becomes of duplicates. "sgcls":
            regions are the true boxes, with features that the detector pooled from them; the graph has these boxes, in
            order, and labels are the model's. "predcls": the labels are given too, and the objects' scores are 1. With
            given boxes every pair counts, overlapping or not.
        labels: For predcls: [V] int in 1..C of each image.
        unions: Features of the boxes around pairs, for a model with `union: visual`.

    Raises:
        InputError: Task and labels do not fit.
    """
    config = config or InferenceConfig()
    _check_task(model, regions, task, labels)
    device = device_of_model(model)
    graphs = [_empty(model.sizes.predicates)] * len(regions)
    filled = np.flatnonzero(counts_of(regions)).tolist()
    training = model.training
    model.eval()
    try:
        for start in range(0, len(filled), config.batch_size):
            places = filled[start : start + config.batch_size]
            batch = collate([regions[i] for i in places], None if labels is None else [labels[i] for i in places])
            if isinstance(model, GraphGenerator):
                own = model.generate(batch.to(device), config, task)
            else:
                pairs = ordered_pairs(batch, config.overlapping and task == "sgdet")
                batch = with_pairs(batch, pairs, places, unions).to(device)
                own = _graphs(model, batch, pairs.to(device), config, task)
            for i, graph in zip(places, own, strict=True):
                graphs[i] = graph
            if progress:
                progress(min(start + config.batch_size, len(filled)), len(filled))
    finally:
        model.train(training)
    return graphs


def _check_task(model: SggModel, regions: Sequence[Regions], task: str, labels: Sequence[np.ndarray] | None) -> None:
    if task not in get_args(GraphTask):
        raise InputError(f"task is {task!r}: it is one of {', '.join(get_args(GraphTask))}")
    if (labels is not None) != (task == "predcls"):
        raise InputError(f"task {task}: labels are given for predcls, and for predcls only")
    if labels is None:
        return
    if len(labels) != len(regions):
        raise InputError(f"{len(labels)} images with labels for {len(regions)} with boxes")
    flat = np.concatenate([np.asarray(part).reshape(-1) for part in labels]) if len(labels) else np.zeros(0)
    if ((flat < 1) | (flat > model.sizes.categories)).any():
        raise InputError(f"given labels must lie in 1..{model.sizes.categories}")


def _objects(batch: Batch, outputs: Outputs, config: InferenceConfig, task: GraphTask) -> Objects:
    """What the regions are, and which of them stay."""
    if batch.targets is not None:  # predcls
        return Objects(batch.boxes, batch.targets, torch.ones_like(batch.scores), batch.mask)
    probabilities = outputs.objects.float().softmax(-1)
    if task == "sgdet" and config.duplicates == "relabel":
        labels = decode_labels(probabilities, batch.boxes, batch.mask, config.nms_threshold)
        return Objects(batch.boxes, labels, probabilities.gather(-1, labels[..., None])[..., 0], batch.mask)
    if outputs.own is not None and outputs.own.any():
        objects, detected = beside_detected(batch, outputs, probabilities)
    else:
        scores, labels = probabilities[..., 1:].max(-1)
        objects, detected = Objects(batch.boxes, labels + 1, scores, batch.mask), None
    if task == "sgcls":  # every box is something
        boxes, labels, scores, _ = (part[:, : batch.mask.shape[1]] for part in objects)
        return Objects(boxes, labels, scores.clamp(min=0), batch.mask)
    return objects._replace(mask=suppress(*objects, config.nms_threshold, detected))


def beside_detected(batch: Batch, outputs: Outputs, probabilities: Tensor) -> tuple[Objects, Tensor]:
    """What the regions are by the model, and again by the detector, V more, where the model says otherwise.

    Args:
        batch: Of B images with V regions.
        outputs: Of a model that starts from the detector's answer.
        probabilities: [B, V, 1 + C], of its objects.

    Returns:
        The 2 V objects of each image, and which of them are as the detector says, [B, 2 V] bool.
    """
    detected, doubt, own = outputs.detected, outputs.doubt, outputs.own
    assert detected is not None and doubt is not None and own is not None
    certainty, named = (detected * own).sum(-1), own.any(-1)
    name = probabilities.masked_fill(~own, -1)[..., 1:].argmax(-1) + 1
    other, other_name = probabilities.masked_fill(own | (doubt >= 1), -1)[..., 1:].max(-1)
    agreed = named & (certainty >= other)
    labels, scores = torch.where(agreed, name, other_name + 1), torch.where(agreed, certainty, other)
    # A name that the detector would have used it has not seen, and where the vocabulary has no other, nothing is there.
    there, beside = batch.mask & (agreed | (other >= 0)), batch.mask & named & ~agreed
    objects = Objects(
        batch.boxes.repeat(1, 2, 1),
        torch.cat([labels, name], 1),
        torch.cat([scores, certainty], 1),
        torch.cat([there, beside], 1),
    )
    return objects, torch.cat([agreed, beside], 1)


def _graphs(model: SggModel, batch: Batch, pairs: Tensor, config: InferenceConfig, task: GraphTask) -> list[Graph]:
    outputs = model(batch)
    boxes, labels, scores, stays = _objects(batch, outputs, config, task)
    image, subject, object_ = pairs.unbind(1)
    predicates = outputs.predicates.float().softmax(-1)
    strength = scores[image, subject] * scores[image, object_] * predicates[:, 1:].amax(-1)
    strength = strength.masked_fill(~(stays[image, subject] & stays[image, object_]), -1)

    width = batch.mask.shape[1]
    table = strength.new_full((len(batch.mask), width * width), -1)
    table[image, subject * width + object_] = strength
    row = torch.zeros(table.shape, dtype=torch.int64, device=table.device)
    row[image, subject * width + object_] = torch.arange(len(pairs), device=table.device)
    best, index = table.topk(min(config.pairs, table.shape[1]), dim=1)
    rows, kept = row.gather(1, index).cpu(), (best >= 0).cpu()
    pairs, predicates = pairs.cpu(), predicates.cpu()
    node = (stays.cumsum(1) - 1).cpu()
    boxes, labels, scores, stays = (t.cpu() for t in (boxes, labels, scores, stays))
    graphs = []
    for i in range(len(kept)):
        chosen = rows[i][kept[i]]
        graphs.append(
            Graph(
                boxes=boxes[i][stays[i]].numpy(),
                labels=labels[i][stays[i]].numpy(),
                scores=scores[i][stays[i]].numpy(),
                pairs=node[i][pairs[chosen, 1:]].numpy(),
                predicate_scores=predicates[chosen].numpy(),
            )
        )
    return graphs


def _empty(predicates: int) -> Graph:
    return Graph(
        boxes=np.zeros((0, 4), np.float32),
        labels=np.zeros(0, np.int64),
        scores=np.zeros(0, np.float32),
        pairs=np.zeros((0, 2), np.int64),
        predicate_scores=np.zeros((0, 1 + predicates), np.float32),
    )
