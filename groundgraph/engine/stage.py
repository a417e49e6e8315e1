"""A step of a run, and what its result depends on: the fingerprint by which it is known whether it is due."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from groundgraph.engine.code import code_of
from groundgraph.models import resolve

if TYPE_CHECKING:
    from groundgraph.engine.run import Run

LAYOUT = 3  # of the stages' files: raised when another version could not read them


class Requirement(Protocol):
    """A file or model that a stage needs."""

    @property
    def present(self) -> bool:
        """Whether it is here."""
        ...


def _nothing() -> tuple[()]:
    """Of a stage that reads no files but other stages' and has no requirements."""
    return ()


@dataclass(frozen=True)
class Cost:
    """How much a stage has to do.

    Attributes:
        images: Of so many images a split, how many it looks at; a training's count once an epoch.
        words: The same for a person, with the images of each split: "find regions: 2,200 images".
        seconds: Of one core for 1,000 of these images, about: what a study's time left goes by.
    """

    images: Callable[[Mapping[str, int]], int]
    words: Callable[[Mapping[str, int]], str]
    seconds: float = 1.0


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    Attributes:
        name: Its folder in the run's.
        needs: All stages whose output it reads.
        settings: What of the recipe its result depends on, as JSON.
        work: Writes the stage's files into a folder, which holds what a broken-off attempt wrote, and gives its counts.
        shared: Under torchrun all processes do the work (a training), of which the first alone writes and counts.
        files: Identities of the files and models that its result depends on, as JSON; looked at when it is asked for.
        cost: How much it has to do.
        requirements: The files and models that must be here before it can run.
        spread: What it knows of each image can be computed by an executor's workers.
        reusable: Runs with other settings may come to the same, so that a study of many runs keeps it.
    """

    name: str
    needs: tuple[str, ...]
    settings: Any
    work: Callable[[Run, Path], dict[str, Any]]
    shared: bool = False
    files: Callable[[], Any] = _nothing
    cost: Cost | None = None
    requirements: Callable[[], Sequence[Requirement]] = _nothing
    spread: bool = False
    reusable: bool = True


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
    """What a stage depends on, as a hash: its settings and files, the stages it reads, the code that it runs."""
    made_by = [version("groundgraph"), LAYOUT, code_of(stage.work)]
    content = json.dumps([stage.name, stage.settings, stage.files(), list(needs), made_by], sort_keys=True, default=str)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def file_identity(path: str | Path) -> list[Any]:
    """A file or folder of files, for a fingerprint: names and sizes, and what is in them up to 64 MB each."""
    path = Path(path)
    if not path.exists():
        return [str(path), "absent"]
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [[p.name, p.stat().st_size, _content(p)] for p in files]


def file_states(paths: Iterable[str | Path]) -> str:
    """Files that are too many or too large to read, for a fingerprint: their names, sizes and times, as a hash."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            state = os.stat(path)
            digest.update(f"{path} {state.st_size} {state.st_mtime_ns}\n".encode(errors="surrogatepass"))
        except (OSError, ValueError):  # ValueError: no name of a file at all
            digest.update(f"{path} absent\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


def model_identity(model: str) -> Any:
    """What a model's name stands for, for a fingerprint: the files where it is local, the name where it is a hub id.

    A folder that is no model's, but of regions, is too large to read: its files' sizes and times stand for it.
    """
    path = Path(model).expanduser()
    if path.is_dir() and not (path / "config.json").is_file():
        return file_states(sorted(p for p in path.rglob("*") if p.is_file()))
    try:
        place = path if path.is_file() else Path(resolve(model))
    except ValueError:  # `check.require` says what is missing, and so does the stage that loads it
        return [model, "absent"]
    return file_identity(place) if place.exists() else model


def _content(path: Path) -> str:
    if path.stat().st_size > 64 << 20:
        return str(path.stat().st_mtime_ns)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
