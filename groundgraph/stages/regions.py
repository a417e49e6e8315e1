"""Regions: what the detector proposes in every image, with labels, scores and features.

Reads the examples (an open-vocabulary detector also what to look for: captions and vocabulary); writes regions/SPLIT, a
store each, and regions/categories.json, what the labels mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from groundgraph.data.files import write_json
from groundgraph.data.sources.needs import Need
from groundgraph.data.store import NoRegions, RegionsWriter, StoredRegions, write_regions
from groundgraph.data.types import Regions
from groundgraph.engine.extraction import Extraction, extract
from groundgraph.engine.fingerprints import file_identity
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.language.concepts import match_matrix, names_match
from groundgraph.language.encoder import TextEncoder
from groundgraph.models.hub import PREPARATION, TOKENIZER, WEIGHTS
from groundgraph.stages.config import DetectorConfig
from groundgraph.stages.cost import per_image
from groundgraph.stages.detector_labels import OPEN, coverage, label_coverage
from groundgraph.stages.examples import examples, ids_by_split, image_ids
from groundgraph.stages.needs import model_identity, need_file, need_model, need_torchvision
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.places import ANNOTATED, MODEL_DETECTORS
from groundgraph.stages.reading import kept
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.vocabulary import vocabulary
from groundgraph.vision import NAMED, load_detector
from groundgraph.vision.chain import DetectorChain
from groundgraph.vision.detector import Detector, ExpectingDetector
from groundgraph.vision.label_coverage import CoveredDetector
from groundgraph.vision.named import NamedDetector

READ_WITH = ("known_categories", "label_noise")  # count where labels are read: what is found stays the same
BESIDE = ("objects_vocab.txt", "{}_imgid2idx.pkl")  # what is read beside bottom-up attention's files


def build(recipe: Recipe) -> list[Stage]:
    """The stage of a recipe."""
    vocabulary_first = ("parsed", "vocabulary") if recipe.detector.kind == OPEN else ()
    return [
        Stage(
            "regions",
            needs=("examples", *vocabulary_first),
            settings=[recipe.detector.model_dump(exclude=set(READ_WITH)), recipe.precision, *described_by(recipe)],
            files=lambda: [*detector_files(recipe.detector), *map(model_identity, described_by(recipe)[:1])],
            work=find_named if described_by(recipe) else find,
            cost=per_image(recipe.splits, "find regions: {images:,} images", seconds=9),
            requirements=lambda: detector_requirements(recipe),
            spread=True,
        )
    ]


def find(run: Run, folder: Path) -> dict[str, Any]:
    """Ask the detector about every image."""
    return _found(run, folder, EXTRACTION)


def find_named(run: Run, folder: Path) -> dict[str, Any]:
    """Ask a detector that gives no features; names and places describe its regions."""
    return _found(run, folder, NAMED_EXTRACTION)


def _found(run: Run, folder: Path, extraction: Extraction) -> dict[str, Any]:
    store = RegionStore(half=run.recipe.detector.store == "float16")
    try:
        extract(run, folder, replace(extraction, store=store), ids_by_split(run, run.recipe.splits))
    except NoRegions as error:
        why = run.skipped.items[-1] if run.skipped.items else run.recipe.detector.model
        raise InputError(f"no {error.path.name} image gave a region: {why}") from error
    counts = [StoredRegions(folder / split).counts() for split in run.recipe.splits]
    return {"images": sum(map(len, counts)), "regions": sum(int(c.sum()) for c in counts)}


@dataclass(frozen=True)
class RegionStore:
    """How regions are stored; half: features as float16."""

    half: bool = False

    def writer(self, path: Path) -> RegionsWriter:
        """What adds to a split's store."""
        return RegionsWriter(path, self.half)

    def write(self, path: Path, ids: Sequence[str], entries: Sequence[Any]) -> None:
        """Make one shard of some images' regions."""
        write_regions(path, ids, entries, self.half)


class RegionFinder:
    """The detector; what its labels mean becomes categories.json beside the stores."""

    def __init__(self, run: Run, folder: Path) -> None:
        self.run, self.detector = run, self.open(run)
        for split in run.recipe.splits:
            self.detector.expect(examples(run, split))
        coverage(run.recipe, self.detector.categories)  # what it cannot do is said before the work
        write_json(folder / "categories.json", list(self.detector.categories))

    def open(self, run: Run) -> ExpectingDetector:
        """The recipe's detectors."""
        queries = _queries(run) if run.recipe.detector.kind == OPEN else ()
        return open_detector(run.recipe, *queries, **run.placement)

    def __call__(self, split: str, part: slice) -> Iterable[Regions | None]:
        """The regions of a slice of a split."""
        return self.detector.detect(examples(self.run, split)[part], self.run.skipped)


class NamedRegionFinder(RegionFinder):
    """A detector that gives no features, and what describes its regions."""

    def open(self, run: Run) -> NamedDetector:
        """The recipe's detectors, with the text model."""
        return open_named_detector(run.recipe, **run.placement)


