"""`groundgraph evaluate`: anyone's scene graphs, from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from groundgraph.cli.common import console


def evaluate(
    predictions: Annotated[
        Path,
        typer.Argument(help="Predicted graphs: npz, graphs.safetensors, JSON, eval_results.pytorch or VRD's .mat."),
    ],
    truth: Annotated[
        Path | None, typer.Argument(metavar="GROUND_TRUTH", help="True graphs, where PREDICTIONS has none.")
    ] = None,
    task: Annotated[str, typer.Option(help="predcls, sgcls, sgdet or phrdet (phrase detection).")] = "sgdet",
    convention: Annotated[
        str,
        typer.Option(
            help="An image without a predicted pair counts 0 (default) or is left out (sgb); or VRD's measures: recall "
            "pooled over all relations, a prediction matching once (vrd)."
        ),
    ] = "default",
    zeroshot: Annotated[
        Path | None,
        typer.Option(help="Triplets that training never saw, for zR and ngzR; or VRD's training annotations."),
    ] = None,
    bootstrap: Annotated[int, typer.Option(help="Samples of the images for 95 % intervals.", min=0)] = 0,
    out: Annotated[Path | None, typer.Option("--json", help="Where the figures go as JSON.")] = None,
) -> None:
    """Measure anyone's scene graphs: R, ngR, zR, ngzR, mR, ngmR at 20/50/100, mAP50, and each predicate."""
    from groundgraph.evaluation.files import evaluate_files, show

    figures = evaluate_files(
        predictions, truth, task=task, convention=convention, zeroshot=zeroshot, bootstrap=bootstrap, out=out
    )
    show(figures, console)
