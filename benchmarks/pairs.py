"""The pair grounder's training step against the paper's grounder's, and against a loop over images.

    python benchmarks/pairs.py [--threads 1] [--repeats 5] [--dimension 768]

24 images of 36 regions with 10 entities and 5 triplets each: 1,260 pairs of regions a triplet. A step is forward and
backward of all losses, encoders included (768-d words, 1536-d regions). The loop grounds one image after the other,
and, for the contrasts, every triplet against every image by itself; its losses are the same, as is checked. Memory is
bounded whatever the captions' length: the same step is taken with 50 entities and 60 triplets an image. Processor time.
The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from groundgraph.grounding.batches import Step
from groundgraph.grounding.beliefs import propagate
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, PaddedSet, pad
from groundgraph.grounding.layers import MASKED_LOGIT
from groundgraph.grounding.pairs import Pairs, confident, pair_distillation
from groundgraph.grounding.two_teachers import TwoTeachers

IMAGES, REGIONS, WORD, FEATURE = 24, 36, 768, 1536


def images(entities: int, triplets: int) -> PaddedSet:
    """A batch of random images."""
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(IMAGES):
        corners = np.sort(rng.random((REGIONS, 2, 2)), 1).reshape(REGIONS, 4).astype(np.float32)
        named = (rng.random((entities, REGIONS)) < 0.1).astype(np.float32)
        looked = rng.random((entities, REGIONS)).astype(np.float32)
        rows.append(
            GroundingImage(
                rng.standard_normal((entities, WORD)).astype(np.float32),
                rng.standard_normal((REGIONS, FEATURE)).astype(np.float32),
                named / np.maximum(named.sum(1, keepdims=True), 1),
                looked / looked.sum(1, keepdims=True),
                triplets=np.stack([rng.permutation(entities)[:2] for _ in range(triplets)]),
                predicates=rng.standard_normal((triplets, WORD)).astype(np.float32),
                boxes=corners,
            )
        )
    return pad(rows)


def loop(model: Pairs, batch: PaddedSet) -> Tensor:
    """The sum of the losses, one image, and one (triplet, image), after the other."""
    own = model.config.pairs
    kd = pairs = torch.zeros(())
    singles = [batch.take(torch.tensor([n]), torch.arange(batch.entities.shape[1])[None], batch.entities[n : n + 1])
               for n in range(len(batch))]  # fmt: skip
    encoded = [(model.encode_text(s.embeddings), model.encode_regions(s.features)) for s in singles]
    features = [model.pair_features(v, s.boxes) for s, (_, v) in zip(singles, encoded, strict=True)]
    queries = [model.queries(h, s) for s, (h, _) in zip(singles, encoded, strict=True)]
    for s, (h, v), f, q in zip(singles, encoded, features, queries, strict=True):
        unary = model.unary(h, v, s.regions)
        _, joint = propagate(unary, model.fit(q, f, s.regions)[0], s.triplets, s.triplet_mask, own.rounds)
        named = confident(s.object, s.confidences)
        target = model.fused(torch.cat([named.unsqueeze(2), s.targets[:, :, 1:]], 2), s.reliability)
        weight = torch.where(s.object.sum(-1) > 0, 1.0, own.unknown_weight)
        kd = kd - ((target * unary.log_softmax(-1)).sum(-1) * weight).sum()
        pairs = pairs + pair_distillation(joint, target * weight.unsqueeze(-1), s, True)
    count = batch.entities.sum()
    of_entities, of_triplets, owners = [], [], []
    for n, (s, (h, _), q) in enumerate(zip(singles, encoded, queries, strict=True)):
        rows = [model.scores(h, v)[0] for _, v in encoded]
        of_entities.append(torch.stack([row.logsumexp(-1) - np.log(row.shape[-1]) for row in rows], -1))
        for t, (subject, object_) in enumerate(s.triplets[0].tolist()):
            scores = []
            for row, f in zip(rows, features, strict=True):
                joint = (f[0] @ q[0, t]) + row[subject].unsqueeze(-1) + row[object_].unsqueeze(-2)
                joint = joint.masked_fill(torch.eye(len(joint), dtype=torch.bool), MASKED_LOGIT)
                scores.append(joint.flatten().logsumexp(-1) - np.log(len(joint) * (len(joint) - 1)))
            of_triplets.append(torch.stack(scores))
            owners.append(n)
    words = torch.arange(len(batch)).repeat_interleave(batch.entities.shape[1])
    contrast = cross_entropy(torch.cat(of_entities), words)
    pair_contrast = cross_entropy(torch.stack(of_triplets), torch.tensor(owners))
    return (
        kd / count
        + own.pair_weight * pairs / count
        + own.contrast_weight * contrast
        + own.pair_contrast_weight * pair_contrast
    )


def batched(model: TwoTeachers, batch: PaddedSet) -> Tensor:
    """The sum of the losses, as the package has them."""
    return torch.stack(list(model.losses(Step(batch, batch, None), torch.Generator().manual_seed(0)).values())).sum()


def seconds(step: Callable, model: TwoTeachers, batch: PaddedSet, repeats: int) -> tuple[float, float]:
    """The least of a few forward and backward passes, and the loss."""
    taken, loss = [], torch.zeros(())
    for _ in range(repeats + 1):
        model.zero_grad(set_to_none=True)
        began = time.process_time()
        loss = step(model, batch)
        loss.backward()
        taken.append(time.process_time() - began)
    return min(taken[1:]), loss.item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--dimension", type=int, default=768)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    figures: dict[str, float] = {}
    batch = images(10, 5)
    models = {}
    for name, kind, own in (
        ("paper", TwoTeachers, {}),
        ("pairs", Pairs, {}),
        ("pairs, all triplets", Pairs, {"contrast_triplets": 1000}),
    ):
        torch.manual_seed(0)
        config = GroundingConfig(dimension=options.dimension, dropout=0.0, fusing="average", pairs=own)
        models[name] = kind(WORD, FEATURE, config)
        figures[f"{name}, s"], loss = seconds(batched, models[name], batch, options.repeats)
    figures["loop, s"], naive = seconds(loop, models["pairs, all triplets"], batch, 1)
    assert abs(loss - naive) < 1e-3 * abs(naive), (loss, naive)
    figures["pairs, 50 entities, s"], _ = seconds(batched, models["pairs"], images(50, 60), 1)
    figures["pairs / paper"] = figures["pairs, s"] / figures["paper, s"]
    figures["loop / pairs, all triplets"] = figures["loop, s"] / figures["pairs, all triplets, s"]
    for name, value in figures.items():
        print(f"{name:30} {value:8.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
