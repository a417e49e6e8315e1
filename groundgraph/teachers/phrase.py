"""The third teacher: a detector that reads whole phrases, asked for each triplet both ways round (ACC-like).

Li et al., "Interaction-Centric Knowledge Infusion and Transfer for Open-Vocabulary Scene Graph Generation" (ACC),
NeurIPS 2025. Held: its bidirectional interaction prompt. A triplet is asked for from both of its ends, "man riding
horse" for the man and "horse ridden by man" for the horse, so that of two alike things the one that takes part is
found. Not held: its answers are one of three teachers' targets here, where ACC's own are the pseudo labels themselves;
how its prompts are worded beyond the published example is ours; and nothing of its second half, the end-to-end model
with query selection and distillation (the scene-graph model is the recipe's).

`PhraseTeacher` asks Grounding DINO, OWL-ViT or OWLv2. A detector of fixed categories, such as MiniGenome's, cannot read
a predicate: of "man riding horse" it knows a man and a horse. `nearby_targets` are what such a detector can say of the
phrase: which man has a horse near, by categories, scores and boxes. That is weaker than reading, and no publication's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image

from groundgraph.data.boxes import box_iou
from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.language.lemmas import participle, past_participle
from groundgraph.language.predicates import is_preposition
from groundgraph.models.device import Precision, device_of, dtype_of

OVERLAP = 0.5  # IoU from which a region is an answer's


class Prompt(NamedTuple):
    """A phrase that looks for an entity by what it does.

    Attributes:
        entity: Whom it is about, a row of the caption's entities.
        other: The triplet's other end.
        text: "horse ridden by man"; it begins with the entity.
        name: "horse".
    """

    entity: int
    other: int
    text: str
    name: str


def interaction_prompts(caption: ParsedCaption) -> list[Prompt]:
    """Each triplet's phrase from its subject, and from its object: "man riding horse", "horse ridden by man".

    A verb with a preposition has no passive that people would write: "bench that man is sitting on". So has none a
    preposition: "table that cup is on".
    """
    prompts = []
    for triplet in caption.triplets:
        subject, object_ = (caption.entities[end].name for end in (triplet.subject, triplet.object))
        verb, *rest = triplet.predicate.split()
        if is_preposition(triplet.predicate):
            active, passive = triplet.predicate, f"that {subject} is {triplet.predicate}"
        elif verb == "have":
            active, passive = " ".join(["having", *rest]), f"of {subject}"
        else:
            active = " ".join([participle(verb), *rest])
            passive = f"that {subject} is {active}" if rest else f"{past_participle(verb)} by {subject}"
        prompts.append(Prompt(triplet.subject, triplet.object, f"{subject} {active} {object_}", subject))
        prompts.append(Prompt(triplet.object, triplet.subject, f"{object_} {passive}", object_))
    return prompts


def prompt_targets(prompts: Sequence[Prompt], scores: np.ndarray, entities: int) -> np.ndarray:
    """Return an entity's target: the mean over its prompts of the regions' shares of a prompt's scores.

    Args:
        prompts: P of them.
        scores: [P, V], not negative; a prompt that found nothing has a row of zeros, and no say.
        entities: E.

    Returns:
        [E, V] float32; a row sums to 1, or is all zero where no prompt found anything.
    """
    targets = np.zeros((entities, scores.shape[1]), np.float32)
    np.add.at(targets, [prompt.entity for prompt in prompts], _shares(scores))
    return _shares(targets)


def nearness(boxes: np.ndarray) -> np.ndarray:
    """How near two regions lie: the part of the box around both that they fill, 0 of a region with itself.

    Args:
        boxes: [V, 4] xyxy.

    Returns:
        [V, V] float32 in 0..1.
    """
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    low = np.maximum(boxes[:, None, :2], boxes[:, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (high - low).clip(min=0).prod(-1)
    around = np.maximum(boxes[:, None, 2:], boxes[:, 2:]) - np.minimum(boxes[:, None, :2], boxes[:, :2])
    near = (area[:, None] + area - shared) / np.maximum(around.prod(-1), 1e-9)
    np.fill_diagonal(near, 0)
    return near.astype(np.float32)


def nearby_targets(captions: Sequence[ParsedCaption], match: np.ndarray, regions: Regions) -> np.ndarray:
    """What a detector of fixed categories can say of an image's phrases: what lies near what.

    A region's score for a prompt is the detector's, where its category is what the entity says, times that of the best
    other region that is what the prompt's other end says, times how near the two lie. Where no region is the other end,
    only the first counts.

    Args:
        captions: Of the image.
        match: [E, V] bool, which regions' category each of their entities means (Eq. 6).
        regions: V of them.

    Returns:
        [E, V] float32, rows sum to 1 or are empty: without a triplet, or where no region matches.
    """
    prompts, first = [], 0
    for caption in captions:
        own = interaction_prompts(caption)
        prompts += [prompt._replace(entity=prompt.entity + first, other=prompt.other + first) for prompt in own]
        first += len(caption.entities)
    if not prompts or not len(regions):
        return np.zeros(match.shape, np.float32)
    sure = match * regions.scores
    own, other = (sure[[getattr(prompt, end) for prompt in prompts]] for end in ("entity", "other"))  # [P, V]
    beside = (nearness(regions.boxes) * other[:, None]).max(-1)
    return prompt_targets(prompts, own * np.where(other.any(1, keepdims=True), beside, 1), len(match))


class PhraseTeacher:
    """Targets from the boxes that a detector which reads phrases finds for them.

    Args:
        model: Grounding DINO, OWL-ViT or OWLv2, by hub id or folder.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.

    Raises:
        InputError: It cannot be loaded, or is of another kind.
    """

    def __init__(self, model: str, device: str | torch.device = "auto", precision: Precision = "auto") -> None:
        from groundgraph.vision.open_vocabulary_detector import OpenVocabularyDetector  # with torchvision

        self.detector = OpenVocabularyDetector.load(model, vocabulary=("thing",), device=device)
        self.detector.narrow(dtype_of(precision, device_of(device)))

    def targets(
        self, images: Sequence[Image.Image], regions: Sequence[Regions], captions: Sequence[Sequence[ParsedCaption]]
    ) -> list[list[np.ndarray]]:
        """Return for each image and caption [E, V] float32; a row is empty where no prompt's answer is a region.

        A region's score for a prompt is that of the surest box which overlaps it by `OVERLAP`.

        Args:
            images: B pictures.
            regions: The regions of each.
            captions: The captions of each.
        """
        prompts = [[interaction_prompts(caption) for caption in own] for own in captions]
        phrases = [[(p.text, p.name) for own in image for p in own] for image in prompts]
        targets = []
        for own, texts, parts, (boxes, scores) in zip(
            regions, captions, prompts, self.detector.phrase_boxes(images, phrases), strict=True
        ):
            near = box_iou(own.boxes[:, None], boxes) >= OVERLAP  # [V, Q]
            table = (scores[:, None] * near).max(-1, initial=0)  # [P, V]
            ends = np.cumsum([len(part) for part in parts])[:-1]
            rows = zip(texts, parts, np.split(table, ends), strict=True) if parts else ()
            targets.append([prompt_targets(part, values, len(text.entities)) for text, part, values in rows])
        return targets


def _shares(rows: np.ndarray) -> np.ndarray:
    """Rows over their sums; an empty one stays empty."""
    return rows / np.maximum(rows.sum(1, keepdims=True), 1e-12)
