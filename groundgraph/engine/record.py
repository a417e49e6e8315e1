"""What a stage says of itself when it is done, with its files' checksums; and whether they still are what they were.

Sizes and times of all files are looked at whenever a run starts. A checksum is computed where a file's time has changed
(a copied folder, or one that somebody wrote into), where a stage fails that reads it, and for `groundgraph status
--verify`: a bit that turns over on a disk changes neither size nor time. SHA-256 because today's processors compute it
faster (2 GB a second) than anything else in Python's library, and because `sha256sum` checks it without us.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from groundgraph.data.files import write_json
from groundgraph.errors import InputError

Record = dict[str, Any]  # what stage.json holds
Files = dict[str, list[Any]]  # a file's path inside its stage's folder -> size, time of change in ns, SHA-256
NAME = "stage.json"
SCRATCH = "scratch"  # what of a stage's folder is no part of its result


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def taken(folder: Path) -> Files:
    """The files of a folder as they are now, stage.json and scratch left out."""
    names = sorted(p.relative_to(folder) for p in folder.rglob("*") if p.is_file())
    kept = [name for name in names if name.parts[0] not in (NAME, SCRATCH)]
    return {name.as_posix(): [*_state(folder / name), checksum(folder / name)] for name in kept}


def damaged(folder: Path, files: Files, thorough: bool = False) -> list[str]:
    """Which files of a folder are missing or not what they were, by path inside it.

    A file that has its size and its checksum, but another time, gets that time in `files`, so that it is read once.
    thorough  read all of them, whatever their times
    """
    lost = []
    for name, (size, time, digest) in files.items():
        try:
            now = _state(folder / name)
        except OSError:
            lost.append(name)
            continue
        if now[0] == size and now[1] == time and not thorough:
            continue
        if now[0] != size or checksum(folder / name) != digest:
            lost.append(name)
        else:
            files[name] = [*now, digest]
    return lost


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


def write_record(folder: Path, record: dict[str, Any]) -> None:
    """Write a stage's record as stage.json, sealed by its own checksum; the file is whole before it takes its place."""
    write_json(folder / NAME, record | {"seal": _seal(record)}, indent=1)


def read_record(folder: Path) -> dict[str, Any] | None:
    """What `write_record` wrote, None where there is nothing. Raises InputError where it is damaged."""
    path = folder / NAME
    try:
        record: Record = json.loads(path.read_bytes())
        seal = record.pop("seal", None)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error})") from error
    if seal is None:  # an earlier version's
        return None
    if seal != _seal(record):
        raise InputError(f"{path}: damaged (it is not what its checksum says)")
    return record


def _seal(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
