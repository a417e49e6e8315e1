"""`groundgraph demo`, `run` and `status`: a recipe in its folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from groundgraph.cli.common import Device, Fast, Folder, Setting, console, hide_library_bars

Jobs = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Processes of one thread each that do stages side by side, with the same figures however many; one a core "
        "by default, one alone where models run on a GPU.",
    ),
]


def demo(
    out: Annotated[Path, typer.Option(help="The run's folder.")] = Path("runs/demo"),
    setting: Setting = None,
    device: Device = None,
    jobs: Jobs = None,
) -> None:
    """The whole method on a part of MiniGenome, in minutes: captions in, scene graphs out."""
    run("demo", out, setting, device, jobs=jobs)


def run(
    recipe: Annotated[
        str,
        typer.Argument(
            help="A recipe file, a bundled one's name (see `groundgraph recipes`), or a folder of photos with captions."
        ),
    ],
    out: Folder = None,
    setting: Setting = None,
    device: Device = None,
    fast: Fast = False,
    dry_run: Annotated[
        bool, typer.Option(help="Only say what would run, how long and large, what is missing.")
    ] = False,
    engine: Annotated[
        str | None, typer.Option(help="ray: regions, text and teachers by Ray, on all cores or a cluster.")
    ] = None,
    address: Annotated[str | None, typer.Option(help="The Ray cluster, by default one on this machine.")] = None,
    jobs: Jobs = None,
) -> None:
    """Run a recipe; stages that are done and unchanged are skipped."""
    hide_library_bars()
    from groundgraph import api
    from groundgraph.system import peak_memory
    from groundgraph.training.processes import is_first

    began = time.perf_counter()
    console.quiet = not is_first()
    options = {"device": device, "engine": engine, "address": address, "jobs": jobs, "console": console}
    if dry_run:
        from groundgraph.cli.dry_run import show_dry_run

        with api.open_run(recipe, setting or (), out, **options, fast=fast) as work:
            if work.recipe.note:
                console.print(escape(work.recipe.note))
            show_dry_run(console, work)
        return
    result = api.run(recipe, setting or (), out, **options, fast=fast)
    if console.quiet:
        return
    _show_metrics(result.metrics)
    skipped = f"; {len(result.skipped)} things skipped, see the report" if result.skipped else ""
    stages = f"{len(result.stages)} stages run" if result.stages else "nothing had changed"
    console.print(
        f"{stages}, {time.perf_counter() - began:.0f} s, {peak_memory(others=True) / 2**30:.1f} GiB a process at "
        f"most{skipped}. "
        f"Report: {escape(str(result.folder / 'report.html'))}"
    )


def status(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, finished or not.")],
    verify: Annotated[bool, typer.Option(help="Read every file and compare its checksum.")] = False,
) -> None:
    """What of a run is done, running, stopped, failed or damaged, and the command that goes on with it."""
    from groundgraph.engine.run import Run
    from groundgraph.engine.status import show_status
    from groundgraph.stages import stages
    from groundgraph.stages.examples import image_counts
    from groundgraph.stages.recipe import run_recipe

    work = Run(run_recipe(folder), folder, console)
    listing, images = stages(work.recipe), image_counts(work)
    if not show_status(console, work.recipe.name, folder, listing, images, verify):
        raise typer.Exit(1)


def _show_metrics(metrics: dict[str, Any]) -> None:
    """The headline table of a run's metrics.json."""
    groups, ks, vrd = ("all", "ambiguous", "unseen"), ("R@20", "R@50", "R@100"), "predicate detection"
    columns = {f"grounding\n{g}": ("grounding", g) for g in groups}
    columns |= {"right\npair": ("pairs", "pair")}
    if any("vrd" in figures for figures in metrics["methods"].values()):
        columns |= {"predicate\nR@50": ("vrd", vrd, "R@50"), "all pairs\nR@50": ("vrd", f"{vrd}, all pairs", "R@50")}
        columns |= {f"{t}\nR@50": ("vrd", f"{t} detection", "R@50") for t in ("phrase", "relationship")}
    else:
        columns |= {f"SGDet\n{k}": ("sgdet", k) for k in ks} | {"mAP50": ("mAP50",)}
    titles = list(columns)
    chances = {"grounding": metrics["chance"], "pairs": metrics["chance"].get("pairs", {})}
    rows = {
        name: [_figure(figures, keys) for keys in columns.values()]
        for name, figures in (metrics["methods"] | {"chance": chances}).items()
    }
    shown = [i for i in range(len(titles)) if any(values[i] is not None for values in rows.values())]
    table = Table(Column("method", no_wrap=True), *(titles[i] for i in shown), title="per cent", padding=(0, 1, 0, 0))
    for name, values in rows.items():
        if any(value is not None for value in values):
            chance = name == "chance"
            cells = ["" if chance and values[i] is None else _per_cent(values[i]) for i in shown]
            table.add_row(name, *cells, style="dim" if chance else None)
    if shown:
        console.print(table)
    for note in metrics.get("notes", ()):
        console.print(f"[yellow]note[/] {escape(note)}")


def _per_cent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"


def _figure(figures: Any, keys: tuple[str, ...]) -> float | None:
    """The figure under nested keys, None where there is none."""
    for key in keys:
        figures = figures.get(key) if isinstance(figures, dict) else None
    return figures
