"""How far a run is: what of it is done, at work, broken off, failed, damaged or still due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from rich.markup import escape
from rich.table import Table

from groundgraph.data.ragged import Ragged
from groundgraph.engine import lock
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.folder import command, record_of, working_folder
from groundgraph.engine.record import Record, damaged, read_record
from groundgraph.engine.stage import Stage
from groundgraph.terminal import Console

COLOURS = {"done": "green", "running": "cyan", "stopped": "yellow", "failed": "red", "damaged": "red", "due": "dim"}


class State(NamedTuple):
    """A stage, how it is, and what there is to say of that."""

    stage: str
    state: Literal["done", "running", "stopped", "failed", "damaged", "due"]
    detail: str = ""


def states(folder: Path, stages: Sequence[Stage], images: Mapping[str, int], verify: bool = False) -> list[State]:
    """How each stage of a run is, in order. Nothing is computed or written.

    Args:
        folder: The run's.
        stages: All of its stages.
        images: Split -> how many it has, where that is known: a stage that writes as it goes is at so many of them.
        verify: Compute the checksums of all files, which reads them whole.
    """
    busy, fingerprint_of = lock.holder(folder) is not None, fingerprints(stages)
    return [_state(folder, stage.name, fingerprint_of[stage.name], images, busy, verify) for stage in stages]


def _state(folder: Path, stage: str, fingerprint: str, images: Mapping[str, int], busy: bool, verify: bool) -> State:
    work = working_folder(folder, stage)
    try:
        record, begun = read_record(folder / stage), read_record(work)
    except ValueError as error:
        return State(stage, "damaged", f"{error}; the stage runs again")
    if record and "counts" in record and record["fingerprint"] == fingerprint:
        lost = damaged(folder / stage, record["files"], thorough=verify)
        if lost:
            more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
            return State(stage, "damaged", f"{folder / stage / lost[0]}{more}: delete it; the next run makes it anew")
        return State(stage, "done", _counts(record))
    if begun and begun["fingerprint"] == fingerprint:
        stores = [(split, work / split) for split in images if (work / split).is_dir()]
        so_far = ", ".join(f"{len(Ragged(path)):,} of {images[split]:,} {split} images" for split, path in stores)
        if "ended" not in begun:
            return State(stage, "running" if busy else "stopped", so_far or ("" if busy else "broken off"))
        return State(stage, "stopped" if begun["stopped"] else "failed", f"{begun['ended']}; {so_far}".rstrip("; "))
    return State(stage, "due", "done with other settings, data or models" if record else "")


def _counts(record: Record) -> str:
    counts = [f"{value:,} {name}" for name, value in record["counts"].items() if isinstance(value, int) and value]
    skipped = [f"{len(record['skipped'])} skipped"] if record["skipped"] else []
    return ", ".join([*counts[:3], *skipped])


def show_status(
    console: Console,
    name: str,
    folder: Path,
    stages: Sequence[Stage],
    images: Mapping[str, int],
    verify: bool = False,
) -> bool:
    """Print how far the run in a folder is.

    Args:
        console: Where.
        name: The recipe's.
        folder: See `states`, as for the rest.
        stages: All of its stages.
        images: Split -> how many it has.
        verify: Read all files.

    Returns:
        Whether all of its files are whole.
    """
    rows, holder = states(folder, stages, images, verify), lock.holder(folder)
    console.print(f"{escape(name)} in {escape(str(folder))}")  # a table's title would be cut to its width
    table = Table("stage", "state", "seconds", "")
    files = []
    for stage, state, detail in rows:
        record = record_of(folder, stage)
        files += list(record["files"].values()) if record else []
        seconds = f"{record['seconds']:.1f}" if record and state == "done" else ""
        table.add_row(stage, f"[{COLOURS[state]}]{state}[/]", seconds, escape(detail))
    console.print(table)
    done = sum(state == "done" for _, state, _ in rows)
    console.print(f"{done} of {len(rows)} stages done; {escape(holder or 'nobody')} is at work here")
    if done < len(rows) and not holder:
        console.print(f"go on with: {escape(command(folder))}")
    if verify:
        console.print(f"{len(files):,} files read, {sum(file[0] for file in files) / 1e9:.2f} GB")
    return all(state != "damaged" for _, state, _ in rows)
