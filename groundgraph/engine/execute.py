"""Running a list of stages in a folder: those that are due, in order, with nothing half-written."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress

from rich.markup import escape

from groundgraph.engine import folder as place
from groundgraph.engine import lock
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.record import damaged, taken, write_record
from groundgraph.engine.run import Run
from groundgraph.engine.side_by_side import side_by_side
from groundgraph.engine.signals import Stopped, stoppable
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.system import one_thread

_ROOM = 1 << 20  # bytes; a disk with less is full


def execute(run: Run, stages: Sequence[Stage]) -> list[str]:
    """Run the stages that are due. Where none is, nothing is written; what is done stays, however this ends.

    A stage is skipped when its folder is there, undamaged, and its fingerprint equals what the recipe, its models and
    the stages before it now give. Of several processes the first does so, and the others take part in shared stages.

    Args:
        run: Whose folder they work in.
        stages: In an order in which each comes after those that it needs.

    Returns:
        The names of the stages that were run.

    Raises:
        InputError: Another process works in the folder, the disk is full, or a stage fails over a damaged file of an
            earlier one.
        Stopped: A signal asked for it.
    """
    if not run.processes.first:
        _take_part(run, stages)
        return []
    executed = _execute(run, stages)
    run.processes.ask(lambda: "")  # no stage is left
    return executed


def _take_part(run: Run, stages: Sequence[Stage]) -> None:
    """Do the shared stages that the first process names, until it names none."""
    by_name = {stage.name: stage for stage in stages}
    with stoppable(lambda _: None) as stop:
        try:
            while name := run.processes.ask(lambda: ""):
                run.work = place.working_folder(run.folder, name)
                by_name[name].work(run, run.work)
        except RuntimeError:
            stop()  # a signal has ended the first, and with it the connection
            raise


def _execute(run: Run, stages: Sequence[Stage]) -> list[str]:
    fingerprint_of = fingerprints(stages)
    run.skipped.items.clear()
    due = [stage for stage in stages if not place.is_done(run.folder, stage.name, fingerprint_of[stage.name])]
    if not due:
        for stage in stages:
            _count(run, stage.name)
        return []
    place.require_own(run.folder, run.recipe, fingerprint_of)
    run.folder.mkdir(parents=True, exist_ok=True)

    def warn(text: str) -> None:
        run.console.print(f"[yellow]{escape(text)}[/]")

    def perform(own: Run, stage: Stage) -> None:
        _perform(own, stage, fingerprint_of[stage.name], warn)

    with lock.held(run.folder) as left, stoppable(warn) as stop, run.bars.shown(run.console, stop), _threads(run):
        if left:
            warn(f"the run before was broken off ({left}); going on where it was")
        place.claim(run.folder, run.recipe)
        place.write_config(run.folder, run.recipe)
        try:
            if run.jobs > 1 and run.executor is None and (len(due) > 1 or due[0].spread):
                side_by_side(run, due, perform, stop)
            else:
                for stage in due:
                    stop()
                    perform(run, stage)
        except Stopped as error:
            warn(f"stopped by {error}; what is done is kept. Go on with: {place.command(run.folder)}")
            raise
    for stage in stages:
        _count(run, stage.name)
    return [stage.name for stage in due]


def _threads(run: Run) -> AbstractContextManager[None]:
    """One thread where models run on the processor; where a GPU waits for it, as many as there are."""
    return one_thread() if run.processes.world == 1 and run.device.type == "cpu" else nullcontext()


def _count(run: Run, stage: str) -> None:
    """Add what a finished stage took and skipped to the run's."""
    record = run.record(stage)
    assert record is not None
    run.seconds[stage] = record["seconds"]
    run.skipped.items.extend((what, why) for what, why in record["skipped"])


def _perform(run: Run, stage: Stage, fingerprint: str, warn: Callable[[str], None]) -> None:
    """Run one stage, from what an earlier attempt left."""
    work, began = place.working_folder(run.folder, stage.name), time.perf_counter()
    before, spent = len(run.skipped.items), 0.0
    try:
        place.reclaim(run.folder, stage.name, fingerprint, warn)
        run.work, record = place.begin(run.folder, stage.name, fingerprint)
        run.skipped.begin(run.scratch())
        spent = record["seconds"]
        if "counts" not in record:
            if stage.shared:
                if run.executor:
                    run.executor.rest()
                run.processes.ask(lambda: stage.name)
            record["counts"] = stage.work(run, work)
            record["skipped"] = list(dict.fromkeys(run.skipped.items[before:]))
            record["files"] = taken(work)
            record["seconds"] = round(spent + time.perf_counter() - began - run.waited, 2)
            write_record(work, record)
        place.finish(run.folder, stage.name)
    except BaseException as error:
        cause, spent = _cause(run, stage, error), round(spent + time.perf_counter() - began - run.waited, 2)
        ended = cause or str(error) or type(error).__name__
        with suppress(OSError):
            state = {"ended": ended, "stopped": not isinstance(error, Exception)}
            write_record(work, {"fingerprint": fingerprint, "seconds": spent} | state)
        if isinstance(error, Exception):
            run.console.print(f"[red]failed[/] {stage.name}")
        if cause:
            raise InputError(cause) from error
        raise
    del run.skipped.items[before:]  # `_count` adds them from the record, as for a stage done earlier
    for key in [key for key in list(run.cache) if key[0] == stage.name]:
        del run.cache[key]
    counts = ", ".join(f"{value:,} {name}" for name, value in record["counts"].items() if isinstance(value, int))
    skipped = f"; {len(record['skipped'])} skipped" if record["skipped"] else ""
    run.console.print(f"[green]done[/] {stage.name} [dim]{record['seconds']:.1f} s[/]  {counts}{skipped}")


def _cause(run: Run, stage: Stage, error: BaseException) -> str | None:
    """What lies behind a stage's error, for the user: a full disk or a damaged file that it read. None: neither."""
    if not isinstance(error, Exception):
        return None
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or shutil.disk_usage(run.folder).free < _ROOM:
        return (
            f"{run.folder}: the disk is full, and {stage.name} could not be written ({error}). Nothing that was "
            f"done is lost: make room, and go on with: {place.command(run.folder)}"
        )
    for name in stage.needs:
        folder, files = run.folder / name, (run.record(name) or {"files": {}})["files"]
        # All inputs together may be large, so only those are read whose time changed or that the error names.
        named = {file: state for file, state in files.items() if str(folder / file) in str(error)}
        for lost in (*damaged(folder, files), *damaged(folder, named, thorough=True)):
            return (
                f"{folder / lost}: not what {name} wrote, by its checksum, so {stage.name} failed ({error}). "
                f"Delete it and run again: {name} makes it anew"
            )
    return None
