"""What the vision-language model is trained on: captions as word pieces, tags parsed from them, plausible negatives.

Nothing here reads a box. A tag is a part of a parsed triplet: a noun, subject + predicate, predicate + object, or the
whole triplet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from groundgraph.data.types import Entity, ParsedCaption
from tools.corpus import Corpus

Tag = tuple[str, ...]
Triple = tuple[str, str, str]
LENGTH = 28  # word pieces a caption, the longest scene captions are cut


def triplet_tags(triple: Triple) -> tuple[Tag, ...]:
    """All tags of a triplet of words."""
    s, p, o = triple
    return ("noun", s), ("noun", o), ("subject", s, p), ("object", p, o), ("triplet", s, p, o)


def role_tags(triple: Triple, role: int) -> tuple[Tag, ...]:
    """The tags that tell where a triplet's subject (role 0) or object (role 1) is: its noun, its half, the whole.

    The noun's map alone prefers an idle namesake, which is the clearer sight; the others' spill onto the partner.
    """
    s, p, o = triple
    own = (("noun", s), ("subject", s, p)) if role == 0 else (("noun", o), ("object", p, o))
    return *own, ("triplet", s, p, o)


@dataclass
class Captions:
    """A corpus ready for training; M captions of N pictures.

    ids      [M, LENGTH] int64 word pieces
    picture  [M] the picture of each
    of       captions of each picture
    triples  triplets of words of each caption
    guides   of each caption, (place of a word piece, the three tags that say where its thing is)
    tags     tag -> number; has  tags of each picture
    swaps    (slot, the other two words) -> captions with such a triplet, for plausible negatives
    triples_of  triplets of each picture
    """

    ids: torch.Tensor
    picture: np.ndarray
    of: list[list[int]]
    triples: list[list[Triple]]
    guides: list[list[tuple[int, tuple[int, ...]]]]
    tags: dict[Tag, int]
    has: list[list[int]]
    swaps: dict[tuple[int, str, str], list[int]]
    triples_of: list[set[Triple]]

    def labels(self, pictures: Sequence[int]) -> torch.Tensor:
        """[B, tags] float32, 1 where a caption of the picture holds the tag."""
        target = torch.zeros(len(pictures), len(self.tags))
        for row, i in enumerate(pictures):
            target[row, self.has[i]] = 1
        return target

    def negatives(self, caption: int, count: int, rng: np.random.Generator) -> list[int]:
        """Captions of other pictures that share two of three slots of a triplet with this one, but are not true here.

        A caption without a triplet, or with no neighbour, gets captions drawn at random.
        """
        here = self.triples_of[self.picture[caption]]
        false: list[int] = []
        triples = self.triples[caption]
        for _ in range(6 * count if triples else 0):
            triple, slot = triples[rng.integers(len(triples))], int(rng.integers(3))
            pool = self.swaps[key(triple, slot)]
            other = pool[rng.integers(len(pool))]
            if self.triples[other] and not here.issuperset(self.triples[other]):
                false.append(other)
                if len(false) == count:
                    return false
        while len(false) < count:
            other = int(rng.integers(len(self.picture)))
            if not here.issuperset(self.triples[other] or [("", "", "")]):
                false.append(other)
        return false


def key(triple: Triple, slot: int) -> tuple[int, str, str]:
    """The slot and the two words that stay when it is swapped."""
    rest = [word for i, word in enumerate(triple) if i != slot]
    return slot, rest[0], rest[1]


def prepare(
    corpus: Corpus,
    parse: Callable[[Sequence[str]], Sequence[ParsedCaption]],
    tokenizer,
    canonical: Callable[[str, str, str], Triple | None],
    least: int = 20,
) -> Captions:
    """Parse and tokenise a corpus; tags seen in fewer than `least` pictures are left out.

    canonical  maps a parsed triplet to the words it is counted under ("guy" -> "man"), or to None to leave it out
    """
    texts = [text for captions in corpus.texts for text in captions]
    picture = np.array([i for i, captions in enumerate(corpus.texts) for _ in captions])
    parsed = list(parse(texts))
    encoded = tokenizer(
        texts,
        padding="max_length",
        max_length=LENGTH,
        truncation=True,
        return_offsets_mapping=True,
        return_tensors="np",
    )
    words = [
        [canonical(c.entities[t.subject].name, t.predicate, c.entities[t.object].name) for t in c.triplets]
        for c in parsed
    ]
    triples = [[triple for triple in row if triple] for row in words]
    of: list[list[int]] = [[] for _ in range(len(corpus))]
    triples_of: list[set[Triple]] = [set() for _ in range(len(corpus))]
    swaps: dict[tuple[int, str, str], list[int]] = defaultdict(list)
    for m, i in enumerate(picture):
        of[i].append(m)
        triples_of[i].update(triples[m])
        for triple in triples[m]:
            for slot in range(3):
                swaps[key(triple, slot)].append(m)
    counts = Counter(tag for s in triples_of for tag in {tag for triple in s for tag in triplet_tags(triple)})
    tags = {tag: n for n, (tag, count) in enumerate(counts.most_common()) if count >= least}
    has = [sorted({tags[tag] for triple in s for tag in triplet_tags(triple) if tag in tags}) for s in triples_of]
    guides = []
    for caption, rows_of_words, offsets in zip(parsed, words, encoded["offset_mapping"], strict=True):
        rows = []
        for t, triple in zip(caption.triplets, rows_of_words, strict=True):
            if triple is None:
                continue
            for role, entity in enumerate((caption.entities[t.subject], caption.entities[t.object])):
                numbers = tuple(tags[tag] for tag in role_tags(triple, role) if tag in tags)
                rows += [(place, numbers) for place in pieces(offsets, entity) if len(numbers) == 3]
        guides.append(rows)
    ids = torch.from_numpy(encoded["input_ids"]).long()
    return Captions(ids, picture, of, triples, guides, tags, has, dict(swaps), triples_of)


def pieces(offsets: np.ndarray, entity: Entity) -> list[int]:
    """Places of the word pieces of an entity's head noun: offsets [T, 2] are the pieces' characters."""
    start, end = entity.head_span
    inside = (offsets[:, 0] < end) & (offsets[:, 1] > start) & (offsets[:, 1] > offsets[:, 0])
    return np.flatnonzero(inside).tolist()
