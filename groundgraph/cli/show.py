"""Recipes, what they need and how far they are, as tables on the terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from groundgraph.data.sources import open_source
from groundgraph.engine.estimate import estimate
from groundgraph.engine.run import Run
from groundgraph.models.hub import obstacles
from groundgraph.stages.extraction import EXTRACTED
from groundgraph.stages.preflight import PAPER, count_supervision, needs, ways
from groundgraph.stages.recipe import bundled_recipes, load_recipe
from groundgraph.terminal import Console

KS = ("R@20", "R@50", "R@100")


def show_recipes(console: Console, runs: Path) -> None:
    """The bundled recipes; those of the paper's tables with its figures, above yours from `runs`/NAME/metrics.json."""
    table = Table(caption=f"per cent; yours: {runs}/NAME/metrics.json", caption_justify="left")
    table.add_column("recipe", no_wrap=True)
    table.add_column("what it is")
    table.add_column("SGDet R@20 / 50 / 100", no_wrap=True)
    for name, path in bundled_recipes().items():
        recipe = load_recipe(path)
        yours = own_figures(runs / name / "metrics.json", recipe.grounder[0])
        lines = []
        if recipe.paper:
            lines.append("paper " + " / ".join(f"{recipe.paper[k]:.2f}" if k in recipe.paper else "-" for k in KS))
        if any(value is not None for value in yours):
            lines.append("yours " + " / ".join("-" if v is None else f"{100 * v:.2f}" for v in yours))
        table.add_row(name, escape(recipe.note), "\n".join(lines))
    console.print(table)


def own_figures(file: Path, method: str) -> list[float | None]:
    """R@20, 50 and 100 of a method in a run's metrics.json, as fractions of 1; [] where there are none."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))["methods"][method]["sgdet"]
        return [figures[k] for k in KS]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def show_needs(console: Console, run: Run) -> bool:
    """What a run needs, present or missing, a line each; gives whether all of its data are here."""
    listed = needs(run.recipe)
    whys = obstacles(need.source for need in listed if need.source and not need.present)
    for need in listed:
        why = whys.get(need.source)
        fetch = "[red]can't be fetched[/]" if why else "[yellow]to fetch[/]"
        state = "[green]present[/]" if need.present else fetch if need.source else "[red]missing[/]"
        size = f", {need.size}" if need.size else ""
        console.print(f"{state}\t{escape(need.place)} ({need.what}{size})")
        if not need.present and need.origin:
            text = f"{why}, {ways(need)}" if why else need.origin
            console.print(f"\t[dim]{escape(text)}[/]")
    missing = sum(not need.present and (not need.source or need.source in whys) for need in listed)
    console.print(f"{missing} of {len(listed)} missing" if missing else "nothing is missing")
    return all(need.present for need in open_source(run.recipe.data, run.folder).needs())


def show_counts(console: Console, run: Run) -> None:
    """How much supervision the recipe's data give, beside the paper's; counted by the run's own first stages."""
    counts = count_supervision(run)
    table = Table("train split", "yours", "paper's", title="supervision in the evaluation vocabulary")
    paper: dict[str, int] = {}
    if run.recipe.data.source == "vg150":
        triplets, images = PAPER[run.recipe.data.setting]
        paper = {"distinct mapped triplets": triplets, "images with a mapped triplet": images}
    for name, count in counts.items():
        table.add_row(name, f"{count:,}", f"{paper[name] // 1000}K" if name in paper else "")
    console.print(table)


def show_dry_run(console: Console, run: Run) -> None:
    """What a run needs, and its stages: done or due, what they do, how long, with how much memory and disk.

    These are tried on a few images for that, in a folder that is deleted; the run's own stays as it is.
    """
    show_needs(console, run)
    if not run.processes.first:
        return
    with console.status("trying the stages on a few images"):
        rows, why = estimate(run)
    table = Table("stage", "state", title=escape(f"{run.recipe.name} in {run.folder}"))
    known = any(row.what for row in rows)
    if known:
        table.add_column("what it does")
        for name in ("time", "memory", "disk"):
            table.add_column(name, no_wrap=True, justify="right")
    for row in rows:
        cells = (escape(row.what), _time(row.seconds), _size(row.memory), _size(row.disk)) if known else ()
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
    shared = ", ".join(row.stage for row in due if row.stage in EXTRACTED)
    if shared and run.executor:
        text = f"One process is meant: the engine's workers share the time of {shared}, and each holds such memory."
        console.print(text)
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
