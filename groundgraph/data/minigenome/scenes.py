"""MiniGenome's scenes: what stands where, what it does to what, and which of two alike does it.

A scene is one or two interactions and, in most images, an idle twin of a participant: a second horse that nobody
rides, a second cup that nobody holds. The captions speak of the interactions; which of the two is meant can only be
told from the picture. Everything is drawn from `random.Random(f"{style}-{seed}-{index}")`, so a scene never changes.
"""

from __future__ import annotations

import random

from groundgraph.data.minigenome.builder import Builder, Scene, SceneObject
from groundgraph.data.minigenome.drawing import CANVAS
from groundgraph.data.minigenome.interactions import INTERACTIONS

__all__ = ["PREDICATES", "UNSEEN", "Scene", "SceneObject", "sample"]

PREDICATES: tuple[str, ...] = (
    "riding", "sitting on", "standing on", "lying on", "holding", "flying", "walking", "pushing", "kicking", "wearing",
    "eating", "behind", "under", "near", "on", "in", "has",
)  # fmt: skip
# Never labelled in the bundled detector's training: a fifth of the categories, of every kind.
UNSEEN = frozenset(
    {"zebra", "giraffe", "truck", "surfboard", "kite", "laptop", "guitar", "bed", "helmet", "tower", "vase"}
)


def sample(seed: int, index: int, style: str = "vg") -> Scene:
    """Scene `index` of world `seed`, the same pixels and truths at every call; style "vg" or "coco" (shifted)."""
    rng = random.Random(f"{style}-{seed}-{index}")
    b = Builder(rng, style)
    two = rng.random() < 0.85
    u = CANVAS * (rng.uniform(0.43, 0.53) if two else rng.uniform(0.55, 0.68)) * (1.0 if style == "vg" else 0.94)
    places = [0.26, 0.75] if two else [0.5]
    rng.shuffle(places)
    if rng.random() < 0.25:
        b.icon(
            rng.choice(("tree", "house", "tower", "bush")),
            rng.random() * CANVAS,
            b.horizon + rng.uniform(0.04, 0.12) * CANVAS,
            u * 0.8,
        )
    for number, place in enumerate(places):
        x = (place + rng.uniform(-0.03, 0.03)) * CANVAS
        ground, flip = CANVAS * rng.uniform(0.80, 0.96), rng.random() < 0.5
        parts = [i for r in b.captioned for i in (b.relations[r][0], b.relations[r][2]) if b.canvas.parent[i] == i]
        if number == 1 and parts and rng.random() < 0.85:
            category = b.canvas.categories[rng.choice(parts)]
            twin = b.twin(category, x, ground, u, flip)
            if rng.random() < 0.4:  # the twin stands by something, and nobody speaks of it
                other = b.icon(
                    rng.choice(("tree", "dog", "chair", "bag", "bush", "box", "flower")),
                    x + rng.choice((-0.42, 0.42)) * u,
                    ground + rng.uniform(-0.04, 0.04) * CANVAS,
                    u * 0.9,
                )
                b.relate(twin.index, "near", other.index, captioned=False)
        else:
            weights = [w[style == "coco"] for w in INTERACTIONS.values()]
            rng.choices(list(INTERACTIONS), weights)[0](b, x, ground, u, flip)
    if rng.random() < 0.3:
        b.icon(
            rng.choice(("ball", "box", "bag", "flower", "basket", "bottle", "bush")),
            rng.random() * CANVAS,
            CANVAS * rng.uniform(0.86, 0.99),
            u,
        )
    return b.finish()
