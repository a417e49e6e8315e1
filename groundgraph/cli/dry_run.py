"""What a run would do, as a table: `groundgraph run RECIPE --dry-run`."""

from __future__ import annotations

import shutil

from rich.markup import escape
from rich.table import Column, Table

from groundgraph.cli.needs import show_needs
from groundgraph.engine.run import Run
from groundgraph.stages import stages
from groundgraph.stages.dry_run import estimate
from groundgraph.terminal import Console


def show_dry_run(console: Console, run: Run) -> None:
    """What a run needs, and its stages: done or due, what they do, how long, with how much memory and disk.

    These are tried on a few images for that, in a folder that is deleted; the run's own stays as it is.
    """
    show_needs(console, run)
    if not run.processes.first:
        return
    with console.status("trying the stages on a few images"):
        rows, why = estimate(run)
    stage = Column("stage", min_width=max(len(row.stage) for row in rows))
    console.print(escape(f"{run.recipe.name} in {run.folder}"))  # a table's title would be cut to its width
    table = Table(stage, "state")
    with_counts = any(row.what for row in rows)
    if with_counts:
        table.add_column("what it does")
        for name in ("time", "memory", "disk"):
            table.add_column(name, no_wrap=True, justify="right")
    for row in rows:
        cells = (escape(row.what), _time(row.seconds), _size(row.memory), _size(row.disk)) if with_counts else ()
        table.add_row(row.stage, "[green]done[/]" if row.done else "due", *cells)
    due = [row for row in rows if not row.done and row.seconds is not None]
    disk = sum(row.disk for row in due)
    if due:
        table.add_section()
        total = sum(row.seconds for row in due), max(row.memory for row in due), disk
        table.add_row("in all", "due", "", _time(total[0]), _size(total[1]), _size(total[2]))
    console.print(table)
    if why:
        console.print(escape(why))
    spread = {stage.name for stage in stages(run.recipe) if stage.spread}
    shared = ", ".join(row.stage for row in due if row.stage in spread)
    if shared and run.executor:
        text = f"One process is meant: the engine's workers share the time of {shared}, and each holds such memory."
        console.print(text)
    elif due and run.jobs > 1:
        console.print(f"One process is meant: {run.jobs} will work side by side, and each holds such memory.")
    place = next(folder for folder in (run.folder, *run.folder.absolute().parents) if folder.is_dir())
    free = shutil.disk_usage(place).free
    if disk > free:
        text = f"does not fit: {_size(disk)} are needed, and {_size(free)} are free in {place}"
        console.print(f"[red]{escape(text)}[/]")


def _time(seconds: float | None) -> str:
    """Seconds as a person says them."""
    if seconds is None:
        return ""
    if seconds < 1:
        return "< 1 s"
    for limit, unit, long in ((100, "s", 1), (100 * 60, "min", 60), (72 * 3600, "h", 3600)):
        if seconds < limit:
            return f"{seconds / long:.{int(unit == 'h')}f} {unit}"
    return f"{seconds / 86400:.1f} days"


def _size(count: float | None) -> str:
    """Bytes as a person says them."""
    if count is None:
        return ""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.{int(count < 2**20)}f} MiB"