EXTRACTION = Extraction(RegionFinder, "finding regions in {} images", RegionStore())
NAMED_EXTRACTION = Extraction(NamedRegionFinder, "finding regions in {} images", RegionStore())


@kept("regions")
def regions(run: Run, split: str, ids: Sequence[str] | None = None) -> StoredRegions:
    """A split's regions, in the order of its examples or `ids`; an image that could not be read has none.

    Their labels are what the recipe leaves of the detector's.
    """
    ids = image_ids(run, split) if ids is None else ids
    return StoredRegions(run.folder / "regions" / split, ids, label_coverage(run).labels)


def described_by(recipe: Recipe) -> tuple[str, ...]:
    """The text model, and its pooling, that describe regions without features of their own; () for others."""
    named = recipe.detector.kind in NAMED and recipe.detector.features == "detector"
    return (recipe.text.model, recipe.text.pool) if named else ()


def matches(recipe: Recipe) -> Callable[[Sequence[str], Sequence[str]], np.ndarray]:
    """Which word means which of the detector's categories: (words, categories) -> [words, categories] bool."""
    return names_match if recipe.detector.kind in NAMED else match_matrix


def open_detector(
    recipe: Recipe,
    vocabulary: Sequence[str] = (),
    nouns: Mapping[str, Sequence[str]] | None = None,
    **placement: Any,
) -> DetectorChain:
    """A recipe's detectors, asked in order.

    Args:
        recipe: Says which.
        vocabulary: What an open-vocabulary one looks for in any image; other kinds have names of their own.
        nouns: What it looks for in the images that are listed: image id -> names.
        placement: Device and precision, see `groundgraph.models.device`.

    Raises:
        InputError: One cannot be loaded.
    """
    models = (recipe.detector.model, *recipe.detector.also)
    return DetectorChain([_load(recipe, model, vocabulary, nouns, placement) for model in models])


def open_named_detector(recipe: Recipe, **placement: Any) -> NamedDetector:
    """A recipe's detectors that give no features, described by its text model. Errors as of `open_detector`."""
    encoder = TextEncoder(recipe.text.model, recipe.text.pool, **placement)
    return NamedDetector(open_detector(recipe, **placement), encoder)


def pooling_detector(run: Run) -> CoveredDetector:
    """A run's first detector, to pool the features of given boxes; what it would look for does not matter."""
    detector = _load(run.recipe, run.recipe.detector.model, ("thing",), None, run.placement)
    return CoveredDetector(detector, label_coverage(run))


def detector_files(config: DetectorConfig) -> list[Any]:
    """Identities of all files that a recipe's detectors and the backbone of their features read."""
    models = [] if config.kind == ANNOTATED else [config.model, *config.also]
    names = [*models, *([] if config.features in ("detector", "map") else [config.features])]
    files = [Path(name).expanduser() for name in names]
    beside = [path.with_name(name.format(path.stem)) for path in files if path.is_file() for name in BESIDE]
    return [[model_identity(name) for name in names], [file_identity(path) for path in beside if path.is_file()]]


def detector_requirements(recipe: Recipe) -> list[Need]:
    """What a recipe's detectors read: all that a finished run does not have itself."""
    config = recipe.detector
    requirements, parts = [], (WEIGHTS, PREPARATION, *([TOKENIZER] if config.kind == OPEN else []))
    for model in () if config.kind == ANNOTATED else (config.model, *config.also):
        here = Path(model).expanduser().exists() or model.partition(":")[0] in ("bundled", "package")
        if config.kind == "torchvision" and not here:
            requirements.append(need_torchvision("detector", model, "detector.model"))
        elif config.kind in MODEL_DETECTORS:
            requirements.append(need_model("detector", model, "detector.model", *parts))
        else:
            requirements.append(need_file("regions", model, "detector.model"))
    if config.features.startswith("torchvision:"):
        name = config.features.removeprefix("torchvision:")
        requirements.append(need_torchvision("features", name, "detector.features"))
    elif config.features not in ("detector", "map"):
        requirements.append(need_model("features", config.features, "detector.features", WEIGHTS, PREPARATION))
    for model in described_by(recipe)[:1]:
        requirements.append(need_model("text encoder", model, "text.model", WEIGHTS, TOKENIZER))
    return requirements


def _load(
    recipe: Recipe,
    model: str,
    vocabulary: Sequence[str],
    nouns: Mapping[str, Sequence[str]] | None,
    placement: Mapping[str, Any],
) -> Detector:
    config, options = recipe.detector, dict(placement)
    if config.kind == OPEN:
        options |= {"vocabulary": vocabulary, "nouns": nouns}
    return load_detector(config.kind, model, features=config.features, count=config.regions, **options)


def _queries(run: Run) -> tuple[tuple[str, ...], dict[str, Sequence[str]]]:
    """What an open-vocabulary detector looks for: the evaluation vocabulary, and training images' own nouns."""
    names, nouns = vocabulary(run)[0].names, {}
    if run.recipe.detector.prompt == "nouns":
        for image_id, captions in zip(image_ids(run, "train"), parsed(run, "train"), strict=True):
            nouns[image_id] = sorted({entity.name for entity in entities(captions)}) or names
    return names, nouns
