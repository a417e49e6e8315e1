"""`groundgraph predict`: a finished run's model on new images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from groundgraph.cli.common import Device, Method, console


def predict(
    folder: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    out: Annotated[
        Path | None, typer.Option(help="Where pictures and graphs.json go; RUN/predictions by default.")
    ] = None,
    method: Method = None,
    top: Annotated[int, typer.Option(help="Relations an image.", min=1)] = 10,
    kind: Annotated[str, typer.Option("--format", help="png, svg or pdf.")] = "png",
    min_score: Annotated[float, typer.Option(help="Leave out what scores less.", min=0, max=1)] = 0,
    categories: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Things to find: a,b,c, or a file with a name a line.")
    ] = None,
    predicates: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Relations to find, likewise; both need sgg.heads: open.")
    ] = None,
    device: Device = None,
) -> None:
    """Draw scene graphs on images and write them as JSON; says each relation with its score."""
    from groundgraph.api import load
    from groundgraph.data.types import Skipped
    from groundgraph.predictor import predict_images
    from groundgraph.report.fonts import unreadable_scripts
    from groundgraph.report.pictures import numbered

    out, skipped = out or folder / "predictions", Skipped()
    names = {"categories": _names(categories), "predicates": _names(predicates)}
    written = predict_images(load(folder, method, device, **names), images, out, top, kind, min_score, skipped)
    for name, why in skipped.items:
        console.print(f"[yellow]skipped[/] {escape(name)}: {escape(why)}")
    for image, graph in written.items():
        things = numbered([entry["category"] for entry in graph["objects"]])
        console.print(f"{escape(image)}: {len(graph['relations'])} relations, {escape(graph['pictures'][-1])}")
        for entry in graph["relations"]:
            words = f"{things[entry['subject']]}  {entry['predicate']}  {things[entry['object']]}"
            console.print(f"  {entry['score']:<8.2g}{escape(words)}")
    labels = [entry["category"] for graph in written.values() for entry in graph["objects"]]
    labels += [entry["predicate"] for graph in written.values() for entry in graph["relations"]]
    if kind != "svg" and (scripts := unreadable_scripts(labels)):  # an SVG is drawn by its viewer's fonts
        console.print(
            f"[yellow]note[/] no installed font has the letters of {', '.join(scripts)}, which are empty boxes "
            "in the pictures. Install one (Noto has all scripts), or draw --format svg, which keeps the text"
        )
    console.print(f"{len(written)} scene graphs in {escape(str(out))}")
    if not written:
        raise typer.Exit(1)


def _names(text: str | None) -> list[str] | None:
    """Names from an option: those of a file, or separated by commas."""
    from groundgraph.data.vocabulary import Vocabulary

    if text is None:
        return None
    if Path(text).is_file():
        return list(Vocabulary.from_file(text).names)
    return [name for name in (part.strip() for part in text.split(",")) if name]
