"""What several commands share: the console, and options of one name and meaning."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from groundgraph.terminal import Console

console = Console()

Setting = Annotated[
    list[str] | None, typer.Option("--set", help="Change a key of the recipe: data.train=500. Repeatable.")
]
Device = Annotated[
    str | None, typer.Option(help="Where models run: auto (a GPU where there is one), cpu, cuda, cuda:N, mps.")
]
Fast = Annotated[
    bool,
    typer.Option("--fast", help="Of a folder of photos: without the interaction-aware teacher, by a smaller detector."),
]
Folder = Annotated[Path | None, typer.Option(help="The run's folder; runs/NAME by default, a data set's own.")]
Method = Annotated[str | None, typer.Option(help="Whose, by its grounder's name; the recipe's first by default.")]


def hide_library_bars() -> None:
    """Keep transformers and huggingface_hub from drawing bars of their own into ours, in other processes too.

    Call it before they are imported: they then read it, and importing them for it would take its time.
    """
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def counted(counts: dict[str, int]) -> str:
    """Counts as a phrase: "1,500 images, 20 triplets"."""
    return ", ".join(f"{value:,} {name}" for name, value in counts.items())
