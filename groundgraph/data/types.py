"""What flows between the stages: small frozen dataclasses, shapes in their docstrings."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np

from groundgraph.data.skipped import Skipped as Skipped

Span = tuple[int, int]
# (what is done, how much there is) -> a progress bar to enter; it gives a function to call with how much more is done.
ProgressBar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Entity:
    """A thing a caption speaks of.

    Attributes:
        text: The phrase as it stands ("the young boy").
        head: The head noun as it stands ("bikes").
        name: Head noun with its compounds, lemmatised and lower case ("bike", "tennis racket").
        span: Its characters [start, end) in the caption; (0, 0) where a parser read a word that the caption lacks.
        head_span: The head's, likewise.
        attributes: Lemmatised adjectives ("young",).
    """

    text: str
    head: str
    name: str
    span: Span
    head_span: Span
    attributes: tuple[str, ...] = ()

    @property
    def tied(self) -> bool:
        """Whether it has characters in the caption; one without is read by itself."""
        return self.span[0] < self.span[1]


@dataclass(frozen=True)
class Triplet:
    """(subject, predicate, object): two indices into the caption's entities and a lemmatised predicate ("sit on")."""

    subject: int
    predicate: str
    object: int


@dataclass(frozen=True)
class ParsedCaption:
    """A caption with what its parser found in it."""

    text: str
    entities: tuple[Entity, ...] = ()
    triplets: tuple[Triplet, ...] = ()

    @classmethod
    def of_word(cls, word: str) -> ParsedCaption:
        """A word as a caption that says nothing else, for models that read captions."""
        whole = (0, len(word))
        return cls(word, (Entity(word, word, word, whole, whole),))


@dataclass(frozen=True)
class Mention:
    """Which true objects a stretch of a caption means: `span` [start, end) of caption number `caption`.

    For an unlocalized triplet, `caption` is its number and `entity` says which end of it: 0 the subject, 1 the object.
    """

    caption: int
    span: Span
    objects: tuple[int, ...]
    entity: int = -1


@dataclass(frozen=True)
class GroundTruth:
    """Annotated boxes of an image; never seen by training, only by evaluation.

    Attributes:
        boxes: [G, 4] float32 xyxy in pixels.
        labels: G category names.
        relations: (subject box, predicate name, object box), indices into boxes.
        mentions: Which boxes the captions' words mean, where the data knows.
    """

    boxes: np.ndarray
    labels: tuple[str, ...]
    relations: tuple[tuple[int, str, int], ...] = ()
    mentions: tuple[Mention, ...] = ()


@dataclass(frozen=True)
class Example:
    """One image with its weak supervision: captions, or unlocalized (subject, predicate, object) triplets of words.

    `size` is (width, height) in pixels where the data is without its pictures; None: the picture says it.
    """

    image_id: str
    path: str
    captions: tuple[str, ...] = ()
    triplets: tuple[tuple[str, str, str], ...] = ()
    truth: GroundTruth | None = None
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Regions:
    """What a detector proposes for an image, best first.

    Attributes:
        boxes: [V, 4] float32 xyxy in pixels of the image.
        labels: [V] int64, index into the detector's categories; -1 where it commits to none.
        scores: [V] float32 in 0..1.
        features: [V, D] float32.
        size: (width, height) of the image in pixels.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    features: np.ndarray
    size: tuple[int, int]

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def shares(self) -> np.ndarray:
        """The boxes in shares of the image's sides: [V, 4] float32."""
        return (self.boxes / np.array([*self.size, *self.size])).astype(np.float32)


@dataclass(frozen=True)
class CandidatePairs:
    """The best pairs of regions of an image's T triplets.

    Attributes:
        regions: [T, K, 2] int64 (subject, object), best first; -1 = no more.
        scores: [T, K] float32, their log probabilities among all pairs of the image's regions.
    """

    regions: np.ndarray
    scores: np.ndarray

    @property
    def real(self) -> np.ndarray:
        """Which are pairs and no padding: [T, K] bool."""
        return np.asarray(self.regions[..., 0] >= 0)

    def best(self, k: int) -> CandidatePairs:
        """The k best of each triplet alone."""
        return CandidatePairs(self.regions[:, :k], self.scores[:, :k])

    def rows(self) -> list[list[list[float]]]:
        """As lists, one a triplet, of [subject's region, object's region, log probability]."""
        return [
            [[*pair, round(score, 5)] for pair, score in zip(pairs[here].tolist(), scores[here].tolist(), strict=True)]
            for pairs, scores, here in zip(self.regions, self.scores, self.real, strict=True)
        ]


