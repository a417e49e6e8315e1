"""Held-out figures of the vision-language model: which of two alike is meant, and is a caption true."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from transformers import ViTImageProcessorPil

from groundgraph.data.minigenome import Scene
from groundgraph.data.minigenome.captions import Noun, relation_caption
from groundgraph.teachers.albef import AlbefModel
from groundgraph.teachers.gradcam import gradcam
from groundgraph.teachers.interaction import region_scores
from groundgraph.teachers.pixels import normalise
from tools.corpus import Corpus, triplets
from tools.vl_data import Tag

# Which tags' maps are added up, by role.
TAGS_TRIED = {
    0: (("noun",), ("subject",), ("noun", "subject"), ("triplet",), ("noun", "triplet")),
    1: (("noun",), ("object",), ("noun", "object"), ("triplet",), ("noun", "triplet")),
}


def rivals(scene: Scene, predicate: str, target: int) -> list[int]:
    """Objects of the target's category that take no part in a relation of the predicate, and the target itself.

    Two or more make the case ambiguous: only the picture tells which is meant.
    """
    busy = {i for s, p, o in scene.relations if p == predicate for i in (s, o)}
    category = scene.objects[target].category
    return [i for i, o in enumerate(scene.objects) if o.category == category and (i == target or i not in busy)]


def cases(scene: Scene) -> Iterator[tuple[int, int, int, list[int]]]:
    """(relation, role, object, rivals) of each captioned relation's subject (role 0) and object (role 1)."""
    for r in scene.captioned:
        subject, predicate, obj = scene.relations[r]
        for role, target in enumerate((subject, obj)):
            yield r, role, target, rivals(scene, predicate, target)


class HitRates:
    """Right answers by name; a tie is broken at random, as its expected value."""

    def __init__(self) -> None:
        self.right: dict[str, list[float]] = defaultdict(list)

    def add(self, name: str, scores: np.ndarray, candidates: list[int], target: int) -> None:
        values = scores[candidates]
        best = np.flatnonzero(values >= values.max() - 1e-9)
        self.right[name].append((candidates.index(target) in best) / len(best))

    def means(self) -> dict[str, float]:
        return {name: float(np.mean(values)) for name, values in sorted(self.right.items())}


def boxes(scene: Scene) -> np.ndarray:
    """[objects, 4] true boxes in pixels; only measuring reads them."""
    return np.array([o.box for o in scene.objects], np.float32)


@torch.inference_mode()
def tag_grounding(
    model: AlbefModel,
    head: nn.Module,
    tags: dict[Tag, int],
    corpus: Corpus,
    preparation: ViTImageProcessorPil,
    count: int,
) -> dict[str, float]:
    """The tower's own tag maps as a grounder, by Eq. 7 with true boxes: noun alone, interaction alone, both."""
    hits, side = HitRates(), corpus.images.shape[1]
    training = model.training
    model.eval()
    for i in range(0, min(count, len(corpus)), 50):
        pixels = normalise(preparation, torch.from_numpy(corpus.images[i : i + 50]))
        image = model.image_states(pixels)
        for scene, cells in zip(corpus.scenes[i : i + 50], head(image.states), strict=True):
            for r, role, target, alike in cases(scene):
                s, p, o = scene.relations[r]
                words = (scene.objects[s].category, _lemma(p), scene.objects[o].category)
                by_kind = {
                    "noun": ("noun", words[2 * role]),
                    "subject": ("subject", *words[:2]),
                    "object": ("object", *words[1:]),
                    "triplet": ("triplet", *words),
                }
                for kinds in TAGS_TRIED[role]:
                    numbers = [tags[by_kind[k]] for k in kinds if by_kind[k] in tags]
                    if len(numbers) < len(kinds):
                        continue
                    phi = cells[:, numbers].sum(1).softmax(0).view(1, *image.grid).numpy()
                    score = region_scores(phi, boxes(scene), (side, side))[0]
                    name = f"{'so'[role]} {'+'.join(kinds)}"
                    hits.add(f"{name} top", score, list(range(len(scene.objects))), target)
                    if len(alike) > 1:
                        hits.add(f"{name} amb", score, alike, target)
    model.train(training)
    return {name: round(value, 3) for name, value in hits.means().items()}


def _lemma(predicate: str) -> str:
    first, _, rest = predicate.partition(" ")
    return " ".join(filter(None, (_LEMMAS.get(first, first), rest)))


