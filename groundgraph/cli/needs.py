"""What a run needs, as lines on the terminal."""

from __future__ import annotations

from rich.markup import escape

from groundgraph.data.sources import open_source
from groundgraph.engine.run import Run
from groundgraph.models.hub import obstacles
from groundgraph.stages.preflight import needs, ways
from groundgraph.terminal import Console


def show_needs(console: Console, run: Run) -> bool:
    """What a run needs, present or missing, a line each; gives whether all of its data are here."""
    required = needs(run.recipe)
    whys = obstacles(need.source for need in required if need.source and not need.present)
    for need in required:
        why = whys.get(need.source)
        fetch = "[red]can't be fetched[/]" if why else "[yellow]to fetch[/]"
        state = "[green]present[/]" if need.present else fetch if need.source else "[red]missing[/]"
        size = f", {need.size}" if need.size else ""
        console.print(f"{state}\t{escape(need.place)} ({need.what}{size})")
        if not need.present and need.origin:
            text = f"{why}, {ways(need)}" if why else need.origin
            console.print(f"\t[dim]{escape(text)}[/]")
    if any(not part.present for need in required for part in need.parts):
        console.print("`groundgraph data fetch` gets what servers have of it; `--list` says what and how large")
    missing = sum(not need.present and (not need.source or need.source in whys) for need in required)
    console.print(f"{missing} of {len(required)} missing" if missing else "nothing is missing")
    return all(need.present for need in open_source(run.recipe.data, run.folder).needs())
