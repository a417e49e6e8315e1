"""Motifs beside a plain port of the released formulation: training steps, all pairs, one image from regions to graph.

    python benchmarks/motifs.py [--threads 1] [--repeats 7]

The plain port (`plain_motifs.py`) does what the released code does and how: packed LSTMs; a decoder that joins, at each
place, the region, its context and the label before it, and multiplies all of them; subject and object of every pair
joined and multiplied; suppression of labels by boxes a category. Ours are the recipe `official-release`, which has the
plain port's weights and is checked to give its logits, and `vg-caption-ours`, whose LSTMs are as wide (512 a
direction). VG150's sizes: 1,536 features, 600 categories of the detector, 150 categories, 50 predicates.

- training: 16 images of 36 regions, 256 pairs each; forward, and forward with backward;
- all pairs: the 20,160 of 16 images; forward at inference, and forward with backward;
- ragged: the training step with 18 to 36 regions an image;
- image: one image, 1,260 pairs, from regions to its graph.

Seconds of processor time: the models take turns, and the medians of the turns are compared. The last line is one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from plain_motifs import PlainMotifs, plain_graph

from groundgraph.data.types import Regions
from groundgraph.sgg.batch import Batch, SggModel, Sizes, collate, ordered_pairs
from groundgraph.sgg.inference import predict
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.motifs_checkpoint import start_from_release
from groundgraph.stages.recipe import find_recipe, load_recipe

SIZES = Sizes(features=1536, detector_categories=600, categories=150, predicates=50)
IMAGES, REGIONS, PAIRS = 16, 36, 256


def regions_of(count: int, seed: int) -> Regions:
    """Random regions of a picture of 800 x 600 pixels."""
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 400, (count, 2))
    return Regions(
        boxes=np.concatenate([corner, corner + rng.uniform(20, 200, (count, 2))], 1).astype(np.float32),
        labels=rng.integers(0, SIZES.detector_categories, count),
        scores=rng.random(count).astype(np.float32),
        features=np.abs(rng.standard_normal((count, SIZES.features))).astype(np.float32),
        size=(800, 600),
    )


def batch_of(counts: list[int], pairs: int | None) -> Batch:
    """Images of some regions with targets, a quarter of them labelled, and so many pairs an image (None: all)."""
    rng = np.random.default_rng(1)
    targets = [rng.integers(0, 151, n) * (rng.random(n) < 0.25) for n in counts]
    batch = collate([regions_of(n, i) for i, n in enumerate(counts)], targets)
    chosen = ordered_pairs(batch)
    if pairs is not None:
        image = chosen[:, 0].numpy()
        kept = [rng.choice(np.flatnonzero(image == i), min(pairs, n * (n - 1)), False) for i, n in enumerate(counts)]
        chosen = chosen[torch.from_numpy(np.sort(np.concatenate(kept)))]
    return replace(batch, pairs=chosen)


def steps(model: torch.nn.Module, batch: Batch, training: bool) -> dict[str, Callable[[], object]]:
    """Forward, and forward with backward, of the sum of all logits; at inference nothing is known of the objects."""

    def forward() -> object:
        model.train(training)
        if training:
            return model(batch)
        with torch.inference_mode():
            return model(replace(batch, targets=None))

    def both() -> None:
        model.train()
        model.zero_grad(set_to_none=True)
        outputs = model(batch)
        (outputs.objects[batch.mask].logsumexp(-1).mean() + outputs.predicates.logsumexp(-1).mean()).backward()

    return {"forward": forward, "step": both}


def times(calls: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """The median processor time of each call; they take turns, so that a busy machine slows all alike."""
    spent: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(repeats + 1):
        for name, call in calls.items():
            start = time.process_time()
            call()
            if turn:  # the first one warms up
                spent[name].append(time.process_time() - start)
    return {name: statistics.median(values) for name, values in spent.items()}


def largest_difference(plain: PlainMotifs, ours: SggModel) -> float:
    """The largest difference of the two models' logits, in training (without dropout) and at inference."""
    config, dropout = ours.config, plain.dropout
    ours.config, plain.dropout = config.model_copy(update={"dropout": 0.0}), 0.0
    worst = 0.0
    for batch, training in ((batch_of([36, 20, 7], None), True), (batch_of([36], None), False)):
        known = batch if training else replace(batch, targets=None)
        with torch.no_grad():
            theirs, own = plain.train(training)(known), ours.train(training)(known)
        worst = max(worst, (theirs.objects - own.objects)[batch.mask].abs().max().item())
        worst = max(worst, (theirs.predicates - own.predicates).abs().max().item())
    ours.config, plain.dropout = config, dropout
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    recipes = {name: load_recipe(find_recipe(name)).sgg for name in ("official-release", "vg-caption-ours")}
    models = {name: Motifs(SIZES, recipe.motifs) for name, recipe in recipes.items()}
    plain = PlainMotifs(SIZES)
    start_from_release(models["official-release"], plain.state_dict(), "the plain port")
    result: dict[str, object] = {
        "parameters": {
            name: sum(p.numel() for p in model.parameters()) for name, model in {"plain": plain, **models}.items()
        },
        "largest difference": largest_difference(plain, models["official-release"]),
    }
    print(f"parameters {result['parameters']}; largest difference of logits {result['largest difference']:.1e}")
    every = {"plain": plain, **models}
    ragged = np.random.default_rng(2).integers(18, 37, IMAGES).tolist()
    for name, batch in (
        ("training", batch_of([REGIONS] * IMAGES, PAIRS)),
        ("ragged", batch_of([36, *ragged[1:]], PAIRS)),
        ("all pairs", batch_of([REGIONS] * IMAGES, None)),
    ):
        training = name != "all pairs"
        for part in ("forward", "step"):
            if part == "forward" and not training:
                # The plain port, as the released code, decodes one image at a time.
                single = [batch_of([REGIONS], None)] * IMAGES
                calls = {n: steps(m, batch, False)[part] for n, m in models.items()}
                alone = steps(plain, single[0], False)[part]
                calls = {"plain": lambda alone=alone: [alone() for _ in range(IMAGES)], **calls}
            else:
                calls = {n: steps(m, batch, training)[part] for n, m in every.items()}
            report(result, f"{name}, {part}", times(calls, arguments.repeats))
    one = regions_of(REGIONS, 0)
    calls = {n: lambda m=m, n=n: predict(m, [one], recipes[n].inference) for n, m in models.items()}
    for model in every.values():
        model.eval()
    report(result, "image", times({"plain": lambda: plain_graph(plain, one), **calls}, 3 * arguments.repeats))
    print(json.dumps(result))


def report(result: dict[str, object], name: str, seconds: dict[str, float]) -> None:
    """Print and keep the seconds of a case and how many times as fast as the plain port each model is."""
    faster = {f"{n}: times as fast": seconds["plain"] / s for n, s in seconds.items() if n != "plain"}
    result[name] = {f"{n}: s": s for n, s in seconds.items()} | faster
    texts = [
        f"{n} {s:.4f} s" + (f" ({seconds['plain'] / s:.2f} x)" if n != "plain" else "") for n, s in seconds.items()
    ]
    print(f"{name}: {', '.join(texts)}", flush=True)


if __name__ == "__main__":
    main()
