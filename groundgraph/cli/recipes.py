"""`groundgraph recipes` and `data check`: which recipes there are, and what one reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from groundgraph.cli.common import Fast, Folder, Setting, console

if TYPE_CHECKING:
    from groundgraph.engine.run import Run

KS = ("R@20", "R@50", "R@100")


def recipes() -> None:
    """List the bundled recipes, with the paper's figures beside those of your runs (runs/NAME/metrics.json)."""
    from groundgraph.stages.recipe import bundled_recipes, load_recipe

    runs = Path("runs")
    table = Table(caption=f"per cent; yours: {runs}/NAME/metrics.json", caption_justify="left")
    table.add_column("recipe", no_wrap=True)
    table.add_column("what it is")
    table.add_column("SGDet R@20 / 50 / 100", no_wrap=True)
    for name, path in bundled_recipes().items():
        recipe = load_recipe(path)
        yours = _own_recall(runs / name / "metrics.json", recipe.first_method)
        lines = []
        if recipe.paper:
            lines.append("paper " + " / ".join(f"{recipe.paper[k]:.2f}" if k in recipe.paper else "-" for k in KS))
        if any(value is not None for value in yours):
            lines.append("yours " + " / ".join("-" if v is None else f"{100 * v:.2f}" for v in yours))
        table.add_row(name, escape(recipe.note), "\n".join(lines))
    console.print(table)


def check(
    recipe: Annotated[str, typer.Argument(help="A recipe file, a bundled one's name, or a folder of photos.")],
    out: Folder = None,
    setting: Setting = None,
    fast: Fast = False,
    count: Annotated[bool, typer.Option(help="Count triplets in the vocabulary; the run then skips that.")] = True,
) -> None:
    """What a recipe reads, where to get what is missing, how large; its triplets and images beside the paper's."""
    from groundgraph import api
    from groundgraph.cli.needs import show_needs

    with api.open_run(recipe, setting or (), out, console=console, fast=fast) as run:
        if not show_needs(console, run):
            raise typer.Exit(1)
        if count:
            _show_counts(run)


def _own_recall(file: Path, method: str) -> list[float | None]:
    """R@20, 50 and 100 of a method in a run's metrics.json, as fractions of 1; [] where there are none."""
    try:
        figures = json.loads(file.read_text(encoding="utf-8"))["methods"][method]["sgdet"]
        return [figures[k] for k in KS]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _show_counts(run: Run) -> None:
    """How much supervision the recipe's data give, beside the paper's; counted by the run's own first stages."""
    from groundgraph.stages.preflight import PAPER, count_supervision

    counts = count_supervision(run)
    table = Table("train split", "yours", "paper's", title="supervision in the evaluation vocabulary")
    paper: dict[str, int] = {}
    if run.recipe.data.source == "vg150":
        triplets, images = PAPER[run.recipe.data.setting]
        paper = {"distinct mapped triplets": triplets, "images with a mapped triplet": images}
    for name, number in counts.items():
        table.add_row(name, f"{number:,}", f"{paper[name] // 1000}K" if name in paper else "")
    console.print(table)
