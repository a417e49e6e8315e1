"""Running a recipe in a folder: which stages are done, which are due, and nothing half-written.

A stage works in FOLDER/NAME.part, which is renamed to FOLDER/NAME when it is whole; stage.json in it carries its
fingerprint and the checksums of its files. Where a stage is broken off, its folder stays, and the next attempt with
the same fingerprint goes on from what lies in it. A stage is skipped when its folder is there, undamaged, and its
fingerprint equals what the recipe, its experts and the stages before it now give.
"""

from __future__ import annotations

import errno
import json
import os
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from groundgraph.data.files import write_text
from groundgraph.data.types import Skipped
from groundgraph.engine import lock, ownership
from groundgraph.engine import record as manifest
from groundgraph.engine.signals import Stopped, stoppable
from groundgraph.engine.stage import Stage, fingerprints
from groundgraph.errors import InputError
from groundgraph.stages.recipe import Recipe
from groundgraph.terminal import Console
from groundgraph.training.processes import ALONE, Ranks

Advance = Callable[[int], None]


class Executor(Protocol):
    """Computes what is known of every image by itself."""

    def __call__(self, run: Run, folder: Path, extraction: Any, images: Mapping[str, Sequence[str]]) -> int:
        """See `extraction.extract`."""
        ...

    def rest(self) -> None:
        """Give back the memory that is held for the next call."""
        ...


_SKIPPED = "skipped{}.jsonl"  # in a stage's scratch; {} is the suffix of the process that skipped
_ROOM = 1 << 20  # bytes; a disk with less is full


def _go_on() -> None:
    """What is asked between two batches outside of a run: nothing stops it."""


