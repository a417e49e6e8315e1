"""Running a recipe in a folder: which stages are done, which are due, and nothing half-written.

A stage works in FOLDER/NAME.tmp, which is renamed to FOLDER/NAME when it is whole; stage.json in it carries its
fingerprint. What a long stage goes on from after a kill (a training's checkpoint) lies in FOLDER/NAME.part meanwhile.
A stage is skipped when its folder is there and its fingerprint equals what the recipe, its experts and the stages
before it now give.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import resource
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from groundgraph.data.types import Skipped
from groundgraph.pipeline.config import Recipe

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Stage:
    """One step of a run.

    name      its folder; needs: stages whose output it reads
    settings  what of the recipe (and which files) its result depends on, as JSON
    work      writes the stage's files into a folder and gives its counts
    """

    name: str
    needs: tuple[str, ...]
    settings: Any
    work: Callable[[Run, Path], dict[str, Any]]


@dataclass
class Run:
    """A recipe and the folder where its artifacts lie."""

    recipe: Recipe
    folder: Path
    console: Console = field(default_factory=Console)
    skipped: Skipped = field(default_factory=Skipped)
    seconds: dict[str, float] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict)
    _progress: Progress | None = None
    _scratch: Path | None = None

    def execute(self, stages: Sequence[Stage]) -> list[str]:
        """Run the stages that are due, in order, and give their names.

        Raises ValueError where another process works in the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        done: dict[str, str] = {}
        ran: list[str] = []
        with self._lock(), self._bars():
            (self.folder / "recipe.yaml").write_text(self.recipe.yaml(), encoding="utf-8")
            for stage in stages:
                mark = fingerprint(stage, [done[name] for name in stage.needs])
                done[stage.name] = mark
                record = self.record(stage.name)
                if record is None or record["fingerprint"] != mark:
                    self._perform(stage, mark)
                    ran.append(stage.name)
                    record = self.record(stage.name)
                self.seconds[stage.name] = record["seconds"]
                self.skipped.items.extend((what, why) for what, why in record["skipped"])
        return ran

    def record(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage says of itself (fingerprint, seconds, counts, skipped), or None."""
        try:
            return json.loads((self.folder / stage / "stage.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError):
            return None

    def _perform(self, stage: Stage, mark: str) -> None:
        target, work = self.folder / stage.name, self.folder / f"{stage.name}.tmp"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        self._scratch = self.folder / f"{stage.name}.part"
        for old in self.folder.glob(f"{stage.name}.part/*"):
            if old.name != mark:  # of other settings
                shutil.rmtree(old, ignore_errors=True)
        self._scratch /= mark
        before, began = len(self.skipped.items), time.perf_counter()
        counts = stage.work(self, work)
        skipped = self.skipped.items[before:]
        del self.skipped.items[before:]  # execute() adds them from the record, as for a stage done earlier
        seconds = time.perf_counter() - began
        record = {"fingerprint": mark, "seconds": round(seconds, 2), "counts": counts, "skipped": skipped}
        (work / "stage.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        os.replace(work, target)
        shutil.rmtree(self._scratch.parent, ignore_errors=True)
        self.cache = {key: value for key, value in self.cache.items() if key[0] != stage.name}
        said = ", ".join(f"{value:,} {name}" for name, value in counts.items() if isinstance(value, int))
        left_out = f"; {len(skipped)} skipped" if skipped else ""
        self.console.print(f"[green]done[/] {stage.name} [dim]{seconds:.1f} s[/]  {said}{left_out}", highlight=False)

    def scratch(self) -> Path:
        """A folder of the stage at work that outlives a broken-off attempt, for the next one with the same settings."""
        self._scratch.mkdir(parents=True, exist_ok=True)
        return self._scratch

    @contextmanager
    def bar(self, what: str, total: int) -> Iterator[Advance]:
        """A progress bar while the block runs; call what it gives with how many more are done."""
        if self._progress is None:
            yield lambda _: None
            return
        task = self._progress.add_task(what, total=total)
        try:
            yield lambda count: self._progress.advance(task, count)
        finally:
            self._progress.remove_task(task)

    @contextmanager
    def _bars(self) -> Iterator[None]:
        columns = [
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        ]
        with Progress(*columns, console=self.console, transient=True) as self._progress:
            yield
        self._progress = None

    @contextmanager
    def _lock(self) -> Iterator[None]:
        with (self.folder / ".lock").open("a+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                file.seek(0)
                holder = file.read().strip() or "?"
                raise ValueError(f"{self.folder}: process {holder} is at work in this folder; wait for it") from error
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def fingerprint(stage: Stage, needs: Sequence[str]) -> str:
    """What a stage's result depends on, as a hash: its settings, the stages it reads, the version of groundgraph."""
    content = json.dumps([stage.name, stage.settings, list(needs), version("groundgraph")], sort_keys=True, default=str)
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


def peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
