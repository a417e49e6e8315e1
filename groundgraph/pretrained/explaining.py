"""A grounded caption with what each teacher makes of its words, as the report shows a case."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.images import open_image
from groundgraph.data.types import ParsedCaption, Regions
from groundgraph.errors import InputError
from groundgraph.pretrained.results import GroundedCaption
from groundgraph.pretrained.words import WordGrounder
from groundgraph.report.cases import Case, Teaching


def explained(words: WordGrounder, image: Path, caption: str, method: str) -> tuple[GroundedCaption, Case]:
    """Ground a caption, and ask both teachers about it whether or not the grounder needs them.

    Args:
        words: Grounds; a teacher that its recipe does not have, or whose model is not to be had, says nothing.
        image: A file.
        caption: An English sentence about it.
        method: What the case's answers are called.

    Raises:
        InputError: The image cannot be used, or nothing is in it.
    """
    parsed, regions = words.read(image, caption)
    grounded = words.grounded(image, parsed, regions)
    case = Case(
        open_image(image),
        caption,
        [entity.head_span for entity in parsed.entities],
        {method: grounded.boxes.tolist()},
        triplets=[(triplet.subject, triplet.predicate, triplet.object) for triplet in parsed.triplets],
        regions=regions.boxes,
        labels=_labels(words, regions),
        teaching=_teaching(words, image, parsed, regions),
    )
    return grounded, case


def _labels(words: WordGrounder, regions: Regions) -> list[str]:
    names = words.detector.categories
    return [names[label] if label >= 0 else "unnamed" for label in regions.labels.tolist()]


def _teaching(words: WordGrounder, image: Path, parsed: ParsedCaption, regions: Regions) -> Teaching:
    if not parsed.entities:
        return Teaching()
    objects = words.object_targets(parsed, regions) if words.recipe.teachers.object else None
    try:
        teacher = words.interaction
    except InputError:  # a packed model names it, and does not have it
        teacher = None
    if teacher is None:
        return Teaching(objects)
    (maps,) = teacher.model.activation_maps([open_image(image)], [[parsed]])[0]
    return Teaching(objects, teacher.targets_of(maps, regions), maps)
