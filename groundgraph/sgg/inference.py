"""From regions to scene graphs with a trained model: detection (SGDet), and given boxes (SGCls) or labels (PredCls)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from groundgraph.data.store import counts_of
from groundgraph.data.types import Graph, Regions
from groundgraph.errors import InputError
from groundgraph.models.device import device_of_model
from groundgraph.sgg.batch import Batch, Unions, collate, ordered_pairs, with_pairs
from groundgraph.sgg.decoding import commit_labels, suppress

Task = Literal["sgdet", "sgcls", "predcls"]


class InferenceConfig(BaseModel):
    """pairs: kept an image; overlapping: only pairs whose boxes overlap, where the data set's evaluation says so;
    images: how many go through the model at once. nms and duplicates are what becomes of two overlapping boxes with one
    label: "drop": of two with IoU > nms the lower falls; "relabel": the surest label is committed first and denied to
    the boxes whose IoU with it is at least nms, which take their next best (published, with .3)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: int = Field(100, gt=0)
    nms: float = Field(0.5, ge=0, le=1)
    duplicates: Literal["drop", "relabel"] = "drop"
    overlapping: bool = False
    images: int = Field(16, gt=0)


@torch.no_grad()
def predict(
    model: nn.Module,
    regions: Sequence[Regions],
    config: InferenceConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
    *,
    task: Task = "sgdet",
    labels: Sequence[np.ndarray] | None = None,
    unions: Unions | None = None,
) -> list[Graph]:
    """Scene graphs of images from their regions; an image without regions gets an empty graph.

    task    "sgdet": regions are what a detector proposes, and config says what becomes of duplicates. "sgcls":
            regions are the true boxes, with features that the detector pooled from them; the graph has these boxes, in
            order, and labels are the model's. "predcls": the labels are given too, and the objects' scores are 1.
            With given boxes every pair counts, overlapping or not.
    labels  for predcls: [V] int in 1..C, an array an image
    unions  the detector's features of the boxes around pairs, for a model with `union: visual`

    An object's label is its best category, its score that category's probability. The pairs are ranked by subject
    score x object score x best predicate score, the first config.pairs kept. progress(done, total) is called after
    each batch. The model's mode is left as it was. Raises InputError where task and labels do not fit.
    """
    config = config or InferenceConfig()
    _check_task(model, regions, task, labels)
    device = device_of_model(model)
    graphs = [_empty(model.sizes.predicates)] * len(regions)
    filled = np.flatnonzero(counts_of(regions)).tolist()
    training = model.training
    model.eval()
    try:
        for start in range(0, len(filled), config.images):
            here = filled[start : start + config.images]
            batch = collate([regions[i] for i in here], None if labels is None else [labels[i] for i in here])
            pairs = ordered_pairs(batch, config.overlapping and task == "sgdet")
            batch = with_pairs(batch, pairs, here, unions).to(device)
            for i, graph in zip(here, _graphs(model, batch, config, task), strict=True):
                graphs[i] = graph
            if progress:
                progress(min(start + config.images, len(filled)), len(filled))
    finally:
        model.train(training)
    return graphs


def _check_task(model: nn.Module, regions: Sequence[Regions], task: str, labels: Sequence[np.ndarray] | None) -> None:
    if task not in get_args(Task):
        raise InputError(f"task is {task!r}: it is one of {', '.join(get_args(Task))}")
    if (labels is not None) != (task == "predcls"):
        raise InputError(f"task {task}: labels are given for predcls, and for predcls only")
    if labels is None:
        return
    if len(labels) != len(regions):
        raise InputError(f"{len(labels)} images with labels for {len(regions)} with boxes")
    flat = np.concatenate([np.asarray(part).reshape(-1) for part in labels]) if len(labels) else np.zeros(0)
    if ((flat < 1) | (flat > model.sizes.categories)).any():
        raise InputError(f"given labels must lie in 1..{model.sizes.categories}")


def _objects(batch: Batch, logits: Tensor, config: InferenceConfig, task: Task) -> tuple[Tensor, Tensor, Tensor]:
    """Labels [B, V] in 1..C, their scores [B, V], and which boxes stay [B, V]."""
    if task == "predcls":
        return batch.targets, torch.ones_like(batch.scores), batch.mask
    probabilities = logits.float().softmax(-1)
    if task == "sgdet" and config.duplicates == "relabel":
        labels = commit_labels(probabilities, batch.boxes, batch.mask, config.nms)
        return labels, probabilities.gather(-1, labels[..., None])[..., 0], batch.mask
    scores, labels = probabilities[..., 1:].max(-1)
    labels = labels + 1
    if task == "sgcls":
        return labels, scores, batch.mask
    return labels, scores, suppress(batch.boxes, labels, scores, batch.mask, config.nms)


def _graphs(model: nn.Module, batch: Batch, config: InferenceConfig, task: Task) -> list[Graph]:
    outputs, pairs = model(batch), batch.pairs
    labels, scores, stays = _objects(batch, outputs.objects, config, task)
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
    boxes, labels, scores, stays = (t.cpu() for t in (batch.boxes, labels, scores, stays))
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
