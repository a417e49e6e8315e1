"""Regions of the photos that were looked at last: another caption or other names do not need them found again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.vision.label_coverage import CoveredDetector

KEPT = 16  # photos


class RememberingDetector:
    """A detector that keeps the regions of the last photos, by their paths.

    Args:
        detector: Finds them.
    """

    def __init__(self, detector: CoveredDetector) -> None:
        self._detector = detector
        self._regions: OrderedDict[str, Regions] = OrderedDict()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._detector, name)

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`."""
        new = [example for example in examples if example.path not in self._regions]
        for example, own in zip(new, self._detector.detect(new, skipped) if new else [], strict=True):
            if own is not None:
                self._regions[example.path] = own
        answer = [self._regions.get(example.path) for example in examples]
        for example in examples:
            if example.path in self._regions:
                self._regions.move_to_end(example.path)
        while len(self._regions) > KEPT:
            self._regions.popitem(last=False)
        return answer
