"""`groundgraph evaluate`: metrics of graphs that lie in files, as JSON and as a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from groundgraph.data.files import check_output, write_json
from groundgraph.data.graph_checks import as_triplets
from groundgraph.errors import InputError
from groundgraph.evaluation.evaluate import METRICS, TASKS, EvaluationTask, check_choices, evaluate
from groundgraph.evaluation.notes import overlap_notes, zeroshot_notes
from groundgraph.evaluation.recall import Convention
from groundgraph.formats import read_sides
from groundgraph.formats.zeroshot import read_zeroshot
from groundgraph.terminal import Console

_CHANCE = 0.01  # metrics below it are what chance gives


def evaluate_files(
    predictions: str | Path,
    truth: str | Path | None = None,
    *,
    task: EvaluationTask = "sgdet",
    convention: Convention = "default",
    zeroshot: str | Path | None = None,
    bootstrap: int = 0,
    out: str | Path | None = None,
) -> dict[str, Any]:
    """Measure the graphs of a file.

    Args:
        predictions: the file, see `formats.read_sides`.
        truth: its ground truth's, likewise; None: `predictions` holds both sides, or is a run's.
        task: as in `evaluate`.
        convention: as in `evaluate`.
        zeroshot: a file of triplets that training never saw, see `formats.read_zeroshot`.
        bootstrap: as in `evaluate`.
        out: where the results go as JSON; written whole or not at all.

    Returns:
        What `evaluate` gives, and "notes": what was left out, and what is odd.

    Raises:
        InputError: naming file and fix.
    """
    check_choices(task, convention)  # before a large file is read
    if out is not None:
        check_output(Path(out), [path for path in (predictions, truth, zeroshot) if path is not None])
    sides = read_sides(predictions, truth)
    notes = list(sides.notes)
    unseen: np.ndarray | None = None
    if zeroshot is not None:
        unseen = read_zeroshot(zeroshot, sides.vocabularies, notes)
    elif sides.zeroshot is not None:
        unseen = as_triplets(sides.zeroshot, f"{truth or predictions}: zeroshot")
    if unseen is not None:
        notes += zeroshot_notes(unseen, sides, str(zeroshot or truth or predictions))
    try:
        results = evaluate(
            sides.predictions,
            sides.truth,
            task=task,
            convention=convention,
            zeroshot=unseen,
            predicates=sides.vocabularies[1] if sides.vocabularies else None,
            bootstrap=bootstrap,
        )
    except InputError as error:
        raise InputError(f"{predictions}: {error}") from error
    if not len(sides.truth.labels):
        notes.append("the truth has no box: nothing is measured")
    elif not len(sides.truth.relations):
        notes.append("the truth has no relation: only mAP50 is measured")
    if all((value or 0) < _CHANCE for value in (results["mAP50"], *results["R"].values())):
        notes += overlap_notes(sides.predictions, sides.truth)
    results["notes"] = notes
    if out is not None:
        write_json(Path(out), results, indent=1)
    return results


def show(results: dict[str, Any], console: Console) -> None:
    """Print the results of `evaluate_files`, in per cent: one table of all, one by predicate, and what was left out."""
    ks, intervals = list(results["R"]), results.get("intervals", {})
    table = Table("", *(f"@{k}" for k in ks), title=f"{TASKS[results['mode']]}, per cent")
    for name in METRICS:
        if name not in ("zR", "ngzR") or results["unseen_relations"] is not None:
            table.add_row(name, *(_cell(results[name][k], intervals.get(name, {}).get(k)) for k in ks))
    console.print(table)
    if results["predicates"]:
        console.print(_by_predicate(results["predicates"], ks))
    says = {
        "sgb": "an image without a predicted pair is left out (--convention default counts it 0)",
        "default": "an image without a predicted pair counts 0 (--convention sgb leaves it out)",
        "vrd": "recall is pooled over all relations; R has one predicate a pair (k = 1), ngR all of them",
    }
    for line in (
        f"mAP50 {_cell(results['mAP50'])}. {results['images']} images, {results['images_with_relations']} with true "
        f"relations, {results['images_without_pairs']} of these without a predicted pair. {results['seconds']} s.",
        f"Convention {results['convention']}: {says[results['convention']]}.",
        *(["In brackets: 95 % of the samples of the images lie there."] if intervals else []),
    ):
        console.print(line)
    for note in results["notes"]:
        console.print(f"[yellow]note[/] {escape(note)}")


def _by_predicate(predicates: dict[str, dict[str, Any]], ks: list[str]) -> Table:
    columns = [(name, k) for name in ("R", "ngR") for k in ks]
    table = Table("predicate", "relations\n/ images", *(f"{name}\n@{k}" for name, k in columns), title="by predicate")
    for name, row in sorted(predicates.items(), key=lambda item: -item[1]["relations"]):
        counts = f"{row['relations']}/{row['images']}"
        table.add_row(escape(name), counts, *(_cell(row[figure][k], digits=1) for figure, k in columns))
    return table


def _cell(value: float | None, interval: list[float] | None = None, digits: int = 2) -> str:
    if value is None:
        return "-"
    between = f" ({100 * interval[0]:.1f} to {100 * interval[1]:.1f})" if interval else ""
    return f"{100 * value:.{digits}f}{between}"
