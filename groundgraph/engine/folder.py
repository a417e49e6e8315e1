"""A run's folder: which stages are done in it, what a broken-off one left, and on which data set its runs are.

A stage works in FOLDER/NAME.part, which is renamed to FOLDER/NAME when it is whole; stage.json in it carries its
fingerprint and the checksums of its files (see `record`). Where a stage is broken off, its folder stays, and the next
attempt with the same fingerprint goes on from what lies in it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from groundgraph.data.files import write_json, write_text
from groundgraph.engine.record import NAME, SCRATCH, Record, damaged, read_record, write_record
from groundgraph.engine.skips import write_skipped
from groundgraph.errors import InputError

OWNER = "data.json"  # says of a folder that runs made it, and on which data set
RUNS = Path("runs")
_TOP = ("recipe.yaml", "report.html", "metrics.json", "images")  # what a run writes beside its stages' folders


class Config(Protocol):
    """What the engine asks of a run's configuration."""

    @property
    def name(self) -> str:
        """Of the run, and of its folder if nobody says."""
        ...

    @property
    def data_set(self) -> str:
        """What data it is on, in words: two runs in one folder are on the same."""
        ...

    def yaml(self) -> str:
        """The configuration as the file that is written into the folder."""
        ...

    def data_set_of(self, path: Path) -> str:
        """The data set of such a file."""
        ...


def default_folder(config: Config, target: str = "") -> Path:
    """Where a recipe runs if nobody says: runs/NAME.

    Args:
        config: The recipe.
        target: The folder of photos that it was made of, if any: of two that have one name, the second gets the
            folder that it lies in before its own, and so on up.
    """
    names, folder = [config.name], Path(target)
    if target and folder.is_dir():
        for parent in folder.resolve().parents[:-1]:
            names.append(f"{re.sub(r'[^a-zA-Z0-9_.+-]+', '-', parent.name)}-{names[-1]}")
    owners = {RUNS / name: owner(RUNS / name, config) for name in names}
    own, free = ([place for place, data in owners.items() if data == of] for of in (config.data_set, None))
    return (own + free + [RUNS / config.name])[0]


def require_own(folder: Path, config: Config, stages: Iterable[str]) -> None:
    """Check that a recipe may run in a folder.

    Raises:
        InputError: It holds a run on another data set, or something that no run made under a name that one would write.
    """
    data = owner(folder, config)
    if data is not None and data != config.data_set:
        raise InputError(
            f"{folder} holds a run on {data}, not on {config.data_set}: choose another folder with --out, or "
            "delete this one"
        )
    if data is None:
        for name in (*_TOP, OWNER, *(f"{stage}{end}" for stage in stages for end in ("", ".part"))):
            if os.path.lexists(folder / name):
                raise InputError(
                    f"{folder / name} is there already, and no run of groundgraph made it: choose another folder with "
                    "--out"
                )


def claim(folder: Path, config: Config) -> None:
    """Write down whose a folder is."""
    if not (folder / OWNER).is_file():
        write_json(folder / OWNER, {"data set": config.data_set})


def owner(folder: Path, config: Config) -> str | None:
    """The data set that the runs in a folder were on; None where no run was."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((folder / OWNER).read_text(encoding="utf-8"))["data set"])
    with suppress(OSError, ValueError):  # made by a version that wrote no such file
        if any(read_record(place.parent) for place in folder.glob(f"*/{NAME}")):
            return config.data_set_of(folder / "recipe.yaml")
    return None


def command(folder: Path) -> str:
    """What goes on with a folder's run on the command line, from any folder."""
    place = os.path.abspath(folder)
    return shlex.join(["groundgraph", "run", os.path.join(place, "recipe.yaml"), "--out", place])


def write_config(folder: Path, config: Config) -> None:
    """Write the recipe into its run's folder, where it is not there as it is."""
    path, text = folder / "recipe.yaml", config.yaml()
    if not path.is_file() or path.read_bytes() != text.encode():
        write_text(path, text)


def record_of(folder: Path, stage: str) -> Record | None:
    """What a finished stage says of itself (fingerprint, seconds, counts, skipped, files), or None."""
    try:
        record = read_record(folder / stage)
    except ValueError:
        return None
    return record if record is not None and "counts" in record else None


def is_done(folder: Path, stage: str, fingerprint: str) -> bool:
    """Whether a stage is done, and its files are what they were (see `record` for how far that is looked at)."""
    record = record_of(folder, stage)
    if record is None or record["fingerprint"] != fingerprint:
        return False
    before = dict(record["files"])
    lost = damaged(folder / stage, record["files"])
    if record["files"] != before:  # the folder was copied: its files are read this once
        with suppress(OSError):
            write_record(folder / stage, record)
    return not lost


def begin(folder: Path, stage: str, fingerprint: str) -> tuple[Path, Record]:
    """Make a stage's working folder ready, with what an attempt with the same fingerprint left there.

    Returns:
        The working folder, and its record: with "counts" where the attempt lacked nothing but its name.
    """
    work = working_folder(folder, stage)
    try:
        record = read_record(work)
    except ValueError:
        record = None
    if record is None or record["fingerprint"] != fingerprint:
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        record = {"fingerprint": fingerprint, "seconds": 0.0}
    record = {key: value for key, value in record.items() if key not in ("ended", "stopped")}
    write_record(work, record)
    return work, record


def finish(folder: Path, stage: str) -> None:
    """Let a stage's working folder, whole, take its place."""
    work = working_folder(folder, stage)
    shutil.rmtree(work / SCRATCH, ignore_errors=True)
    shutil.rmtree(folder / stage, ignore_errors=True)
    os.replace(work, folder / stage)


def reclaim(folder: Path, stage: str, fingerprint: str, warn: Callable[[str], None]) -> None:
    """Where a stage's result is damaged, say so, and let the stage go on from the files that are whole."""
    place, work = folder / stage, working_folder(folder, stage)
    try:
        record = read_record(place)
    except ValueError as error:
        warn(f"{error}; {stage} runs again")
        return
    if record is None or record["fingerprint"] != fingerprint:
        return
    if "counts" in record:
        lost = damaged(place, record["files"])
        if not lost:
            return
        write_skipped(place / SCRATCH, record["skipped"])
        write_record(place, {"fingerprint": fingerprint, "seconds": record["seconds"]})
        for name in lost:
            warn(f"{place / name}: missing, or not what {stage} wrote; {stage} makes it anew")
            (place / name).unlink(missing_ok=True)
    shutil.rmtree(work, ignore_errors=True)
    os.replace(place, work)


def working_folder(folder: Path, stage: str) -> Path:
    """Where a stage works until it is whole."""
    return folder / f"{stage}.part"


def scratch_of(work: Path) -> Path:
    """A folder in a stage's for what is not part of its result; made where there is none."""
    scratch = work / SCRATCH
    scratch.mkdir(exist_ok=True)
    return scratch
