"""The detector of a recipe, opened with what it must be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from groundgraph.pipeline.config import DetectorConfig
from groundgraph.vision.detectors import Detector, load_detector
from groundgraph.vision.several import Several

OPEN = "open-vocabulary"


def open_detector(
    wanted: DetectorConfig, vocabulary: Sequence[str] = (), nouns: Mapping[str, Sequence[str]] | None = None
) -> Several:
    """A recipe's detectors, asked in order.

    vocabulary, nouns  what an open-vocabulary one looks for: in any image, and in the images that are listed (image id
                       -> names); other kinds have names of their own
    Raises ValueError where one cannot be loaded.
    """
    return Several([_load(wanted, model, vocabulary, nouns) for model in (wanted.model, *wanted.also)])


def pooling_detector(wanted: DetectorConfig) -> Detector:
    """The recipe's first detector, to pool the features of given boxes; what it would look for does not matter."""
    return _load(wanted, wanted.model, ("thing",), None)


def _load(
    wanted: DetectorConfig, model: str, vocabulary: Sequence[str], nouns: Mapping[str, Sequence[str]] | None
) -> Detector:
    told = {"vocabulary": vocabulary, "nouns": nouns} if wanted.kind == OPEN else {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return load_detector(wanted.kind, model, features=wanted.features, count=wanted.regions, device=device, **told)
