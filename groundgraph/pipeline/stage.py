"""A step of a run, and what its result depends on: the fingerprint by which it is known whether it is due."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from groundgraph.pipeline.run import Run

LAYOUT = 2  # of the stages' files: raised when another version could not read them


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    name      its folder; needs: stages whose output it reads
    settings  what of the recipe (and which files) its result depends on, as JSON
    work      writes the stage's files into a folder, which holds what a broken-off attempt wrote, and gives its counts
    shared    under torchrun all processes do the work (a training), of which the first alone writes and counts
    """

    name: str
    needs: tuple[str, ...]
    settings: Any
    work: Callable[[Run, Path], dict[str, Any]]
    shared: bool = False


def with_needs(listing: Sequence[Stage], names: Iterable[str]) -> list[Stage]:
    """The named stages and all that they read, directly or not, in order."""
    wanted = set(names)
    for stage in reversed(listing):
        if stage.name in wanted:
            wanted |= set(stage.needs)
    return [stage for stage in listing if stage.name in wanted]


def fingerprints(stages: Sequence[Stage]) -> dict[str, str]:
    """What each stage's result depends on, as a hash."""
    marks: dict[str, str] = {}
    for stage in stages:
        marks[stage.name] = fingerprint(stage, [marks[name] for name in stage.needs])
    return marks


def fingerprint(stage: Stage, needs: Sequence[str]) -> str:
    """What a stage's result depends on, as a hash: its settings, the stages it reads, the version of groundgraph."""
    made_by = [version("groundgraph"), LAYOUT]
    content = json.dumps([stage.name, stage.settings, list(needs), made_by], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def file_identity(path: str | Path) -> list[Any]:
    """A file or folder of files, for a fingerprint: names and sizes, and what is in them up to 64 MB each."""
    path = Path(path)
    if not path.exists():
        return [str(path), "absent"]
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [[p.name, p.stat().st_size, _content(p)] for p in files]


def _content(path: Path) -> str:
    if path.stat().st_size > 64 << 20:
        return str(path.stat().st_mtime_ns)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