_LEMMAS = {
    "riding": "ride", "sitting": "sit", "standing": "stand", "lying": "lie", "holding": "hold", "flying": "fly",
    "walking": "walk", "pushing": "push", "kicking": "kick", "wearing": "wear", "eating": "eat", "has": "have",
}  # fmt: skip


def noun(scene: Scene, index: int, rng: random.Random) -> Noun:
    """An object as a caption names it, with its colour now and then."""
    thing = scene.objects[index]
    return Noun(thing.category, (index,), thing.colour if rng.random() < 0.3 else "")


def grounding(
    model: AlbefModel, tokenizer, corpus: Corpus, preparation: ViTImageProcessorPil, count: int, seed: int = 5
) -> dict[str, float]:
    """Grad-CAM with true boxes as regions (Eq. 7): the right one of two alike, and the right one of all objects."""
    rng, hits, side = random.Random(seed), HitRates(), corpus.images.shape[1]
    training = model.training
    model.eval()
    for i in range(min(count, len(corpus))):
        scene = corpus.scenes[i]
        if not scene.captioned:
            continue
        written = {
            r: relation_caption(noun(scene, s, rng), p, noun(scene, o, rng), rng)
            for r, (s, p, o) in ((r, scene.relations[r]) for r in scene.captioned)
        }
        encoded = tokenizer(
            [c.text for c in written.values()], padding=True, return_offsets_mapping=True, return_tensors="pt"
        )
        with torch.no_grad():
            image = model.image_states(normalise(preparation, torch.from_numpy(corpus.images[i : i + 1])))
        maps = gradcam(model, image, encoded["input_ids"][None], encoded["attention_mask"][None])[0].numpy()
        row = {r: k for k, r in enumerate(written)}
        for r, role, target, alike in cases(scene):
            start, end = next((a, b) for a, b, meant in written[r].mentions if meant == (target,))
            offsets = encoded["offset_mapping"][row[r]].numpy()
            places = (offsets[:, 0] < end) & (offsets[:, 1] > start)
            score = region_scores(maps[row[r], places].mean(0)[None], boxes(scene), (side, side))[0]
            who = ("subject", "object")[role]
            hits.add(f"Grad-CAM, right of all objects, {who}", score, list(range(len(scene.objects))), target)
            if len(alike) > 1:
                hits.add(f"Grad-CAM, right of two alike, {who}", score, alike, target)
                hits.add("Grad-CAM, right of two alike", score, alike, target)
                hits.add("chance of the right of two alike", np.zeros(len(scene.objects)), alike, target)
    model.train(training)
    return {name: round(value, 4) for name, value in hits.means().items()}


@torch.inference_mode()
def matching(
    model: AlbefModel, tokenizer, corpus: Corpus, preparation: ViTImageProcessorPil, count: int, seed: int = 6
) -> dict[str, float]:
    """How often a true caption scores above a false one that shares two of three slots and occurs in the world."""
    rng = random.Random(seed)
    real = {triple for scene in corpus.scenes for triple in triplets(scene, scene.captioned)}
    training = model.training
    model.eval()
    right: list[float] = []
    for i in range(min(count, len(corpus))):
        scene = corpus.scenes[i]
        here = set(triplets(scene))
        pairs = []
        for r in scene.captioned:
            s, p, o = scene.relations[r]
            triple = (scene.objects[s].category, p, scene.objects[o].category)
            near = sorted(t for t in real - here if sum(a == b for a, b in zip(t, triple, strict=True)) == 2)
            if not near:
                continue
            false = rng.choice(near)
            one, two = noun(scene, s, rng), noun(scene, o, rng)
            pairs.append(relation_caption(one, p, two, rng).text)
            swapped = Noun(false[0], one.objects, one.colour), Noun(false[2], two.objects, two.colour)
            pairs.append(relation_caption(swapped[0], false[1], swapped[1], rng).text)
        if pairs:
            encoded = tokenizer(pairs, padding=True, return_tensors="pt")
            pixels = normalise(preparation, torch.from_numpy(corpus.images[i : i + 1]))
            logits = model(pixels, encoded["input_ids"][None], encoded["attention_mask"][None])[0]
            score = (logits[:, 1] - logits[:, 0]).view(-1, 2)
            right += (score[:, 0] > score[:, 1]).float().tolist()
    model.train(training)
    return {"true caption above a plausible false one": round(float(np.mean(right)), 4)}