@dataclass(frozen=True)
class PseudoLabels:
    """One image's pseudo labels: of its E entities the K best regions each.

    Attributes:
        categories: [E] int64, each entity's category in the evaluation vocabulary, from 0; -1 = none.
        regions: [E, K] int64, candidate regions, best first; -1 = no more.
        scores: [E, K] float32, the grounder's a_ij of each candidate.
        weights: [E, K] float32, each candidate's share of softmax_j(a_ij) over all the image's regions.
        triplets: [T, 3] int64 (subject entity, object entity, predicate from 0).
        count: V, the image's regions.
        pairs: The triplets' candidate pairs; None where the grounder scored single regions, whose candidates then make
            the pairs.
    """

    categories: np.ndarray
    regions: np.ndarray
    scores: np.ndarray
    weights: np.ndarray
    triplets: np.ndarray
    count: int
    pairs: CandidatePairs | None = None


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with annotations, as a person could have made them.

    Attributes:
        image_id: Its name.
        path: Its file.
        size: (width, height) in pixels.
        boxes: [B, 4] float32 xyxy in pixels.
        labels: [B] int64 in 1..C.
        scores: [B] float32, the share of its entity's softmax over all regions that the box holds.
        relations: [R, 3] int64 (subject box, object box, predicate in 1..P).
        relation_scores: [R] float32, where a model predicted them; None: annotations.
    """

    image_id: str
    path: str
    size: tuple[int, int]
    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    relations: np.ndarray
    relation_scores: np.ndarray | None = None


@dataclass(frozen=True)
class SoftLabels:
    """What a training step takes for true of one image, as distributions instead of decisions.

    Attributes:
        objects: [V, 1 + C] float32, rows sum to 1: of every region, column 0 = background.
        pairs: [R, 2] int64 (subject region, object region), each pair once and no region with itself.
        predicates: [R, 1 + P] float32, rows sum to 1: of every listed pair, column 0 = background.
    """

    objects: np.ndarray
    pairs: np.ndarray
    predicates: np.ndarray


@dataclass(frozen=True)
class Graph:
    """A predicted scene graph.

    Attributes:
        boxes: [N, 4] float32 xyxy in pixels.
        labels: [N] int64, 1..C of the evaluation vocabulary.
        scores: [N] float32.
        pairs: [P, 2] int64 (subject, object), best first.
        predicate_scores: [P, 1 + R] float32, column 0 = background.
        confidences: [P] float32, how likely each pair's best predicate and both labels are right; None: not calibrated.
    """

    boxes: np.ndarray
    labels: np.ndarray
    scores: np.ndarray
    pairs: np.ndarray
    predicate_scores: np.ndarray
    confidences: np.ndarray | None = None

    @property
    def relation_scores(self) -> np.ndarray:
        """[P], of each pair's best predicate: its confidence, else subject score x predicate score x object score."""
        if self.confidences is not None:
            return self.confidences
        best = np.asarray(self.predicate_scores)[:, 1:].max(1, initial=-np.inf)
        scores: np.ndarray = np.asarray(self.scores)[np.reshape(self.pairs, (-1, 2)).astype(np.int64)].prod(1) * best
        return scores

    def part(self, objects: np.ndarray, relations: np.ndarray) -> Graph:
        """Some of the objects [N] bool and of the relations [P] bool, which join these alone; order is kept."""
        place = np.cumsum(objects) - 1
        return Graph(
            *(self.boxes[objects], self.labels[objects], self.scores[objects]),
            place[np.reshape(self.pairs, (-1, 2)).astype(np.int64)[relations]],
            self.predicate_scores[relations],
            None if self.confidences is None else self.confidences[relations],
        )
