"""What people are shown of a model's graphs, wherever they look: a report, an export, a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from groundgraph.data.types import Graph
from groundgraph.sgg.calibration import Calibration, at_least
from groundgraph.sgg.merging import Merging


@dataclass(frozen=True)
class Showing:
    """Each thing once, and of its relations those that are likely enough to be right.

    Recall ranks all that a model proposes, and this changes nothing of that.

    Attributes:
        merging: Which boxes are of one thing.
        calibration: What scores mean; None: nobody knows.
        least: The least score of what is shown where nobody knows.
    """

    merging: Merging = field(default_factory=Merging)
    calibration: Calibration | None = None
    least: float = 0.0

    @staticmethod
    def of_names(names: Mapping[str, Any]) -> Showing:
        """As a model's folder has it: "merging", "calibration" and "least score", as their `record` gave them."""
        return Showing(
            Merging(**names.get("merging") or {}),
            Calibration.of_record(names.get("calibration")),
            float(names.get("least score", 0)),
        )

    def record(self) -> dict[str, Any]:
        """As JSON, of which `of_names` makes it again."""
        return {
            "calibration": self.calibration.record() if self.calibration else None,
            "merging": self.merging.record(),
            "least score": self.least,
        }

    @property
    def min_score(self) -> float:
        """The least score of what is shown by default: half of it is right, where scores are calibrated."""
        return self.calibration.min_score if self.calibration else self.least

    def scored(self, graph: Graph) -> Graph:
        """The graph with its relations' probabilities, where scores are known to mean something."""
        return self.calibration.calibrated(graph) if self.calibration else graph

    def whole(self, graph: Graph) -> Graph:
        """A model's graph with each thing once and calibrated scores, best first."""
        return self.scored(self.merging.merged(graph))

    def __call__(self, graph: Graph) -> Graph:
        """That with the relations of at least `min_score` alone, and the objects that they join."""
        return at_least(self.whole(graph), self.min_score)


def uncalibrated(scores: np.ndarray, mentioned: int) -> Showing:
    """What is shown of a model that is right of nothing known: as many relations as people mention, the surest ones.

    Args:
        scores: [M], of all relations on images held out from training.
        mentioned: How many relations of these images somebody mentions.
    """
    ranked = np.append(np.sort(np.asarray(scores, np.float64))[::-1], 0.0)
    if not 0 < mentioned < len(scores):
        return Showing()
    return Showing(least=float(ranked[mentioned - 1] + ranked[mentioned]) / 2)
