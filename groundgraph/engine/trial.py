"""Trying a run's very stages on a few of its images, in a temporary folder, and noting what they take."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from huggingface_hub import constants as hub

from groundgraph.data.records import example_record, write_lines
from groundgraph.data.sources import open_source
from groundgraph.data.types import Example, Skipped
from groundgraph.engine.record import SCRATCH
from groundgraph.engine.run import Advance, Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.errors import InputError
from groundgraph.grounding import GROUNDERS
from groundgraph.grounding.data import gather, lengths_of
from groundgraph.stages import artifacts, stages
from groundgraph.stages.examples import read_examples
from groundgraph.stages.recipe import Recipe
from groundgraph.stages.sgg import labels_of
from groundgraph.system import peak_memory
from groundgraph.terminal import Console

FEW, MANY = 4, 100  # images of the largest split; 100 are four steps of a grounder
EPOCHS = 2  # of a training
QUICK, BUDGET = 10.0, 60.0  # seconds: the first try is done again if it took less; what the last may take, about


@dataclass(frozen=True)
class Seen:
    """What a stage took.

    seconds, training  without its training, and in it
    memory, disk       bytes: the process's peak, and the stage's files
    arrays             bytes of the arrays that it keeps of all images
    """

    seconds: float
    training: float
    memory: int
    disk: int
    arrays: int


@dataclass
class Sample:
    """A run's data: images a split, and the first examples of each. None: they are drawn, as many as are asked for.

    seconds, memory  what it took to read all of them, which is what the stage `examples` does
    """

    images: dict[str, int]
    listed: dict[str, list[Example]] | None = None
    seconds: float = 0.0
    memory: int = 0


@dataclass
class Trial(Run):
    """A run on so many images a split, which notes what its stages take, and why one failed."""

    images: dict[str, int] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    failed: str = ""
    _training: float = 0.0

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """As `Run.progress`; a training's is timed."""
        began = time.perf_counter()
        with super().progress(what, total) as advance:
            yield advance
        if what.startswith("training"):
            self._training += time.perf_counter() - began

    def try_out(self, listing: list[Stage]) -> None:
        """Perform the stages, up to one that fails."""
        at = 0

        def work(stage: Stage, run: Run, folder: Path) -> dict[str, Any]:
            nonlocal at
            _forget_peak()
            self._training, began = 0.0, time.perf_counter()
            counts = stage.work(run, folder)
            seconds, memory = time.perf_counter() - began - self._training, _peak()
            disk = _size(folder) + (_size(self.folder / "images") if stage.name == "examples" else 0)
            self.seen[stage.name] = Seen(seconds, self._training, memory, disk, self._arrays(stage.name))
            at += 1
            return counts

        try:
            self.execute([replace(stage, work=partial(work, stage)) for stage in listing])
        except Exception as error:  # few images may be too few in ways that only the stages know
            self.failed = f"{listing[at].name} failed on {max(self.images.values())} images: {error}"

    def _arrays(self, stage: str) -> int:
        """A grounder's padded sets, a scene-graph model's soft labels."""
        kind, _, method = stage.partition("-")
        if kind == "grounding" and GROUNDERS[method].learns:
            sets = [
                artifacts.grounding_images(self, s, GROUNDERS[method].taught)
                for s in ("train", "validation")
                if s in self.images
            ]
            return sum(_bytes(gather(images)) for images in sets if lengths_of(images).all(0).any())
        if kind == "sgg" and GROUNDERS[method].learns and self.recipe.pseudo_labels.kind == "soft":
            labels, rng = labels_of(self, method), np.random.default_rng(0)
            return sum(_bytes(labels(i, rng)) for i in range(self.images["train"]))
        return 0


