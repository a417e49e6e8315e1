"""`groundgraph study`: the paper's tables on MiniGenome."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from groundgraph.cli.common import console, hide_library_bars


def study(
    seeds: Annotated[
        int | None, typer.Option(help="Seeds a cell; 5, or 2 with --quick, by default.", min=1, show_default=False)
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes that work side by side.", min=1)] = 2,
    quick: Annotated[bool, typer.Option(help="VG Caption alone, on few images: minutes.")] = False,
    ablate: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Vary one thing: K, alpha, alpha2, layer, temperature, scale, pairs, parser, relatedness, prompts, "
            "heads, negatives or coverage.",
        ),
    ] = None,
    graphs: Annotated[bool, typer.Option(help="An ablation's scene graphs too, not its grounding alone.")] = False,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder; runs/study or runs/study-quick by default.")
    ] = None,
) -> None:
    """The paper's tables on MiniGenome, with error bars; what is done is kept, so it can be broken off."""
    hide_library_bars()
    from groundgraph.study import run_study
    from groundgraph.study.ablations import ablation_plan
    from groundgraph.study.plan import paper_plan

    plan = ablation_plan(ablate, seeds, quick, graphs) if ablate else paper_plan(seeds, quick)
    folder = out or Path("runs") / ("study-quick" if quick else "study")
    failed = run_study(plan, folder, jobs, console)
    for cell, why in failed.items():
        console.print(f"[red]failed[/] {escape(cell)}: {escape(why)}")
    console.print(f"{escape(str(folder / plan.name))}.md, .csv, -cells.csv and plots")
    if failed:
        raise typer.Exit(1)
