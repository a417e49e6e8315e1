"""`groundgraph app`: a page to try a model on."""

from __future__ import annotations

from typing import Annotated

import typer

from groundgraph.cli.common import Device, Method


def app(
    model: Annotated[
        str | None,
        typer.Argument(
            help="A run's folder, a packed one or a hub id; without it the bundled miniature's model, which knows "
            "drawn scenes only."
        ),
    ] = None,
    method: Method = None,
    device: Device = None,
) -> None:
    """Try a model on photos in a browser: its words' boxes, its scene graphs. For this machine alone."""
    from groundgraph.app.serving import serve

    serve(model, method, device)
