"""A dry run of a recipe: its stages tried on a few of its own images, with short trainings, in a folder that goes."""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import constants as hub

from groundgraph.data.records import example_record, write_lines
from groundgraph.data.sources import open_source
from groundgraph.data.types import Example, Skipped
from groundgraph.engine.dry_run import MANY, StageEstimate, Try, done_stages, estimates, sentence, try_stages
from groundgraph.engine.folder import require_own
from groundgraph.engine.run import Run
from groundgraph.errors import InputError
from groundgraph.language.config import ParserConfig
from groundgraph.stages import stages
from groundgraph.stages.examples import examples, read_examples
from groundgraph.stages.language_model import language_model_words
from groundgraph.stages.parsed import KEY
from groundgraph.stages.parsers import offline
from groundgraph.stages.preflight import needs
from groundgraph.stages.recipe import Recipe
from groundgraph.systems.model import SystemConfig

EPOCHS = 2  # of a training


def estimate(run: Run) -> tuple[list[StageEstimate], str]:
    """What a run's stages will do and take. Its folder stays as it is, and nothing is fetched.

    Returns:
        The stages in order, and a sentence: where the figures come from, or why they are missing.

    Raises:
        InputError: The folder is another data set's.
    """
    listing, began = stages(run.recipe), time.perf_counter()
    require_own(run.folder, run.recipe, [stage.name for stage in listing])
    due = {name for name, done in done_stages(run, listing).items() if not done}
    # A server is not asked in a try, so that its key need not be here.
    absent = [need for need in needs(run.recipe) if not need.present and need.what != KEY]
    images: Mapping[str, int] = {}
    tries: list[Try] = []
    why = asking = ""
    if due and absent:
        fetched = sum(bool(need.source) for need in absent)
        counts = (len(absent) - fetched, "missing"), (fetched, "to fetch")
        missing = ", ".join(f"{count} {what}" for count, what in counts if count)
        why = f"nothing is estimated before all is here: {missing}"
    try:
        if due and all(need.present for need in open_source(run.recipe.data, run.folder).needs()):
            images, by_split = _data(run, "examples" not in due)
            if not absent:
                # Where the run will write, if that can be: its disk is as fast.
                beside = run.folder.parent if os.access(run.folder.parent, os.W_OK) else None
                with _offline(), tempfile.TemporaryDirectory(prefix=".trial-", dir=beside) as place:
                    small, most = partial(_small, run.recipe, images, by_split), max(images.values())
                    tries = try_stages(small, due, most, Path(place))
                    asking = language_model_words(run.recipe, images, Path(place)) if "parsed" in due else ""
                why = sentence(tries, most, time.perf_counter() - began)
    except (ValueError, OSError) as error:
        why = f"nothing is estimated: {error}"
    rows = estimates(run, listing, images, tries)
    return [
        _with_cost(row, asking, run.recipe.parser) if row.stage == "parsed" and asking else row for row in rows
    ], why


def _data(run: Run, done: bool) -> tuple[dict[str, int], dict[str, list[Example]] | None]:
    """How many images each split has, and the first of them; None where they are drawn, as many as are asked for."""
    data, splits = run.recipe.data, run.recipe.splits
    if not done and data.source == "minigenome":
        return {split: getattr(data, split) for split in splits}, None
    source = open_source(data, run.folder / "images")
    by_split = {s: examples(run, s) if done else read_examples(source, s, Skipped(), run.progress) for s in splits}
    return {split: len(own) for split, own in by_split.items()}, {split: own[:MANY] for split, own in by_split.items()}


def _small(recipe: Recipe, images: Mapping[str, int], by_split: Mapping[str, list[Example]] | None, most: int) -> Try:
    """A try on `most` images of the largest split and as large a share of the others."""
    share = most / max(images.values())
    few = {split: min(count, max(2, math.ceil(count * share))) for split, count in images.items()}
    small = _shortened(recipe, few)
    listing = stages(small)
    if by_split is not None:
        first = {split: examples[: few[split]] for split, examples in by_split.items()}
        listing[0] = replace(listing[0], work=partial(_write_examples, first))
    return Try(small, listing, few)


def _shortened(recipe: Recipe, images: Mapping[str, int]) -> Recipe:
    """The recipe for so many images and EPOCHS epochs; few images say a word less often, so once is enough."""
    grounding, sgg = recipe.grounding, recipe.sgg
    training = sgg.training.model_copy(update={"epochs": min(EPOCHS, sgg.training.epochs)})
    changed: dict[str, Any] = {
        "grounding": grounding.model_copy(update={"epochs": min(EPOCHS, grounding.epochs)}),
        "sgg": sgg.model_copy(update={"training": training}),
        "systems": recipe.systems.model_copy(update={name: _short(config) for name, config in recipe.systems}),
        "vocabulary": recipe.vocabulary.model_copy(update={"minimum": 1}),
    }
    if recipe.parser.sends:  # a try must cost nothing
        alignment = recipe.vocabulary.alignment.model_copy(update={"kind": "wordnet"})
        changed["parser"] = offline(recipe.parser)
        changed["vocabulary"] = changed["vocabulary"].model_copy(update={"alignment": alignment})
    if recipe.data.source == "minigenome":
        changed["data"] = recipe.data.model_copy(update=dict(images))
    return recipe.model_copy(update=changed)


def _with_cost(row: StageEstimate, asking: str, parser: ParserConfig) -> StageEstimate:
    """The parser's row with what a language model is asked; how long a server takes is not tried."""
    seconds, memory = (None, None) if parser.sends else (row.seconds, row.memory)
    return replace(row, what=f"{row.what}; {asking}", seconds=seconds, memory=memory)


def _short(config: SystemConfig) -> SystemConfig:
    """A system's settings with EPOCHS epochs."""
    training = config.training.model_copy(update={"epochs": min(EPOCHS, config.training.epochs)})
    return config.model_copy(update={"training": training})


def _write_examples(by_split: Mapping[str, list[Example]], run: Run, folder: Path) -> dict[str, Any]:
    for split, own in by_split.items():
        write_lines(folder / f"{split}.jsonl", (example_record(e, run.folder) for e in own))
    return {f"{split} images": len(own) for split, own in by_split.items()}


@contextmanager
def _offline() -> Iterator[None]:
    """In the block nothing is fetched, neither from the Hugging Face hub nor by torchvision."""

    def refuse(url: str, *_: Any, **__: Any) -> None:
        raise InputError(f"{url} would have to be fetched")

    before = hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file
    hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file = True, refuse
    try:
        yield
    finally:
        hub.HF_HUB_OFFLINE, torch.hub.download_url_to_file = before