@dataclass
class Run:
    """A recipe and the folder where its artifacts lie; under torchrun, one of the processes (`processes`) that run it.

    executor who extracts what is known of every image by itself; None: this process
    suffix  of a process that extracts for another's run: it tells apart what they write beside the stores
    """

    recipe: Recipe
    folder: Path
    console: Console = field(default_factory=Console)
    skipped: Skipped = field(default_factory=Skipped)
    seconds: dict[str, float] = field(default_factory=dict)
    cache: dict[Any, Any] = field(default_factory=dict)
    processes: Ranks = ALONE
    executor: Executor | None = None
    suffix: str = ""
    _progress: Progress | None = None
    _work: Path | None = None
    _kept: int = 0  # how many of `skipped` are on the disk
    _stop: Callable[[], None] = _go_on

    def execute(self, stages: Sequence[Stage]) -> list[str]:
        """Run the stages that are due, in order, and give their names. Where none is, nothing is written.

        Of several processes the first does so, and the others take part in the shared stages.
        Raises InputError where another process works in the folder, where the disk is full, or where a stage fails over
        a damaged file of an earlier one; Stopped where a signal asked for it. What is done then stays.
        """
        if not self.processes.first:
            self._take_part(stages)
            return []
        ran = self._execute(stages)
        self.processes.ask(lambda: None)  # no stage is left
        return ran

    def _take_part(self, stages: Sequence[Stage]) -> None:
        """Do the shared stages that the first process names, until it names none."""
        named = {stage.name: stage for stage in stages}
        with stoppable(lambda _: None) as stop:
            try:
                while name := self.processes.ask(lambda: None):
                    self._work = self.folder / f"{name}.part"
                    named[name].work(self, self._work)
            except RuntimeError:
                stop()  # a signal has ended the first, and with it the connection
                raise

    def _execute(self, stages: Sequence[Stage]) -> list[str]:
        marks = fingerprints(stages)
        self.skipped.items.clear()
        if all(self.done(stage.name, marks[stage.name]) for stage in stages):
            for stage in stages:
                self._count(stage.name)
            return []
        ran: list[str] = []
        ownership.require_own(self.folder, self.recipe, marks)
        self.folder.mkdir(parents=True, exist_ok=True)
        with lock.held(self.folder) as left, stoppable(self._warn) as self._stop, self._bars():
            if left:
                self._warn(f"the run before was broken off ({left}); going on where it was")
            ownership.claim(self.folder, self.recipe)
            self._write_recipe()
            try:
                for stage in stages:
                    self._stop()
                    if not self.done(stage.name, marks[stage.name]):
                        self._perform(stage, marks[stage.name])
                        ran.append(stage.name)
                    self._count(stage.name)
            except Stopped as error:
                self._warn(f"stopped by {error}; what is done is kept. Go on with: {self.command()}")
                raise
            finally:
                self._stop = _go_on
        return ran

    @property
    def device(self) -> torch.device:
        """Where this process's models run: under torchrun a GPU of its own, else what the recipe asks for."""
        return self.processes.place(self.recipe.device)

    @property
    def placement(self) -> dict[str, Any]:
        """What every expert is told: its device, and its precision there."""
        return {"device": self.device, "precision": self.recipe.precision}

    def record(self, stage: str) -> dict[str, Any] | None:
        """What a finished stage says of itself (fingerprint, seconds, counts, skipped, files), or None."""
        try:
            record = manifest.read_record(self.folder / stage)
        except ValueError:
            return None
        return record if record is not None and "counts" in record else None

    def done(self, stage: str, mark: str) -> bool:
        """Whether a stage is done, and its files are what they were (see `manifest` for how far that is looked at)."""
        record = self.record(stage)
        if record is None or record["fingerprint"] != mark:
            return False
        known = dict(record["files"])
        lost = manifest.damaged(self.folder / stage, record["files"])
        if record["files"] != known:  # the folder was copied: its files are read this once
            with suppress(OSError):
                manifest.write_record(self.folder / stage, record)
        return not lost

    def command(self) -> str:
        """What goes on with this run on the command line, from any folder."""
        folder = os.path.abspath(self.folder)
        return shlex.join(["groundgraph", "run", os.path.join(folder, "recipe.yaml"), "--out", folder])

    def _count(self, stage: str) -> None:
        record = self.record(stage)
        self.seconds[stage] = record["seconds"]
        self.skipped.items.extend((what, why) for what, why in record["skipped"])

    def _write_recipe(self) -> None:
        path, text = self.folder / "recipe.yaml", self.recipe.yaml()
        if not path.is_file() or path.read_bytes() != text.encode():
            write_text(path, text)

    def _perform(self, stage: Stage, mark: str) -> None:
        work, began = self.folder / f"{stage.name}.part", time.perf_counter()
        before, spent = len(self.skipped.items), 0.0
        try:
            self._reclaim(stage.name, work, mark)
            record = self._begin(work, mark)
            spent = record["seconds"]
            if "counts" not in record:
                if stage.shared:
                    self.processes.ask(lambda: stage.name)
                    if self.executor:
                        self.executor.rest()
                record["counts"] = stage.work(self, work)
                record["skipped"] = list(dict.fromkeys(self.skipped.items[before:]))
                record["files"] = manifest.taken(work)
                record["seconds"] = round(spent + time.perf_counter() - began, 2)
                manifest.write_record(work, record)
            shutil.rmtree(work / manifest.SCRATCH, ignore_errors=True)
            shutil.rmtree(self.folder / stage.name, ignore_errors=True)
            os.replace(work, self.folder / stage.name)
        except BaseException as error:
            cause, spent = self._cause(error, stage), round(spent + time.perf_counter() - began, 2)
            ended = cause or str(error) or type(error).__name__
            with suppress(OSError):
                state = {"ended": ended, "stopped": not isinstance(error, Exception)}
                manifest.write_record(work, {"fingerprint": mark, "seconds": spent} | state)
            if cause:
                raise InputError(cause) from error
            raise
        del self.skipped.items[before:]  # execute() adds them from the record, as for a stage done earlier
        self.cache = {key: value for key, value in self.cache.items() if key[0] != stage.name}
        said = ", ".join(f"{value:,} {name}" for name, value in record["counts"].items() if isinstance(value, int))
        left_out = f"; {len(record['skipped'])} skipped" if record["skipped"] else ""
        took = f"[dim]{record['seconds']:.1f} s[/]"
        self.console.print(f"[green]done[/] {stage.name} {took}  {said}{left_out}")

    def _begin(self, work: Path, mark: str) -> dict[str, Any]:
        """Make a stage's working folder ready, with what an attempt with the same fingerprint left there."""
        try:
            record = manifest.read_record(work)
        except ValueError:
            record = None
        if record is None or record["fingerprint"] != mark:
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
            record = {"fingerprint": mark, "seconds": 0.0}
        record = {key: value for key, value in record.items() if key not in ("ended", "stopped")}
        manifest.write_record(work, record)
        self._work, self._kept = work, len(self.skipped.items)
        self.collect_skipped()
        return record

    def assist(self, work: Path) -> None:
        """Take part in a stage that another process performs in the folder `work`."""
        self._work = work

    def collect_skipped(self) -> None:
        """Add what was written down as skipped in the stage at work, by this process or others."""
        for listed in sorted(self.scratch().glob(_SKIPPED.format("*"))):
            for line in listed.read_bytes().splitlines():
                with suppress(ValueError):  # a line that was being written
                    self.skipped.items.append(tuple(json.loads(line)))
        self._kept = len(self.skipped.items)

    def _reclaim(self, stage: str, work: Path, mark: str) -> None:
        """Where a stage's result is damaged, say so, and let the stage go on from the files that are whole."""
        folder = self.folder / stage
        try:
            record = manifest.read_record(folder)
        except ValueError as error:
            self._warn(f"{error}; {stage} runs again")
            return
        if record is None or record["fingerprint"] != mark:
            return
        if "counts" in record:
            lost = manifest.damaged(folder, record["files"])
            if not lost:
                return
            self._work = folder
            self._keep(record["skipped"])
            manifest.write_record(folder, {"fingerprint": mark, "seconds": record["seconds"]})
            for name in lost:
                self._warn(f"{folder / name}: missing, or not what {stage} wrote; {stage} makes it anew")
                (folder / name).unlink(missing_ok=True)
        shutil.rmtree(work, ignore_errors=True)
        os.replace(folder, work)

    def _cause(self, error: BaseException, stage: Stage) -> str | None:
        """What lies behind a stage's error, for the user: a full disk or a damaged file that it read. None: neither."""
        if not isinstance(error, Exception):
            return None
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if full or shutil.disk_usage(self.folder).free < _ROOM:
            return (
                f"{self.folder}: the disk is full, and {stage.name} could not be written ({error}). Nothing that was "
                f"done is lost: make room, and go on with: {self.command()}"
            )
        for name in stage.needs:
            folder, files = self.folder / name, (self.record(name) or {"files": {}})["files"]
            # All inputs together may be large, so only those are read whose time changed or that the error names.
            named = {file: state for file, state in files.items() if str(folder / file) in str(error)}
            for lost in (*manifest.damaged(folder, files), *manifest.damaged(folder, named, thorough=True)):
                return (
                    f"{folder / lost}: not what {name} wrote, by its checksum, so {stage.name} failed ({error}). "
                    f"Delete it and run again: {name} makes it anew"
                )
        return None

    def _warn(self, text: str) -> None:
        self.console.print(f"[yellow]{escape(text)}[/]")

    def scratch(self) -> Path:
        """A folder of the stage at work for what is not part of its result, such as a training's checkpoint.

        Like all that a stage writes it outlives a broken-off attempt; it is deleted when the stage is done.
        """
        folder = self._work / manifest.SCRATCH
        folder.mkdir(exist_ok=True)
        return folder

    def keep_skipped(self) -> None:
        """Write down what the stage at work skipped so far, for the attempt after a broken-off one."""
        self._keep(self.skipped.items[self._kept :])
        self._kept = len(self.skipped.items)

    def _keep(self, items: Sequence[Sequence[str]]) -> None:
        if items:
            with (self.scratch() / _SKIPPED.format(self.suffix)).open("a", encoding="utf-8") as file:
                # What was cut off in the middle of a line stays a line of its own.
                file.writelines("\n" + json.dumps(item) for item in items)
                file.flush()
                os.fsync(file.fileno())

    @contextmanager
    def progress(self, what: str, total: int) -> Iterator[Advance]:
        """A progress bar while the block runs; call what it gives with how many more are done.

        That is also where a signal ends the run, so call it when what is done can be written down.
        """
        task = self._progress.add_task(what, total=total) if self._progress else None

        def advance(count: int) -> None:
            if task is not None:
                self._progress.advance(task, count)
            self._stop()

        try:
            yield advance
        finally:
            if task is not None:
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
        try:
            with Progress(*columns, console=self.console, transient=True) as self._progress:
                yield
        finally:
            self._progress = None
