"""Stages computed once: each is kept under its fingerprint, where every cell that needs the same one finds it.

A stage's fingerprint is `groundgraph run`'s own. A cell that reads a stage has it linked into its working folder, and
the run itself then sees that it is done and unchanged.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from groundgraph.engine.execute import execute
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.folder import claim
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.stages.recipe import Recipe
from groundgraph.system import link_or_copy
from groundgraph.terminal import Console


def keys(listing: Sequence[Stage]) -> dict[str, str]:
    """Stage name -> the name of its folder in a store: its own and its fingerprint."""
    return {name: f"{name}-{fingerprint}" for name, fingerprint in fingerprints(listing).items()}


class StudyStore:
    """A folder of finished stages, of pictures that they share, and of working folders of what is not finished.

    A working folder outlives a broken-off attempt, so that a training goes on from its checkpoint.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def holds(self, key: str) -> bool:
        """Whether a stage is done. It is moved in whole, so there is no half of one."""
        return (self.folder / key).is_dir()

    def run_of(self, recipe: Recipe, listing: Sequence[Stage], key: str) -> Run:
        """A run in the working folder of `key`, with every stage that the store holds already in it."""
        work = self.folder / "work" / key
        work.mkdir(parents=True, exist_ok=True)
        claim(work, recipe)
        pictures = self.folder / "images"
        pictures.mkdir(exist_ok=True)
        _link(work / "images", pictures)
        for name, kept in keys(listing).items():
            if self.holds(kept):
                _link(work / name, self.folder / kept)
        return Run(recipe, work, Console(file=StringIO()))

    def compute(self, recipe: Recipe, listing: Sequence[Stage], name: str) -> None:
        """Compute one stage of a recipe, and what it reads where the store lacks it, and keep it."""
        key = keys(listing)[name]
        run = self.run_of(recipe, listing, key)
        execute(run, with_needs(listing, [name]))
        os.replace(run.folder / name, self.folder / key)
        self.discard(run)

    def discard(self, run: Run) -> None:
        """Delete a working folder; what is linked into it stays."""
        shutil.rmtree(run.folder, ignore_errors=True)


def read_json(path: Path) -> Any:
    """A JSON file's content; None where it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _link(place: Path, target: Path) -> None:
    if not os.path.lexists(place):
        link_or_copy(target, place)
