"""The boxes that a caption's words mean: by a trained grounder, by the rule, or by the teachers alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from groundgraph.data.images import open_image
from groundgraph.data.types import Example, ParsedCaption, Regions, Skipped
from groundgraph.errors import InputError
from groundgraph.grounding.data import GroundingImage
from groundgraph.grounding.detected import Detected
from groundgraph.grounding.learned import Learned
from groundgraph.grounding.sgnls import Sgnls, labelled_image
from groundgraph.language import open_parser
from groundgraph.language.encoder import TextEncoder
from groundgraph.pretrained.results import GroundedCaption
from groundgraph.stages.detector_labels import coverage
from groundgraph.stages.parsed import triplet_rows
from groundgraph.stages.parsers import offline
from groundgraph.stages.preflight import require_all
from groundgraph.stages.recipe import Recipe, find_recipe, load_recipe
from groundgraph.stages.regions import detector_requirements, matches, open_detector
from groundgraph.teachers.interaction import InteractionTeacher
from groundgraph.teachers.object import ObjectTeacher
from groundgraph.vision.detector import Detector
from groundgraph.vision.label_coverage import CoveredDetector


class WordGrounder:
    """Finds the region that each word of a caption means.

    Args:
        recipe: Names the parser and the text model of a grounder that learnt, or the teachers.
        detector: Proposes regions.
        grounder: Trained, or the rule of labels; None: the teachers alone, each entity's targets averaged.
    """

    def __init__(self, recipe: Recipe, detector: Detector, grounder: Learned | Sgnls | Detected | None = None) -> None:
        self.recipe, self.detector, self.grounder = recipe, detector, grounder
        # A model may be a stranger's: to load it must not send what it is asked to its parser's server.
        self.parser = open_parser(offline(recipe.parser), recipe.device, recipe.precision)

    @property
    def bundled(self) -> bool:
        """Whether it finds boxes by the bundled detector or vision-language model."""
        teacher = self.recipe.teachers.interaction
        return any(
            name.startswith("bundled:") for name in (self.recipe.detector.model, teacher.model if teacher else "")
        )

    def ground(self, image: Path, caption: str) -> GroundedCaption:
        """Find the boxes of a caption's words.

        Raises:
            InputError: The image cannot be used.
        """
        parsed, regions = self.read(image, caption)
        return self.grounded(image, parsed, regions)

    def read(self, image: Path, caption: str) -> tuple[ParsedCaption, Regions]:
        """What grounding starts from: the caption's entities and triplets, and the image's regions.

        Raises:
            InputError: The image cannot be used, or nothing is in it.
        """
        (parsed,), skipped = self.parser.parse([caption]), Skipped()
        (regions,) = self.detector.detect([Example(str(image), str(image))], skipped)
        if regions is None or not len(regions):
            raise InputError("; ".join(why for _, why in skipped.items) or f"{image}: no region was found")
        return parsed, regions

    def grounded(self, image: Path, parsed: ParsedCaption, regions: Regions) -> GroundedCaption:
        """The caption with the box of each entity."""
        shares = self._shares(image, parsed, regions)
        best = shares.argmax(1) if len(parsed.entities) else np.zeros(0, np.int64)
        return GroundedCaption(parsed, regions.boxes[best], shares[np.arange(len(best)), best].astype(np.float32))

    def object_targets(self, parsed: ParsedCaption, regions: Regions) -> np.ndarray:
        """The object-aware teacher's targets [E, V] (Eq. 6)."""
        teacher = ObjectTeacher(self.detector.categories, matches(self.recipe))
        return teacher.targets((), [regions], [[parsed]])[0][0]

    def _shares(self, image: Path, parsed: ParsedCaption, regions: Regions) -> np.ndarray:
        """How likely each entity means each region: [E, V], rows sum to 1."""
        none = np.zeros((len(parsed.entities), len(regions)), np.float32)
        if not none.size:
            return none
        if isinstance(self.grounder, Learned):
            (own,) = self.encoder.embed([parsed])
            rows = self.encoder.embed_words([triplet.predicate for triplet in parsed.triplets])
            entities = GroundingImage(
                own,
                regions.features,
                none,
                triplets=triplet_rows([parsed]),
                predicates=rows,
                boxes=regions.shares,
                confidences=regions.scores,
            )
            (scores,) = self.grounder.scores([entities])
            weights = np.exp(scores - scores.max(1, keepdims=True))
            return weights / weights.sum(1, keepdims=True)
        objects = self.object_targets(parsed, regions)
        if self.grounder is not None or self.interaction is None:
            weights = self.grounder.scores([labelled_image(objects, regions.scores)])[0] if self.grounder else objects
        else:
            interaction = self.interaction.targets([open_image(image)], [regions], [[parsed]])[0][0]
            weights = np.where(objects.any(1, keepdims=True), (objects + interaction) / 2, interaction)
        return weights / np.maximum(weights.sum(1, keepdims=True), 1e-9)

    @cached_property
    def encoder(self) -> TextEncoder:
        """Embeds words for a grounder that learnt."""
        config, recipe = self.recipe.text, self.recipe
        return TextEncoder(config.model, pool=config.pool, device=recipe.device, precision=recipe.precision)

    @cached_property
    def interaction(self) -> InteractionTeacher | None:
        """The interaction-aware teacher, where the recipe has one."""
        config, recipe = self.recipe.teachers.interaction, self.recipe
        if config is None:
            return None
        return InteractionTeacher(**config.model_dump(), device=recipe.device, precision=recipe.precision)


def teachers_alone(settings: Sequence[str] = ()) -> WordGrounder:
    """The teachers of the demo's recipe, without a trained grounder.

    Args:
        settings: Keys of the recipe to change ("detector.model=..."), as of `stages.recipe.load_recipe`.

    Raises:
        InputError: A model is missing.
    """
    recipe = load_recipe(find_recipe("demo"), settings)
    require_all(detector_requirements(recipe))
    detector = open_detector(recipe, ("thing",), device=recipe.device, precision=recipe.precision)
    return WordGrounder(recipe, CoveredDetector(detector, coverage(recipe, detector.categories)))
