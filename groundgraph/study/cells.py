"""A cell's figures: what it computes from the store, and the one small file that is left of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from groundgraph.data.files import write_json
from groundgraph.engine.code import code_of, made_at
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.evaluation.grounding import grounding_accuracy
from groundgraph.evaluation.pseudo_labels import label_quality
from groundgraph.stages import evaluation, grounding, stages
from groundgraph.stages.evaluation import GROUPS, grounded, labelled
from groundgraph.study.plan import QUALITY, RECALLS, SCORES, SETTINGS, Cell
from groundgraph.study.store import StudyStore, keys, read_json

Figures = dict[str, float | None]


def last_stage(cell: Cell) -> str:
    """The name of the stage that a cell's figures come from."""
    return evaluation.NAME if cell.row.graphs else grounding.stage_of(cell.method)


def shared_stages(cell: Cell, listing: list[Stage]) -> list[Stage]:
    """The stages of a cell that others may need too: all before its scene-graph model."""
    return [stage for stage in with_needs(listing, [last_stage(cell)]) if stage.reusable]


def fingerprint_of(cell: Cell, listing: list[Stage]) -> str:
    """The fingerprint of a cell's figures, by the settings, the data and all code that makes them."""
    return f"{keys(listing)[last_stage(cell)]}-{code_of(graph_figures if cell.row.graphs else grounding_figures)}"


def read_cell(folder: Path, cell: Cell, fingerprint: str) -> dict[str, Any] | None:
    """A cell's record where it is done with these settings."""
    record = read_json(folder / f"{cell.name}.json")
    return record if isinstance(record, dict) and record.get("fingerprint") == fingerprint else None


def compute_cell(store: StudyStore, folder: Path, cell: Cell) -> None:
    """Compute a cell and write its record into `folder`; its model and graphs are not kept."""
    recipe = cell.recipe
    listing = stages(recipe)
    fingerprint, own = fingerprint_of(cell, listing), with_needs(listing, [last_stage(cell)])
    run = store.run_of(recipe, listing, f"{cell.name}-{fingerprint}")
    execute(run, own)
    figures = graph_figures(run, cell.method) if cell.row.graphs else grounding_figures(run, cell.method)
    record = {
        "setting": cell.row.setting,
        "model": cell.row.model,
        "condition": cell.row.condition.name if cell.row.condition else "",
        "variant": cell.row.variant.name,
        "seed": cell.seed,
        "by hand": by_hand(cell),
        "fingerprint": fingerprint,
        "code": made_at(),
        "seconds": round(sum(run.seconds.get(stage.name, 0.0) for stage in own if not stage.reusable), 1),
        "figures": figures,
    }
    write_json(folder / f"{cell.name}.json", record, indent=1)
    store.discard(run)


def by_hand(cell: Cell) -> str:
    """The command that computes the same figures in a run of its own."""
    words = [f"--set '{setting}'" for setting in cell.settings]
    return " ".join(["groundgraph run", SETTINGS[cell.row.setting][0], *words])


def graph_figures(run: Run, method: str) -> Figures:
    """A method's figures of a run under the names that tables use, as fractions of 1."""
    metrics = evaluation.metrics(run)
    own = metrics["methods"][method]
    figures = {name: own["sgdet"][name] for name in (*RECALLS, "mR@50", "ngR@50", "F1@50")} | {"mAP50": own["mAP50"]}
    figures |= {name: own.get("calibration", {}).get(name) for name in SCORES[1:]}
    figures |= {f"grounding {group}": own["grounding"][group] for group in GROUPS}
    figures |= {f"chance {group}": metrics["chance"][group] for group in GROUPS}
    return figures | {name: own.get("pseudo labels", {}).get(name) for name in QUALITY}


def grounding_figures(run: Run, method: str) -> Figures:
    """The same of a grounder alone."""
    accuracy, quality = grounding_accuracy(grounded(run, method)), label_quality(labelled(run, method))
    figures = {f"grounding {group}": accuracy["accuracy"][group] for group in GROUPS}
    figures |= {f"chance {group}": accuracy["chance"][group] for group in GROUPS}
    return figures | {name: quality[name] for name in QUALITY}
