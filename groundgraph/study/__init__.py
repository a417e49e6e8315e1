"""The study: the paper's tables on MiniGenome with several seeds, and named ablations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

from groundgraph.data.files import write_text
from groundgraph.engine import lock
from groundgraph.engine.code import made_at
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.errors import InputError
from groundgraph.stages import stages
from groundgraph.study.cells import compute_cell, fingerprint_of, last_stage, read_cell, shared_stages
from groundgraph.study.plan import Cell, Plan
from groundgraph.study.plots import plot_curves, plot_table
from groundgraph.study.schedule import StudyTask, perform
from groundgraph.study.store import StudyStore, keys
from groundgraph.study.tables import Results
from groundgraph.study.writing import (
    Printed,
    markdown,
    printed_claims,
    printed_table,
    show,
    write_cells,
    write_means,
)
from groundgraph.terminal import Console


def run_study(plan: Plan, out: Path, jobs: int, console: Console) -> dict[str, str]:
    """Compute what the plan lacks and write its tables: NAME.md, NAME.csv (means), NAME-cells.csv and a plot a table.

    Args:
        plan: Its tables and cells.
        out: Gets these files, a small JSON a cell in cells/, and in store/ what the cells share.
        jobs: Processes that work side by side.
        console: Where progress is shown.

    Returns:
        The failures, as of `perform`: their cells are left out of the tables.

    Raises:
        InputError: Another study works in the folder, or no cell could be computed.
    """
    store = StudyStore(out / "store")
    tables = [out / f"{plan.name}{ending}" for ending in (".md", ".csv", "-cells.csv")]
    if not (out / "cells").is_dir() and (there := [path for path in tables if path.exists()]):
        raise InputError(f"{there[0]}: not written by a study in {out}, which would write over it; name a new folder")
    out.mkdir(parents=True, exist_ok=True)
    with lock.held(out):
        folder = out / "cells"
        fingerprints = {cell: fingerprint_of(cell, stages(cell.recipe)) for cell in plan.cells}
        due = [cell for cell, fingerprint in fingerprints.items() if not read_cell(folder, cell, fingerprint)]
        tasks = tasks_of(due, store, folder)
        console.print(f"{len(fingerprints)} cells, {len(fingerprints) - len(due)} of them done before")
        try:
            failed = perform(tasks, jobs, console)
        except KeyboardInterrupt:
            console.print("stopped; what is done stays, and the same command goes on from there")
            raise
        results: Results = {}
        for cell, fingerprint in fingerprints.items():
            if record := read_cell(folder, cell, fingerprint):
                results.setdefault(cell.row, {})[cell.seed] = record["figures"]
        if not results:
            raise InputError(f"no cell could be computed: {'; '.join(f'{w}: {why}' for w, why in failed.items())}")
        _write(plan, results, failed, out, console)
    return failed


def tasks_of(cells: Sequence[Cell], store: StudyStore, folder: Path) -> list[StudyTask]:
    """What is to be computed for these cells: the stages that the store lacks, each once, and the cells themselves."""
    tasks: dict[str, StudyTask] = {}
    for cell in cells:
        listing = stages(cell.recipe)
        key_of, shared = keys(listing), shared_stages(cell, listing)
        for stage in shared:
            key = key_of[stage.name]
            if key in tasks or store.holds(key):
                continue
            work = partial(compute_stage, store.folder, cell, stage.name)
            needs = frozenset(key_of[name] for name in stage.needs)
            tasks[key] = StudyTask(key, needs, _seconds(cell, [stage]), f"{stage.name} ({cell.name})", work)
        needs = frozenset(key_of[stage.name] for stage in shared)
        own = [stage for stage in with_needs(listing, [last_stage(cell)]) if not stage.reusable]
        tasks[cell.name] = StudyTask(
            cell.name, needs, _seconds(cell, own), cell.name, partial(compute_cell, store, folder, cell)
        )
    return list(tasks.values())


def _seconds(cell: Cell, listing: Sequence[Stage]) -> float:
    """What these stages take about, on one core."""
    costs = [stage.cost for stage in listing if stage.cost]
    return 0.5 + sum(cost.seconds * cost.images(cell.images) / 1000 for cost in costs)


def compute_stage(folder: Path, cell: Cell, name: str) -> None:
    """Compute one stage of a cell's recipe and keep it in the store."""
    recipe = cell.recipe
    StudyStore(folder).compute(recipe, stages(recipe), name)


def _write(plan: Plan, results: Results, failed: dict[str, str], out: Path, console: Console) -> None:
    parts: list[tuple[Printed, str | None]] = []
    for spec in plan.tables:
        plot = f"{spec.name}.svg"
        drawn = not spec.curves and plot_table(out / plot, spec, results)
        parts.append((printed_table(spec, results, plan.seeds), plot if drawn else None))
    if plot_curves(out / f"{plan.name}.svg", plan.tables, results):
        parts[-1] = parts[-1][0], f"{plan.name}.svg"
    order = printed_claims(plan, results)
    if order:
        parts.append((order, None))
    facts = [
        f"{date.today()}, groundgraph {version('groundgraph')}, {made_at()}",
        f"MiniGenome; {plan.seeds} seeds; every cell: `--set {' --set '.join(plan.size)}`",
        "Figures in per cent: mean ± half a 95 % interval (t) over the seeds; p: paired t test, two-sided, "
        "not corrected for the number of tests.",
        *(f"Not computed: {what}: {why}" for what, why in failed.items()),
    ]
    write_text(out / f"{plan.name}.md", markdown(f"groundgraph {plan.name.replace('-', ' ', 1)}", facts, parts))
    write_means(out / f"{plan.name}.csv", plan, results)
    write_cells(out / f"{plan.name}-cells.csv", results)
    for table, _ in parts:
        show(console, table)
