"""The detector of a recipe, opened with what it must be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from groundgraph.engine.stage import file_identity, model_identity
from groundgraph.stages.recipe import DetectorConfig
from groundgraph.vision import load_detector
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.detector import Detector

OPEN = "open-vocabulary"
BESIDE = ("objects_vocab.txt", "{}_imgid2idx.pkl")  # what is read beside bottom-up attention's files


def open_detector(
    wanted: DetectorConfig,
    vocabulary: Sequence[str] = (),
    nouns: Mapping[str, Sequence[str]] | None = None,
    **placement: Any,
) -> DetectorChain:
    """A recipe's detectors, asked in order.

    vocabulary, nouns  what an open-vocabulary one looks for: in any image, and in the images that are listed (image id
                       -> names); other kinds have names of their own
    placement          device and precision, see `groundgraph.models.device`
    Raises ValueError where one cannot be loaded.
    """
    return DetectorChain([_load(wanted, model, vocabulary, nouns, placement) for model in (wanted.model, *wanted.also)])


def detector_identity(wanted: DetectorConfig) -> list[Any]:
    """All files that a recipe's detectors and the backbone of their features read, for a fingerprint."""
    names = [wanted.model, *wanted.also, *([] if wanted.features in ("detector", "map") else [wanted.features])]
    files = [Path(name).expanduser() for name in names]
    beside = [path.with_name(name.format(path.stem)) for path in files if path.is_file() for name in BESIDE]
    return [[model_identity(name) for name in names], [file_identity(path) for path in beside if path.is_file()]]


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
