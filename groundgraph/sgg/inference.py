"""Scene-graph detection (SGDet): from regions to graphs with a trained model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from groundgraph.data.types import Graph, Regions
from groundgraph.sgg.batch import Batch, box_iou, collate, ordered_pairs


class InferenceConfig(BaseModel):
    """pairs: kept an image; nms: IoU above which the lower of two boxes with one label falls; overlapping: only pairs
    whose boxes overlap, where the data set's evaluation says so; images: how many go through the model at once."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pairs: int = Field(100, gt=0)
    nms: float = Field(0.5, ge=0, le=1)
    overlapping: bool = False
    images: int = Field(16, gt=0)


@torch.no_grad()
def predict(
    model: nn.Module,
    regions: Sequence[Regions],
    config: InferenceConfig | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Graph]:
    """Scene graphs of images from their regions; an image without regions gets an empty graph.

    An object's label is its best category, its score that category's probability. Of boxes with one label that
    overlap, the best stays. The pairs that are left are ranked by subject score x object score x best predicate score,
    the first config.pairs kept. progress(done, total) is called after each batch. The model's mode is left as it was.
    """
    config = config or InferenceConfig()
    device = next(model.parameters()).device
    graphs = [_empty(model.sizes.predicates)] * len(regions)
    filled = [i for i in range(len(regions)) if len(regions[i])]
    training = model.training
    model.eval()
    try:
        for start in range(0, len(filled), config.images):
            here = filled[start : start + config.images]
            batch = collate([regions[i] for i in here]).to(device)
            for i, graph in zip(here, _graphs(model, batch, config), strict=True):
                graphs[i] = graph
            if progress:
                progress(min(start + config.images, len(filled)), len(filled))
    finally:
        model.train(training)
    return graphs


def suppress(boxes: Tensor, labels: Tensor, scores: Tensor, mask: Tensor, threshold: float) -> Tensor:
    """Non-maximum suppression within each label, for a batch of images: which boxes stay, [B, V] bool.

    boxes [B, V, 4], labels and scores [B, V], mask [B, V] (padding never stays). A box falls where a better one of its
    label that stays has IoU > threshold with it; of equal scores the earlier is better.
    """
    order = scores.masked_fill(~mask, -1).argsort(dim=1, descending=True, stable=True)
    boxes = boxes.gather(1, order[..., None].expand_as(boxes))
    labels, mask = labels.gather(1, order), mask.gather(1, order)
    rivals = (box_iou(boxes) > threshold) & (labels[:, :, None] == labels[:, None])
    rivals = torch.triu(rivals & mask[:, :, None], diagonal=1).float()
    # "Stays unless one that stays is better" has one solution; every round settles one more place of the ranking.
    stays = mask
    while True:
        fallen = torch.bmm(stays[:, None].float(), rivals)[:, 0] > 0
        settled = mask & ~fallen
        if torch.equal(settled, stays):
            return torch.zeros_like(mask).scatter(1, order, stays)
        stays = settled


def _graphs(model: nn.Module, batch: Batch, config: InferenceConfig) -> list[Graph]:
    pairs = ordered_pairs(batch, config.overlapping)
    outputs = model(replace(batch, pairs=pairs))
    scores, labels = outputs.objects.float().softmax(-1)[..., 1:].max(-1)
    stays = suppress(batch.boxes, labels, scores, batch.mask, config.nms)
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
    boxes, labels, scores, stays = (t.cpu() for t in (batch.boxes, labels + 1, scores, stays))
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
