"""What a way to train a scene-graph model needs: the one place where methods differ, besides their own files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from groundgraph.grounding.config import GroundingConfig


@dataclass(frozen=True)
class Method:
    """A grounder as recipes name it, and how labels come from it; or full supervision, which grounds nothing.

    Attributes:
        title: For tables and reports.
        grounder: Class of the grounder: a `training.Trainable` module, or of a rule an object with `scores`; None where
            the labels are the annotated boxes.
        learns: The grounder is trained, on the words' embeddings; a rule reads which regions' category an entity means.
        fusing: It learns from the two teachers, fused as what this gives of the configuration says; None: untaught.
        every_match: All regions that match are an entity's candidates and all are labelled at once; otherwise its best
            K are, of which a training step draws.
        pairs: It grounds a triplet's two ends together, so that pseudo labels are pairs of regions.
        seconds: Of one core for a training's 1,000 passes over an image, about.
    """

    title: str
    grounder: type[Any] | None
    learns: bool = True
    fusing: Callable[[GroundingConfig], str] | None = None
    every_match: bool = False
    pairs: bool = False
    seconds: float = 0.5

    @property
    def taught(self) -> bool:
        """Whether it learns from the two teachers."""
        return self.fusing is not None

    @property
    def alone(self) -> bool:
        """Whether it learns from captions and images alone, and `contrast_weight` is on by default."""
        return self.learns and not self.taught

    @property
    def grounds(self) -> bool:
        """Whether it says which regions entities mean, of which pseudo labels are made."""
        return self.grounder is not None

    @property
    def supervised(self) -> bool:
        """Whether annotated boxes are the labels."""
        return self.grounder is None

    @property
    def reads_categories(self) -> bool:
        """Whether it is told which regions' category an entity means (Eq. 6)."""
        return self.taught or (self.grounds and not self.learns)
