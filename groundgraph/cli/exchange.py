"""`groundgraph export` and `import`: a run's results in other programs' formats, and the authors' files in a run's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from groundgraph.cli.common import Method, console, counted


def export(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    out: Annotated[Path, typer.Argument(help="The file to write; a folder for vg150 and graphml.")],
    what: Annotated[str, typer.Option(help="pseudo-labels or predictions.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="pseudo-labels: vg150, coco, coco-relations, label-studio, jsonl. predictions: json (all, to be "
            "measured), graphml, networkx.",
        ),
    ],
    method: Method = None,
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
