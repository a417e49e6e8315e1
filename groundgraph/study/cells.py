"""A cell's figures: what it computes from the store, and the one small file that is left of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from groundgraph.data.files import write_json
from groundgraph.engine.code import code_of, made_at
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage, with_needs
from groundgraph.evaluation.grounding import grounding_accuracy
from groundgraph.evaluation.pseudo_labels import label_quality
from groundgraph.stages import stages
from groundgraph.stages.evaluation import GROUPS, grounded, labelled
from groundgraph.stages.recipe import Recipe
from groundgraph.study.plan import QUALITY, RECALLS, SETTINGS, Cell
from groundgraph.study.store import Store, keys, read_json

Figures = dict[str, float | None]
LAST = ("evaluation", "report", "matches")  # neither is shared: a cell's own, and what no figure comes from


def shared_stages(cell: Cell, listing: list[Stage]) -> list[Stage]:
    """The stages of a cell that others may need too: all before its scene-graph model."""
    method = _method(cell.recipe)
    if not cell.row.graphs:
        return with_needs(listing, [f"grounding-{method}"])
    return [stage for stage in listing if stage.name not in (*LAST, f"sgg-{method}")]


def mark_of(cell: Cell, listing: list[Stage]) -> str:
    """The fingerprint of a cell's figures, by the settings, the data and all code that makes them."""
    last = "evaluation" if cell.row.graphs else f"grounding-{_method(cell.recipe)}"
    return f"{keys(listing)[last]}-{code_of(graph_figures if cell.row.graphs else grounding_figures)}"


def read_cell(folder: Path, cell: Cell, fingerprint: str) -> dict[str, Any] | None:
    """A cell's record where it is done with these settings."""
    record = read_json(folder / f"{cell.name}.json")
    return record if isinstance(record, dict) and record.get("fingerprint") == fingerprint else None


def compute_cell(store: Store, folder: Path, cell: Cell) -> None:
    """Compute a cell and write its record into `folder`; its model and graphs are not kept."""
    recipe = cell.recipe
    listing, method = stages(recipe), _method(recipe)
    fingerprint = mark_of(cell, listing)
    run = store.run_of(recipe, listing, f"{cell.name}-{fingerprint}")
    if cell.row.graphs:
        run.execute(with_needs(listing, ["evaluation"]))
        metrics = json.loads((run.folder / "evaluation" / "metrics.json").read_text(encoding="utf-8"))
        figures = graph_figures(metrics, method)
    else:
        run.execute(with_needs(listing, [f"grounding-{method}"]))
        figures = grounding_figures(run, method)
    record = {
        "setting": cell.row.setting,
        "model": cell.row.model,
        "variant": cell.row.variant.name,
        "seed": cell.seed,
        "by hand": by_hand(cell),
        "fingerprint": fingerprint,
        "code": made_at(),
        "seconds": round(sum(run.seconds.get(name, 0.0) for name in (f"sgg-{method}", "evaluation")), 1),
        "figures": figures,
    }
    write_json(folder / f"{cell.name}.json", record, indent=1)
    store.discard(run)


def by_hand(cell: Cell) -> str:
    """The command that computes the same figures in a run of its own."""
    words = [f"--set '{setting}'" for setting in cell.settings]
    return " ".join(["groundgraph run", SETTINGS[cell.row.setting][0], *words])


def graph_figures(metrics: dict[str, Any], method: str) -> Figures:
    """A method's figures of a run's metrics.json under the names that tables use."""
    measured = metrics["methods"][method]
    figures = {name: measured["sgdet"][name] for name in (*RECALLS, "mR@50", "ngR@50")} | {"mAP50": measured["mAP50"]}
    figures |= {f"grounding {group}": measured["grounding"][group] for group in GROUPS}
    figures |= {f"chance {group}": metrics["chance"][group] for group in GROUPS}
    return figures | {name: measured.get("pseudo labels", {}).get(name) for name in QUALITY}


def grounding_figures(run: Run, method: str) -> Figures:
    """The same of a grounder alone."""
    accuracy, quality = grounding_accuracy(grounded(run, method)), label_quality(labelled(run, method))
    figures = {f"grounding {group}": accuracy["accuracy"][group] for group in GROUPS}
    figures |= {f"chance {group}": accuracy["chance"][group] for group in GROUPS}
    return figures | {name: quality[name] for name in QUALITY}


def _method(recipe: Recipe) -> str:
    return recipe.grounder[0]