def take_sample(run: Run, done: bool) -> Sample:
    """A run's data: of its own `examples` if they are done; drawn ones are only counted; others are read, once.

    Raises InputError where they cannot be read or a split has no image.
    """
    data, splits = run.recipe.data, run.recipe.splits
    if done:
        found = {split: artifacts.examples(run, split) for split in splits}
        return Sample({split: len(e) for split, e in found.items()}, {split: e[:MANY] for split, e in found.items()})
    if data.source == "minigenome":
        return Sample({split: getattr(data, split) for split in splits})
    _forget_peak()
    sample, began, source = Sample({}, {}), time.perf_counter(), open_source(data, run.folder / "images")
    for split in splits:
        examples = read_examples(source, split, Skipped(), run.progress)
        sample.images[split], sample.listed[split] = len(examples), examples[:MANY]
    sample.seconds, sample.memory = time.perf_counter() - began, _peak()
    return sample


def try_stages(recipe: Recipe, sample: Sample, due: set[str], place: Path) -> list[Trial]:
    """Try what is due, with the stages that it reads, on FEW images and then on up to MANY, in folders of `place`.

    The first try also pays for what a process does once, such as importing libraries: if it was quick, there is another
    of its size. The last is the smaller the longer the one before took, and is left out where that was too long.
    """
    most = max(sample.images.values())
    tries = [_attempt(recipe, sample, due, place / "first", FEW)]
    if sum(_seconds(tries[-1])) < QUICK:
        tries.append(_attempt(recipe, sample, due, place / "again", FEW))
    many = min(MANY, most, int(FEW * BUDGET / max(sum(_seconds(tries[-1])), 0.1)))
    if many > FEW and many >= min(2 * FEW, most):
        tries.append(_attempt(recipe, sample, due, place / "many", many))
    return tries


def _attempt(recipe: Recipe, sample: Sample, due: set[str], folder: Path, most: int) -> Trial:
    """One try, on `most` images of the largest split and as large a share of the others."""
    share = most / max(sample.images.values())
    images = {split: min(count, max(2, math.ceil(count * share))) for split, count in sample.images.items()}
    small = _shortened(recipe, images)
    listing = stages(small)
    if sample.listed is not None:
        given = {split: examples[: images[split]] for split, examples in sample.listed.items()}
        listing[0] = replace(listing[0], work=partial(_write_examples, given))
    trial = Trial(small, folder, Console(file=io.StringIO()), images=images)
    trial.try_out(with_needs(listing, due))
    return trial


def _shortened(recipe: Recipe, images: dict[str, int]) -> Recipe:
    """The recipe for so many images and EPOCHS epochs; few images say a word less often, so once is enough."""
    grounding, sgg = recipe.grounding, recipe.sgg
    training = sgg.training.model_copy(update={"epochs": min(EPOCHS, sgg.training.epochs)})
    changed: dict[str, Any] = {
        "grounding": grounding.model_copy(update={"epochs": min(EPOCHS, grounding.epochs)}),
        "sgg": sgg.model_copy(update={"training": training}),
        "vocabulary": recipe.vocabulary.model_copy(update={"minimum": 1}),
    }
    if recipe.data.source == "minigenome":
        changed["data"] = recipe.data.model_copy(update=images)
    return recipe.model_copy(update=changed)


def _write_examples(given: dict[str, list[Example]], run: Run, folder: Path) -> dict[str, Any]:
    for split, examples in given.items():
        write_lines(folder / f"{split}.jsonl", (example_record(e, run.folder) for e in examples))
    return {f"{split} images": len(examples) for split, examples in given.items()}


@contextmanager
def offline() -> Iterator[None]:
    """In the block nothing is fetched, neither from the Hugging Face hub nor by torchvision."""

    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise InputError(f"{url} would have to be fetched")

    before = hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file = True, refuse
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file = before


def _seconds(trial: Trial) -> list[float]:
    return [seen.seconds + seen.training for seen in trial.seen.values()]


def _bytes(values: Any) -> int:
    return sum(getattr(value, "nbytes", 0) for value in vars(values).values())


def _size(folder: Path) -> int:
    return sum(p.stat().st_size for p in folder.rglob("*") if p.is_file() and SCRATCH not in p.parts)


def _forget_peak() -> None:
    with suppress(OSError):  # not Linux: the peak is then the whole process's
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    with suppress(OSError):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return peak_memory()
