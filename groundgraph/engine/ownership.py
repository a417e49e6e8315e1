"""Whose a run's folder is: it belongs to one data set, and a run writes over nothing that no run made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from groundgraph.data.files import write_json
from groundgraph.engine import record as manifest
from groundgraph.errors import InputError
from groundgraph.stages.recipe import Recipe, load_recipe

NAME = "data.json"  # says of a folder that runs made it, and on which data set
RUNS = Path("runs")
_TOP = ("recipe.yaml", "report.html", "metrics.json", "images")  # what a run writes beside its stages' folders


def default_folder(recipe: Recipe, target: str = "") -> Path:
    """Where a recipe runs if nobody says: runs/NAME.

    target  the folder of photos that the recipe was made of, if any: of two that have one name, the second gets the
            folder that it lies in before its own, and so on up
    """
    names, folder = [recipe.name], Path(target)
    if target and folder.is_dir():
        for parent in folder.resolve().parents[:-1]:
            names.append(f"{re.sub(r'[^a-zA-Z0-9_.+-]+', '-', parent.name)}-{names[-1]}")
    owners = {RUNS / name: owner(RUNS / name) for name in names}
    own, free = ([place for place, data in owners.items() if data == of] for of in (recipe.data.data_set, None))
    return (own + free + [RUNS / recipe.name])[0]


def require_own(folder: Path, recipe: Recipe, stages: Iterable[str]) -> None:
    """Raise InputError where a recipe must not run in a folder.

    That is where it holds a run on another data set, or something that no run made under a name that one would write.
    """
    data = owner(folder)
    if data is not None and data != recipe.data.data_set:
        raise InputError(
            f"{folder} holds a run on {data}, not on {recipe.data.data_set}: choose another folder with --out, or "
            "delete this one"
        )
    if data is None:
        for name in (*_TOP, NAME, *(f"{stage}{end}" for stage in stages for end in ("", ".part"))):
            if os.path.lexists(folder / name):
                raise InputError(
                    f"{folder / name} is there already, and no run of groundgraph made it: choose another folder with "
                    "--out"
                )


def claim(folder: Path, recipe: Recipe) -> None:
    """Write down whose a folder is."""
    if not (folder / NAME).is_file():
        write_json(folder / NAME, {"data set": recipe.data.data_set})


def owner(folder: Path) -> str | None:
    """The data set that the runs in a folder were on; None where no run was."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / NAME).read_text(encoding="utf-8"))["data set"])
    with suppress(OSError, ValueError):  # made by a version that wrote no such file
        if any(manifest.read_record(place.parent) for place in folder.glob(f"*/{manifest.NAME}")):
            return load_recipe(folder / "recipe.yaml").data.data_set
    return None
