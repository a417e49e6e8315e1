"""Crops for the image-text model, found by words alone: tags of nouns and colours, and the boxes their maps fill.

A tag is a noun a picture's captions hold, alone or with its colour. The vision-language model's tower learns the tags
with a log-sum-exp over cells, so that single cells answer; a box is then judged by the part of a tag's evidence that
it holds, over a power of its area (Eq. 7 with a free power). No true box is read here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import torch

from groundgraph.data.minigenome import CATEGORIES
from groundgraph.data.minigenome.drawing import GARMENTS
from groundgraph.data.minigenome.icons import COLOURS
from groundgraph.teachers.albef import AlbefModel
from groundgraph.teachers.pixels import normalise
from tools.corpus import Corpus
from tools.train_vl import PREPARATION, TagHead
from tools.vl_parsing import NOUNS, parse

CANDIDATES = 800  # random boxes a batch of pictures
BEST, ALIKE = 15, 0.3  # the best boxes, where they overlap the very best by this IoU, are averaged into one crop
# Powers of a box's area, by which crops come out as large as things are. Everybody wears something, so that a garment's
# noun says no more than "person"; its colours tell where it is, and their maps spread further.
POWER, GARMENT_POWER = 0.45, 0.65
TAME = 0.5  # of a tag's log odds over all pictures, taken off its cells: frequent tags answer everywhere
SURE = 2.0  # the log-sum-exp over cells from which on the tower says "yes" (TagHead's loss)
Tag = tuple[str, str]


@dataclass(frozen=True)
class Tags:
    """What the captions of N pictures name.

    tags    T tags (noun in the world's own word, colour or ""); the first are CATEGORIES without a colour
    labels  [N, T] float32, 1 where a caption holds the tag
    words   as which words each noun was written, with how often
    """

    tags: tuple[Tag, ...]
    labels: torch.Tensor
    words: dict[str, Counter[str]]

    @property
    def noun(self) -> torch.Tensor:
        """[T] each tag's category."""
        return torch.tensor([CATEGORIES.index(name) for name, _ in self.tags])

    @property
    def log_odds(self) -> torch.Tensor:
        """[T] of a picture's captions holding the tag."""
        return torch.logit(self.labels.mean(0), eps=0.5 / max(1, len(self.labels)))


@dataclass
class Crops:
    """Which part of which picture shows what a caption names.

    picture  [M] index of the picture; box [M, 4] xyxy in pixels
    tag      [M] index into the tags
    """

    picture: torch.Tensor
    box: torch.Tensor
    tag: torch.Tensor

    def __len__(self) -> int:
        return len(self.tag)


def read_tags(corpus: Corpus, least: int = 20) -> Tags:
    """Parse a corpus's captions into tags; coloured ones seen in fewer than `least` pictures are left out."""
    parsed = iter(parse([text for captions in corpus.texts for text in captions]))
    tags_of: list[set[Tag]] = []
    words: dict[str, Counter[str]] = {name: Counter() for name in CATEGORIES}
    for captions in corpus.texts:
        here: set[Tag] = set()
        for _ in captions:
            for entity in next(parsed).entities:
                if (name := NOUNS.get(entity.name)) is not None:
                    words[name][entity.name] += 1
                    here |= {(name, "")} | {(name, colour) for colour in entity.attributes if colour in COLOURS}
        tags_of.append(here)
    counts = Counter(tag for here in tags_of for tag in here)
    coloured = sorted(tag for tag, count in counts.items() if tag[1] and count >= least)
    tags = (*((name, "") for name in CATEGORIES), *coloured)
    number = {tag: i for i, tag in enumerate(tags)}
    labels = torch.zeros(len(corpus.texts), len(tags))
    for row, here in enumerate(tags_of):
        labels[row, [number[tag] for tag in here if tag in number]] = 1
    return Tags(tags, labels, words)


def random_boxes(count: int, side: int, rng: np.random.Generator) -> np.ndarray:
    """[count, 4] boxes of all sizes and of aspects from 1:3 to 3:1 inside the picture."""
    scale = side * np.exp(rng.uniform(np.log(0.1), np.log(0.8), count))
    stretch = np.exp(rng.uniform(-0.55, 0.55, count))
    size = np.minimum(np.stack([scale * stretch, scale / stretch], 1), side - 1)
    low = rng.uniform(0, 1, (count, 2)) * (side - size)
    return np.concatenate([low, low + size], 1).astype(np.float32)


@torch.inference_mode()
def find_crops(
    model: AlbefModel, head: TagHead, images: torch.Tensor, tags: Tags, rng: np.random.Generator, batch: int = 50
) -> Crops:
    """A crop of every noun a picture's captions hold or the tower is sure of, and of every coloured noun they hold."""
    model.eval()
    noun, garments = tags.noun, torch.tensor([name in GARMENTS for name in CATEGORIES])
    coloured, side = torch.arange(len(tags.tags)) >= len(CATEGORIES), images.shape[1]
    power = torch.where(garments[noun], GARMENT_POWER, POWER)
    taken: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
    for start in range(0, len(images), batch):
        pixels = normalise(PREPARATION, images[start : start + batch])
        image = model.image_states(pixels.contiguous(memory_format=torch.channels_last))
        cells = head(image.states)
        named = tags.labels[start : start + batch] > 0
        named |= (cells.logsumexp(1) > SURE) & ~coloured
        evidence = (cells - TAME * tags.log_odds).sigmoid()
        # A garment without its colour is where any of its colours is.
        for g in torch.nonzero(garments)[:, 0].tolist():
            own = coloured & (noun == g)
            if own.any():
                evidence[..., g] = evidence[..., own].amax(-1)
        picture, tag = torch.nonzero(named, as_tuple=True)
        boxes = torch.from_numpy(random_boxes(CANDIDATES, side, rng))
        box = best_boxes(evidence[picture, :, tag], boxes, coverage(boxes, image.grid, side), power[tag])
        taken.append((picture + start, box, tag))
    return Crops(*(torch.cat(part) for part in zip(*taken, strict=True)))


def coverage(boxes: torch.Tensor, grid: tuple[int, int], side: int) -> torch.Tensor:
    """[V, h * w] shares of a grid's cells that boxes [V, 4] of a picture of `side` pixels cover."""

    def along(low: torch.Tensor, high: torch.Tensor, cells: int) -> torch.Tensor:
        edges, scale = torch.arange(cells), cells / side
        return (torch.minimum(edges + 1, high[:, None] * scale) - torch.maximum(edges, low[:, None] * scale)).clamp(
            0, 1
        )

    rows, columns = along(boxes[:, 1], boxes[:, 3], grid[0]), along(boxes[:, 0], boxes[:, 2], grid[1])
    return (rows[:, :, None] * columns[:, None]).flatten(1)


def best_boxes(evidence: torch.Tensor, boxes: torch.Tensor, covered: torch.Tensor, power: torch.Tensor) -> torch.Tensor:
    """[R, 4] a box for each map: of the best boxes, the mean of those that overlap the very best.

    evidence  [R, N] not negative; boxes [V, 4]; covered [V, N] shares of the cells inside each box; power [R]
    """
    area = covered.sum(1).clamp(min=0.5)
    share = evidence @ covered.T / evidence.sum(1, keepdim=True).clamp(min=1e-9)
    best = (share / area[None] ** power[:, None]).topk(min(BEST, len(boxes)), 1).indices
    near = boxes[best]  # [R, BEST, 4]
    first, size = near[:, :1], (near[..., 2:] - near[..., :2]).prod(-1)
    low, high = torch.maximum(first[..., :2], near[..., :2]), torch.minimum(first[..., 2:], near[..., 2:])
    both = (high - low).clamp(min=0).prod(-1)
    weight = (both / (size[:, :1] + size - both) >= ALIKE).float()[..., None]
    return (near * weight).sum(1) / weight.sum(1)
