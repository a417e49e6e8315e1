"""How far a run is: what of it is done, at work, broken off, failed, damaged or still due."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rich.markup import escape
from rich.table import Table

from groundgraph.data.store import Ragged
from groundgraph.engine import lock
from groundgraph.engine import record as manifest
from groundgraph.engine.run import Run
from groundgraph.engine.stage import fingerprints
from groundgraph.stages import stages
from groundgraph.stages.recipe import run_recipe
from groundgraph.terminal import Console

COLOURS = {"done": "green", "running": "cyan", "stopped": "yellow", "failed": "red", "damaged": "red", "due": "dim"}


class State(NamedTuple):
    """A stage, how it is, and what there is to say of that."""

    stage: str
    state: Literal["done", "running", "stopped", "failed", "damaged", "due"]
    detail: str = ""


def states(run: Run, verify: bool = False) -> list[State]:
    """How each stage of a run is, in order. Nothing is computed or written.

    verify  the checksums of all files are computed, which reads them whole
    """
    listing, busy = stages(run.recipe), lock.holder(run.folder) is not None
    marks = fingerprints(listing)
    return [_state(run, stage.name, marks[stage.name], busy, verify) for stage in listing]


def _state(run: Run, stage: str, mark: str, busy: bool, verify: bool) -> State:
    folder = run.folder / stage
    try:
        record = manifest.read_record(folder)
        begun = manifest.read_record(run.folder / f"{stage}.part")
    except ValueError as error:
        return State(stage, "damaged", f"{error}; the stage runs again")
    if record and "counts" in record and record["fingerprint"] == mark:
        lost = manifest.damaged(folder, record["files"], thorough=verify)
        if lost:
            return State(stage, "damaged", f"{folder / lost[0]}{_more(lost)}: delete it; the next run makes it anew")
        return State(stage, "done", _counts(record))
    if begun and begun["fingerprint"] == mark:
        so_far = ", ".join(_so_far(run, stage))
        if "ended" not in begun:
            return State(stage, "running" if busy else "stopped", so_far or ("" if busy else "broken off"))
        return State(stage, "stopped" if begun["stopped"] else "failed", f"{begun['ended']}; {so_far}".rstrip("; "))
    return State(stage, "due", "done with other settings, data or models" if record else "")


def _more(names: list[str]) -> str:
    return f" and {len(names) - 1} more" if len(names) > 1 else ""


def _counts(record: dict[str, Any]) -> str:
    said = [f"{value:,} {name}" for name, value in record["counts"].items() if isinstance(value, int) and value]
    skipped = [f"{len(record['skipped'])} skipped"] if record["skipped"] else []
    return ", ".join([*said[:3], *skipped])


def _so_far(run: Run, stage: str) -> Iterator[str]:
    """Of a stage that writes as it goes: how many of each split's images are on the disk."""
    listed = (run.record("examples") or {"counts": {}})["counts"]
    for split in run.recipe.splits:
        place = run.folder / f"{stage}.part" / split
        if place.is_dir():
            yield f"{len(Ragged(place)):,} of {listed.get(f'{split} images', 0):,} {split} images"


def show_status(console: Console, folder: Path, verify: bool = False) -> bool:
    """Print how far the run in a folder is; gives whether all of its files are whole.

    Raises InputError where it is no run's folder.
    """
    run = Run(run_recipe(folder), folder, console)
    listed, busy = states(run, verify), lock.holder(folder)
    table = Table("stage", "state", "seconds", "", title=f"{escape(run.recipe.name)} in {escape(str(folder))}")
    for name, state, detail in listed:
        record = run.record(name) if state == "done" else None
        took = f"{record['seconds']:.1f}" if record else ""
        table.add_row(name, f"[{COLOURS[state]}]{state}[/]", took, escape(detail))
    console.print(table)
    done = sum(state == "done" for _, state, _ in listed)
    who = escape(busy or "nobody")
    console.print(f"{done} of {len(listed)} stages done; {who} is at work here")
    if done < len(listed) and not busy:
        console.print(f"go on with: {escape(run.command())}")
    if verify:
        files = [value for s in listed if (record := run.record(s.stage)) for value in record["files"].values()]
        console.print(f"{len(files):,} files read, {sum(f[0] for f in files) / 1e9:.2f} GB")
    return all(state != "damaged" for _, state, _ in listed)
