"""Entities a second of grounder training against a loop that reads one feature file an entity, as the released code.

    python benchmarks/grounder_training.py [--images 200] [--threads 1]

Both learn from steps of 24 images with 10 entities each, L_MIL and L_KD, on the same seeded data: 36 regions of 1536
features, 12 entities of 768 an image, 768 dimensions. The loop loads and scores as the released code does: for every
entity its image's npz file is opened and its features are padded and encoded, and every product h_i * v_j is held in
memory. Ours reads the features once, encodes each image once for all its entities and both losses, and scores by
matrix products. Two more rows tell what is gained by which: ours with dropout on every product, as released, which has
to hold the products too; and the released scheme of batches (entities from anywhere for L_KD), in which hardly two
entities of a batch share an image. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import kl_div, log_softmax, normalize

from groundgraph.grounding.batches import batches
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.two_teachers import TwoTeachers

REGIONS, ENTITIES, WORD, FEATURE, SIZE, IMAGES, EACH = 36, 12, 768, 1536, 768, 24, 10


def seeded(images: int) -> list[GroundingImage]:
    rng = np.random.default_rng(0)
    grounded = []
    for _ in range(images):
        targets = rng.random((2, ENTITIES, REGIONS)).astype(np.float32) ** 8
        targets /= targets.sum(-1, keepdims=True)
        words = rng.normal(size=(ENTITIES, WORD)).astype(np.float32)
        features = rng.normal(size=(REGIONS, FEATURE)).astype(np.float32)
        grounded.append(GroundingImage(words, features, *targets))
    return grounded


def loop(data: list[GroundingImage], folder: Path, steps: int) -> float:
    """Entities a second of the released way of loading and scoring."""
    for number, image in enumerate(data):
        np.savez(folder / f"{number}.npz", feat=image.features)
    torch.manual_seed(0)
    model = TwoTeachers(WORD, FEATURE, GroundingConfig(dimension=SIZE, fusing="average", normalise=True)).train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    rng = np.random.default_rng(1)

    def read(number: int) -> torch.Tensor:
        padded = torch.zeros(REGIONS, FEATURE)
        with np.load(folder / f"{number}.npz") as file:
            features = torch.from_numpy(file["feat"])
        padded[: len(features)] = features
        return padded

    def score(words: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
        product = normalize(model.text(words), dim=-1) * normalize(model.visual(regions), dim=-1)
        return model.attend(torch.nn.functional.dropout(product, 0.2)).squeeze(-1)

    began = time.perf_counter()
    for _ in range(steps):
        several = rng.permutation(len(data))[:IMAGES]
        chosen = [(k, e) for k in several for e in rng.permutation(ENTITIES)[:EACH]]
        words = torch.stack([torch.from_numpy(data[k].embeddings[e]) for k, e in chosen])
        regions = torch.stack([read(k) for k, _ in chosen])
        targets = torch.stack([torch.from_numpy((data[k].object[e] + data[k].interaction[e]) / 2) for k, e in chosen])
        captions = words.view(IMAGES, EACH, -1)
        pictures = torch.stack([read(int(k)) for k in several])
        optimiser.zero_grad()
        best = score(captions[:, :, None, None], pictures[None, None]).amax(-1).mean(1)
        (best * (1 - torch.eye(IMAGES)) - best.diagonal()[:, None] + 0.2).clamp(min=0).mean().backward()
        scores = score(words[:, None], regions)
        kl_div(log_softmax(scores, 1), targets, reduction="none").sum(1).mean().backward()
        optimiser.step()
    return steps * IMAGES * EACH / (time.perf_counter() - began)


def ours(data: list[GroundingImage], steps: int, **changes) -> float:
    """Entities a second of the package's training loop, from the first batch on."""
    config = GroundingConfig(
        dimension=SIZE,
        fusing="average",
        normalise=True,
        batch_size=IMAGES,
        entities=EACH,
        entity_batch_size=IMAGES * EACH,
        **changes,
    )
    torch.manual_seed(0)
    model = TwoTeachers(WORD, FEATURE, config).train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-3)
    padded, generator = pad(data), torch.Generator().manual_seed(0)
    began, entities, done = time.perf_counter(), 0, 0
    while done < steps:
        for step in batches(padded, config, 0, generator):
            optimiser.zero_grad(set_to_none=True)
            torch.stack(list(model.losses(step, generator).values())).sum().backward()
            optimiser.step()
            done, entities = done + 1, entities + int(step.entities.entities.sum())
            if done == steps:
                break
    return entities / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    data = seeded(options.images)
    with tempfile.TemporaryDirectory() as folder:
        slow = loop(data, Path(folder), 3)
    speeds = {
        "ours": ours(data, 20),
        "dropout on every product": ours(data, 3, dropout_on="product"),
        "released batches": ours(data, 5, scheme="entities"),
    }
    print(f"one file an entity, every product held: {slow:,.0f} entities a second")
    for name, figure in speeds.items():
        print(f"{name}: {figure:,.0f}, {figure / slow:.1f} times as many")
    ratios = {f"{name}, times faster": figure / slow for name, figure in speeds.items()}
    print(json.dumps({"loop, entities a second": slow, "ours, entities a second": speeds["ours"]} | ratios))


if __name__ == "__main__":
    main()
