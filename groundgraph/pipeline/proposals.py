"""The detector of a recipe, opened with what it must be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from groundgraph.pipeline.config import DetectorConfig
from groundgraph.vision.detectors import Detector, load_detector
from groundgraph.vision.several import Several

OPEN = "open-vocabulary"


def open_detector(
    wanted: DetectorConfig,
    vocabulary: Sequence[str] = (),
    nouns: Mapping[str, Sequence[str]] | None = None,
    **placement: Any,
) -> Several:
    """A recipe's detectors, asked in order.

    vocabulary, nouns  what an open-vocabulary one looks for: in any image, and in the images that are listed (image id
                       -> names); other kinds have names of their own
    placement          device and precision, see `groundgraph.device`
    Raises ValueError where one cannot be loaded.
    """
    return Several([_load(wanted, model, vocabulary, nouns, placement) for model in (wanted.model, *wanted.also)])


def pooling_detector(wanted: DetectorConfig, **placement: Any) -> Detector:
    """The recipe's first detector, to pool the features of given boxes; what it would look for does not matter."""
    return _load(wanted, wanted.model, ("thing",), None, placement)


def _load(
    wanted: DetectorConfig,
    model: str,
    vocabulary: Sequence[str],
    nouns: Mapping[str, Sequence[str]] | None,
    placement: Mapping[str, Any],
) -> Detector:
    told = {"vocabulary": vocabulary, "nouns": nouns} if wanted.kind == OPEN else {}
    return load_detector(wanted.kind, model, features=wanted.features, count=wanted.regions, **placement, **told)
