"""`groundgraph export` and `import`: a run's results in other programs' formats, and the authors' files in a run's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Table

from groundgraph.cli.common import Method, console, counted


def _list_formats(show: bool) -> None:
    from groundgraph.stages.export import exports

    if not show:
        return
    table = Table("--what", "--format", "writes", "")
    for row in exports():
        table.add_row(*map(escape, row))
    console.print(table)
    raise typer.Exit


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Argument(help="The file or folder to write.")],
    what: Annotated[str, typer.Option(help="predictions or pseudo-labels.")],
    form: Annotated[str, typer.Option("--format", help="One of those that --list shows.")],
    method: Method = None,
    listing: Annotated[
        bool, typer.Option("--list", help="Show the formats and end.", is_eager=True, callback=_list_formats)
    ] = False,
) -> None:
    """Write a run's pseudo labels or predicted graphs in other programs' formats."""
    from groundgraph.stages.export import export_run

    counts = export_run(folder, what, form, out, method)
    console.print(f"{counted(counts)} in {escape(str(out))}")


def import_(
    what: Annotated[str, typer.Argument(help="pseudo-labels or grounder.")],
    source: Annotated[Path, typer.Argument(help="A pickle of grounding results, or grounder_best.pth.")],
    out: Annotated[Path, typer.Argument(help="Gets JSON lines as a run's pseudo-METHOD/train.jsonl, or a folder.")],
) -> None:
    """Read what the paper's authors released into a run's own formats; nothing in the file is executed."""
    from groundgraph.data.types import Skipped
    from groundgraph.stages.export import import_official

    skipped = Skipped()
    counts = import_official(what, source, out, skipped)
    for name, why in skipped.items:
        console.print(f"[yellow]left out[/] {escape(name)}: {escape(why)}")
    console.print(f"{counted(counts)} in {escape(str(out))}")
