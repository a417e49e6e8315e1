"""Pictures and captions for the experts' training: drawn once from the experts' own part of MiniGenome."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np

from groundgraph.data.minigenome import EXPERT_SEED, HELDOUT_SEED, Scene, sample
from groundgraph.data.minigenome.captions import region_captions, scene_captions

SEEDS = {"expert": EXPERT_SEED, "heldout": HELDOUT_SEED}


@dataclass(frozen=True)
class Corpus:
    """Pictures with captions; index i is the same scene everywhere.

    images  [N, side, side, 3] uint8, or None where only words are wanted
    scenes  N scenes without their picture; their boxes are for measuring, no training of a captioner reads them
    texts   captions of each picture, first of regions, then of the whole scene
    """

    images: np.ndarray | None
    scenes: list[Scene]
    texts: list[list[str]]

    def __len__(self) -> int:
        return len(self.scenes)


def _draw(index: int, part: str, pictures: bool) -> tuple[np.ndarray | None, Scene, list[str]]:
    scene = sample(SEEDS[part], index)
    rng = random.Random(f"captions-{part}-{index}")
    captions = [c.text for c in region_captions(scene, rng)] + [c.text for c in scene_captions(scene, rng)]
    image = np.asarray(scene.image.convert("RGB")) if pictures else None
    return image, dataclasses.replace(scene, image=None), captions


def draw(part: str, count: int, pictures: bool = True, processes: int = 2) -> Corpus:
    """Draw `count` scenes of a part of the world ("expert" or "heldout"), the same ones every time."""
    work = partial(_draw, part=part, pictures=pictures)
    with get_context("spawn").Pool(processes) as pool:
        rows = pool.map(work, range(count), chunksize=max(1, min(200, count // processes)))
    images = np.stack([row[0] for row in rows]) if pictures else None
    return Corpus(images, [row[1] for row in rows], [row[2] for row in rows])


def triplet_sentence(subject: str, predicate: str, obj: str) -> str:
    """An unlocalized triplet as a plain sentence ("man", "riding", "horse" -> "a man riding a horse")."""
    return f"{article(subject)} {subject} {predicate} {article(obj)} {obj}"


def article(noun: str) -> str:
    """ "an" before a vowel, else "a"."""
    return "an" if noun[:1] in tuple("aeiou") else "a"


def world_captions(part: str, scenes: int) -> list[str]:
    """Captions of all three styles: of regions, of scenes, and sentences made of the captioned triplets."""
    corpus = draw(part, scenes, pictures=False)
    texts = [text for captions in corpus.texts for text in captions]
    for scene in corpus.scenes:
        texts += [triplet_sentence(*triplet) for triplet in triplets(scene, scene.captioned)]
    return texts


def triplets(scene: Scene, which: Sequence[int] | None = None) -> list[tuple[str, str, str]]:
    """A scene's relations (or those numbered in `which`) as (category, predicate, category)."""
    chosen = range(len(scene.relations)) if which is None else which
    relations = (scene.relations[i] for i in chosen)
    return [(scene.objects[s].category, predicate, scene.objects[o].category) for s, predicate, o in relations]
