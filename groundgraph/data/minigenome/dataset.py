"""MiniGenome as a data set: splits, the paper's three kinds of supervision, pictures drawn on demand and kept."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from groundgraph.data.files import atomic_write
from groundgraph.data.minigenome.captions import Caption, region_captions, scene_captions
from groundgraph.data.minigenome.scenes import Scene, sample
from groundgraph.data.types import Example, GroundTruth, Mention
from groundgraph.errors import InputError

SPLITS = {"train": (3, 4000), "validation": (4, 500), "test": (5, 1000)}  # world seed, images
SETTINGS = ("vg_caption", "coco_caption", "unlocalized_graph")


class MiniGenome:
    """One split of MiniGenome under one kind of supervision.

    Args:
        split: "train", "validation" or "test".
        setting: "vg_caption": several region captions an image; "coco_caption": two longer ones over a shifted image
            distribution; "unlocalized_graph": the captioned relations as bare triplets. Validation and test are the
            Visual-Genome-like world in every setting, as in the paper.
        folder: where pictures are kept as PNG files; each is drawn when its example is first read.
        limit: how many images; None: all of the split.

    Raises:
        InputError: on an unknown split or setting, or more images than the split has.
    """

    def __init__(self, split: str, setting: str, folder: Path, limit: int | None = None) -> None:
        if split not in SPLITS:
            raise InputError(f"MiniGenome has no split {split!r}: choose one of {', '.join(SPLITS)}")
        if setting not in SETTINGS:
            raise InputError(f"MiniGenome has no setting {setting!r}: choose one of {', '.join(SETTINGS)}")
        self.seed, size = SPLITS[split]
        if limit is not None and not 0 < limit <= size:
            raise InputError(f"MiniGenome's {split} split has {size} images; {limit} were asked for")
        self.split, self.setting, self.folder = split, setting, Path(folder)
        self.style = "coco" if setting == "coco_caption" and split == "train" else "vg"
        self._size = size if limit is None else limit

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Example]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Example:
        """The example, its picture on disk: `folder`/SPLIT-STYLE-00012.png."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        scene = sample(self.seed, index, self.style)
        name = f"{self.split}-{self.style}-{index:05d}"
        path = self.folder / f"{name}.png"
        if not path.exists():
            _keep(scene.image, path)
        captions, triplets, mentions = self._supervision(scene, index)
        return Example(name, str(path), captions, triplets, _truth(scene, mentions))

    def _supervision(
        self, scene: Scene, index: int
    ) -> tuple[tuple[str, ...], tuple[tuple[str, str, str], ...], tuple[Mention, ...]]:
        """Captions or triplets, and the objects that their words mean."""
        if self.setting == "unlocalized_graph":
            relations = [scene.relations[r] for r in scene.captioned]
            named = tuple((scene.objects[s].category, p, scene.objects[o].category) for s, p, o in relations)
            ends = tuple(
                Mention(i, (0, 0), (thing,), entity)
                for i, (s, _, o) in enumerate(relations)
                for entity, thing in enumerate((s, o))
            )
            return (), named, ends
        speak = scene_captions if self.setting == "coco_caption" else region_captions
        captions: list[Caption] = speak(scene, random.Random(f"captions-{self.setting}-{self.seed}-{index}"))
        mentions = tuple(Mention(i, (a, b), objects) for i, c in enumerate(captions) for a, b, objects in c.mentions)
        return tuple(c.text for c in captions), (), mentions


def _truth(scene: Scene, mentions: tuple[Mention, ...]) -> GroundTruth:
    boxes = np.array([thing.box for thing in scene.objects], np.float32).reshape(-1, 4)
    return GroundTruth(boxes, tuple(thing.category for thing in scene.objects), scene.relations, mentions)


def _keep(image: Image.Image, path: Path) -> None:
    with atomic_write(path, sync=False) as temporary:
        image.save(temporary, "PNG", compress_level=1)
