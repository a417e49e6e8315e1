"""What a run's stages will do and take, said before it starts: they are tried on a few images (`trial`).

Time and disk: a constant (loading a model) and so much an image of the splits that a stage works on, both from tries of
two sizes; for a training so much a pass over an image, of which there are images times epochs.

Memory: the peak of the larger try, which holds for any number of images, since stages go through slices of 64 and write
what they find. What a stage keeps of all images comes on top:
- lists of what lies in files, KEPT bytes for a byte;
- a grounder's padded sets, unless they exceed `grounding.data.LIMIT` and are read batch by batch;
- soft labels;
- what an extraction found and has not written yet, a shard at most.
Left out are what the allocator keeps of freed pieces, and on the disk a training's checkpoint, a few times its model,
which is deleted when the training is done.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from groundgraph.data.ragged import SHARD_BYTES
from groundgraph.data.sources import open_source
from groundgraph.engine.run import Run
from groundgraph.engine.trial import Sample, Trial, offline, take_sample, try_stages
from groundgraph.grounding import GROUNDERS
from groundgraph.grounding.data import LIMIT
from groundgraph.stages import stages
from groundgraph.stages.preflight import dry_run, needs
from groundgraph.stages.recipe import Recipe

# A stage's name up to its dash -> the splits that it works on, and what it does with their images.
WORK = {
    "examples": ("all", "gather {items:,} images"),
    "parsed": ("all", "parse captions: {items:,} images"),
    "vocabulary": ("train", "choose the vocabulary"),
    "regions": ("all", "find regions: {items:,} images"),
    "concepts": ("train", "look up words: {items:,} images"),
    "matches": ("train", "match words: {items:,} images"),
    "text": ("all", "embed entities: {items:,} images"),
    "teachers": ("taught", "ask teachers: {items:,} images"),
    "crops": ("taught", "look at regions: {items:,} images"),
    "reliability": ("taught", "weigh teachers: {items:,} images"),
    "grounding": ("both", "train {method}: {epochs} epochs of {train:,} images"),
    "rule": ("both", "match regions: {items:,} images"),
    "pseudo": ("train", "label {items:,} images"),
    "sgg": ("measured", "train {model}: {steps:,} steps of {batch} images"),
    "evaluation": ("both", "measure {items:,} images"),
    "report": ("measured", "write the report"),
}
# Bytes in memory for a byte in files, by the stage at work and whose files they are, as tracemalloc saw it on the demo.
KEPT = {
    "grounding": {"grounding": 2},
    "pseudo": {"pseudo": 10},
    "sgg": {"sgg": 2, "pseudo": 3},
    "evaluation": {"sgg": 8},
    "report": {"sgg": 8},
}


@dataclass(frozen=True)
class Estimate:
    """What a stage will do or has done: its images; seconds, peak memory, size of its files (bytes). None: unknown."""

    stage: str
    done: bool
    what: str = ""
    items: int = 0
    seconds: float | None = None
    memory: float | None = None
    disk: float | None = None


def estimate(run: Run) -> tuple[list[Estimate], str]:
    """A run's stages in order, and a sentence: where the figures come from, or why they are missing.

    The run's folder stays as it is, nothing is fetched, and what is tried is deleted.
    """
    listing, began = dry_run(run), time.perf_counter()
    due = {name for name, done in listing if not done}
    absent = [need for need in needs(run.recipe) if not need.present]
    sample, tries, why = None, [], ""
    if due and absent:
        fetched = sum(bool(need.source) for need in absent)
        told = (len(absent) - fetched, "missing"), (fetched, "to fetch")
        why = "nothing is estimated before all is here: " + ", ".join(
            f"{count} {what}" for count, what in told if count
        )
    try:
        if due and all(need.present for need in open_source(run.recipe.data, run.folder).needs()):
            sample = take_sample(run, "examples" not in due)
        if sample and not absent:
            # Where the run will write, if that can be: its disk is as fast.
            beside = run.folder.parent if os.access(run.folder.parent, os.W_OK) else None
            with offline(), tempfile.TemporaryDirectory(prefix=".trial-", dir=beside) as place:
                tries = try_stages(run.recipe, sample, due, Path(place))
    except (ValueError, OSError) as error:
        why = f"nothing is estimated: {error}"
    if tries:
        why = _sentence(tries, max(sample.images.values()), time.perf_counter() - began)
    return [_row(run, name, done, sample, tries) for name, done in listing], why


def _sentence(tries: Sequence[Trial], most: int, seconds: float) -> str:
    sizes = list(dict.fromkeys(max(trial.images.values()) for trial in tries))
    told = f"tried on {' and '.join(map(str, sizes))} images in {seconds:.0f} s on this machine"
    if tries[-1].failed:
        return f"{told}; {tries[-1].failed}"
    if len(sizes) > 1 or sizes[0] == most:
        return f"{told}; time is a constant and so much an image, in trainings so much an image and epoch"
    return f"{told}, and not on more, to save time: what a stage takes once counts with every image, so it is too much"


def _row(run: Run, name: str, done: bool, sample: Sample | None, tries: Sequence[Trial]) -> Estimate:
    if done:
        record = run.record(name)
        did = [f"{value:,} {what}" for what, value in record["counts"].items() if isinstance(value, int)]
        disk = sum(size for size, *_ in record["files"].values())
        return Estimate(name, True, ", ".join(did[:2]), seconds=record["seconds"], disk=disk)
    if sample is None:
        return Estimate(name, False)
    recipe, found = run.recipe, [trial for trial in tries if name in trial.seen]
    known = name, False, described(recipe, name, sample.images), amount(recipe, name, sample.images)[0]
    if not found:
        return Estimate(*known)

    def at(stage: str, what: str, passes: bool = False) -> float:
        points = [(amount(t.recipe, stage, t.images)[passes], getattr(t.seen[stage], what)) for t in found[-2:]]
        return line(points, amount(recipe, stage, sample.images)[passes])

    last, kind = found[-1].seen, name.partition("-")[0]
    # What a process does once, such as importing libraries, is what the first of two tries of one size took more.
    once = max(0.0, found[0].seen[name].seconds - found[-2].seen[name].seconds) if len(found) > 2 else 0.0
    seconds = once + at(name, "seconds") + (at(name, "training", True) if last[name].training else 0.0)
    memory = float(last[name].memory)
    for owner, ratio in KEPT.get(kind, {}).items():
        stage = f"{owner}-{name.partition('-')[2] or recipe.grounder[0]}"
        if stage in last:  # "full" has no pseudo labels
            memory += ratio * max(0.0, at(stage, "disk") - last[stage].disk)
    arrays = at(name, "arrays")
    if kind != "grounding" or arrays <= LIMIT:
        memory += max(0.0, arrays - last[name].arrays)
    if any(stage.spread for stage in stages(recipe) if stage.name == name):
        memory += min(SHARD_BYTES, at(name, "disk")) - min(SHARD_BYTES, last[name].disk)
    if name == "examples":
        seconds, memory = seconds + sample.seconds, max(memory, sample.memory)
    if name == "report":  # it shows a few images, however many there are
        return Estimate(*known, last[name].seconds, memory, last[name].disk)
    return Estimate(*known, seconds, memory, at(name, "disk"))


def line(points: Sequence[tuple[float, float]], at: float) -> float:
    """The value at `at` on the line through the first and the last point (amount, value), smaller amount first.

    Neither the constant nor the slope is negative: the line keeps to the last point. Through one point, or where both
    have one amount, the value is proportional to the amount.
    """
    (x, y), (last, value) = points[0], points[-1]
    slope = (value - y) / (last - x) if last > x else math.inf
    return value + min(max(slope, 0.0), value / last) * (at - last)


def amount(recipe: Recipe, stage: str, images: dict[str, int]) -> tuple[int, int]:
    """How many images a stage works on, of so many a split, and how many passes over one its training makes."""
    kind = stage.partition("-")[0]
    train, measured, everything = images["train"], images[recipe.measured], sum(images.values())
    both = train + measured if recipe.measured != "train" else train
    splits = {"all": everything, "train": train, "measured": measured, "both": both}
    splits["taught"] = everything - (both - train)
    epochs = {"sgg": recipe.sgg.training.epochs, "grounding": recipe.grounding.epochs}.get(kind, 0)
    return splits[WORK[kind][0]], train * epochs


def described(recipe: Recipe, stage: str, images: dict[str, int]) -> str:
    """What a stage will do with so many images a split, in a few words."""
    kind, _, method = stage.partition("-")
    told = {"items": amount(recipe, stage, images)[0], "train": images["train"], "method": method}
    told |= {"epochs": recipe.grounding.epochs, "model": recipe.sgg.model, "batch": recipe.sgg.training.batch_size}
    told["steps"] = recipe.sgg.training.epochs * math.ceil(images["train"] / recipe.sgg.training.batch_size)
    return WORK["rule" if kind == "grounding" and not GROUNDERS[method].learns else kind][1].format(**told)
