"""What the regions' labels mean, for stages before and after the regions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from groundgraph.engine.run import Run
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe
from groundgraph.vision.label_coverage import LabelCoverage

OPEN = "open-vocabulary"  # the kind that is told what to look for, so that the vocabulary comes before its regions


def detector_categories(run: Run) -> tuple[str, ...]:
    """What the regions' labels mean: the categories that the recipe leaves the detector."""
    return label_coverage(run).categories


@kept("regions")
def label_coverage(run: Run) -> LabelCoverage:
    """What becomes of the found regions' labels."""
    names = json.loads((run.folder / "regions" / "categories.json").read_text(encoding="utf-8"))
    return coverage(run.recipe, names)


def coverage(recipe: Recipe, categories: Sequence[str]) -> LabelCoverage:
    """What a recipe makes of the labels of a detector of these categories."""
    return LabelCoverage(categories, recipe.detector.known_categories, recipe.detector.label_noise, recipe.seed)


def label_settings(recipe: Recipe) -> list[Any]:
    """What the labels of a recipe's regions depend on beside the regions: of every stage that reads them."""
    detector = recipe.detector
    return [detector.known_categories, *([detector.label_noise, recipe.seed] if detector.label_noise else [])]
