"""`groundgraph data fetch`: what of a recipe's needs a server has, with sizes; what has to be got by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from groundgraph.cli.common import Fast, Setting, console, hide_library_bars
from groundgraph.errors import InputError

if TYPE_CHECKING:
    from groundgraph.data.sources.needs import Need
    from groundgraph.stages.fetch import Download


def fetch(
    recipe: Annotated[str, typer.Argument(help="A recipe file, a bundled one's name, or a folder of photos.")],
    setting: Setting = None,
    fast: Fast = False,
    listing: Annotated[
        bool, typer.Option("--list", help="Show what would be fetched, how large it is, and end.")
    ] = False,
) -> None:
    """Fetch the data and models of a recipe that servers have; says where to get the others. Run it again to go on."""
    hide_library_bars()
    from groundgraph.stages.fetch import plan
    from groundgraph.stages.own_photos import open_recipe
    from groundgraph.stages.preflight import needs

    loaded = open_recipe(recipe, setting or (), fast)
    downloads, by_hand = plan(needs(loaded))
    _show(downloads)
    failures = []
    if not listing:
        for download in downloads:
            try:
                download.fetch(_bar)
            except InputError as error:
                failures.append(download)
                console.print(f"[red]not fetched[/] {escape(str(error))}")
            else:
                console.print(f"[green]fetched[/] {escape(download.name)}")
        downloads, by_hand = (failures, plan(needs(loaded))[1])
    _show_by_hand(by_hand)
    if not downloads and not by_hand:
        console.print("nothing is missing")
    if not listing and (failures or by_hand):
        raise typer.Exit(1)


def _show(downloads: Sequence[Download]) -> None:
    """A line each with its size, and one where it goes and under which terms; then how much it is in all."""
    from groundgraph.data.published import size_text

    for download in downloads:
        console.print(f"[yellow]to fetch[/]\t{download.size}\t{escape(download.address)}")
        terms = f" (terms: {download.terms})" if download.terms else ""
        console.print(f"\t[dim]{escape(', '.join(map(str, download.places)) or 'the hub cache')}{escape(terms)}[/]")
    if known := sum(download.bytes or 0 for download in downloads):
        free = size_text(shutil.disk_usage(".").free)
        console.print(f"{size_text(known)} in files of known size, as much again to unpack them; {free} are free here")


def _show_by_hand(needs: Sequence[Need]) -> None:
    for need in needs:
        size = f", {need.size}" if need.size else ""
        console.print(f"[yellow]by hand[/]\t{escape(need.place)} ({need.what}{size})")
        if need.origin:
            console.print(f"\t[dim]{escape(need.origin)}[/]")


@contextmanager
def _bar(label: str, total: int | None) -> Iterator[Callable[[int], Any]]:
    """A bar of bytes in the block."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(escape(label), total=total)
        yield lambda count: progress.advance(task, count)
