"""A study's results as Markdown, CSV and tables on the terminal."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from groundgraph.data.files import atomic_write
from groundgraph.study.cells import Figures
from groundgraph.study.plan import Plan, Row, TableSpec
from groundgraph.study.statistics import Estimate
from groundgraph.study.tables import Claim, Line, Results, claims, floor, lines
from groundgraph.terminal import Console

SETTING_TITLES = {
    "unlocalized_graph": "Unlocalized Graph",
    "vg_caption": "VG Caption",
    "coco_caption": "COCO Caption",
}
KEYS = ("setting", "model", "condition", "variant")  # columns that say which row it is
MODEL_TITLES = {"motifs": "Motifs", "uniter": "Uniter", "none": "-"}


@dataclass(frozen=True)
class Printed:
    """A table as text: its heading, a note, the columns' titles, and rows of as many cells."""

    title: str
    note: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]


def printed_table(spec: TableSpec, results: Results, seeds: int) -> Printed:
    """One table: mean ± half a 95 % interval, p against the reference, the paper's figures where it has any."""
    printed = lines(spec, results)
    reference = next((row.variant.title for row in spec.rows if row.variant.name == spec.reference), None)
    paper = [m for m in spec.metrics if any(m in row.paper for row in spec.rows)]
    short = any(e is not None and e.count < seeds for line in printed for e in line.estimates.values())
    columns = [*(("Setting", "SGG model") if spec.modelled else ("Setting",)), "Method", *spec.metrics]
    if reference:
        columns += [f"{spec.tested} - {reference}", "p"]
    columns += [f"paper {metric}" for metric in paper] + (["seeds"] if short else [])
    rows = []
    for line in printed:
        setting, model, method = _names(line.row)
        cells = [setting, model, method] if spec.modelled else [setting, method]
        cells += [_estimate(line.estimates[m]) for m in spec.metrics]
        if reference:
            cells += _against(line)
        cells += [f"{line.row.paper[m]:.2f}" if m in line.row.paper else "-" for m in paper]
        if short:
            cells.append(str(max((e.count for e in line.estimates.values() if e), default=0)))
        rows.append(tuple(cells))
    chance = [
        f"{SETTING_TITLES[setting]} {' / '.join('-' if v is None else f'{v:.1f}' for v in values)}"
        for setting, values in floor(spec, results).items()
    ]
    note = spec.note + (f" Chance: {'; '.join(chance)}." if chance else "")
    return Printed(spec.title, note, tuple(columns), rows)


def printed_claims(plan: Plan, results: Results) -> Printed | None:
    """Where the paper's order holds; None where it says nothing of these rows."""
    claimed = [(spec, claim) for spec in plan.tables for claim in claims(spec, results)]
    if not claimed:
        return None
    verdicts = [claim.verdict for _, claim in claimed]
    counts = ", ".join(f"{verdicts.count(v)} {v}" for v in ("holds", "reversed", "not decided") if v in verdicts)
    rows = [(spec.title.partition(":")[0], *_claim(claim)) for spec, claim in claimed]
    return Printed(
        "The paper's order",
        f"Every two rows that the paper has figures of. {counts}; p below .05 decides.",
        ("Table", "Setting", "SGG model", "The paper has", "above", "by", "here by", "p", "Verdict"),
        rows,
    )


def markdown(heading: str, facts: Sequence[str], parts: Iterable[tuple[Printed, str | None]]) -> str:
    """The whole text; a part is a table and its plot's file, if any."""
    text = [f"# {heading}", "", *(f"- {fact}" for fact in facts), ""]
    for table, plot in parts:
        text += [f"## {table.title}", "", table.note, ""]
        text += [_line(table.columns), _line(["---"] * len(table.columns)), *(_line(row) for row in table.rows), ""]
        if plot:
            text += [f"![{table.title}]({plot})", ""]
    return "\n".join(text)


def show(console: Console, table: Printed) -> None:
    """A table on the terminal."""
    shown = Table(*map(escape, table.columns), title=escape(table.title), caption=escape(table.note))
    for row in table.rows:
        shown.add_row(*map(escape, row))
    console.print(shown)


def write_cells(path: Path, results: Results) -> None:
    """Every cell's figures, as fractions of 1: a line a cell."""
    cells = [(row, seed, figures) for row, seeds in results.items() for seed, figures in sorted(seeds.items())]
    names = list(dict.fromkeys(name for _, _, figures in cells for name in figures))
    rows = ([*_keys(row), seed, *_numbers(figures, names)] for row, seed, figures in cells)
    _write(path, [*KEYS, "seed", *names], rows)


def write_means(path: Path, plan: Plan, results: Results) -> None:
    """Every table's figures, in per cent: a line a table, row and metric."""
    columns = ["table", *KEYS, "metric", "mean", "half interval", "seeds", "paper"]
    rows = []
    for spec in plan.tables:
        for line in lines(spec, results):
            for metric, value in line.estimates.items():
                if value is not None:
                    half = "" if value.half is None else f"{value.half:.4f}"
                    cells = [f"{value.mean:.4f}", half, value.count, line.row.paper.get(metric, "")]
                    rows.append([spec.name, *_keys(line.row), metric, *cells])
    _write(path, columns, rows)


def _write(path: Path, columns: Sequence[str], rows: Iterable[Sequence]) -> None:
    with atomic_write(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def _keys(row: Row) -> tuple[str, ...]:
    return row.setting, row.model, row.condition.name if row.condition else "", row.variant.name


def _numbers(figures: Figures, names: Sequence[str]) -> list[str]:
    return ["" if figures.get(name) is None else f"{figures[name]:.6f}" for name in names]


def _names(row: Row) -> tuple[str, str, str]:
    setting = row.condition.title if row.condition else SETTING_TITLES[row.setting]
    return setting, MODEL_TITLES[row.model], row.variant.title


def _estimate(value: Estimate | None, sign: str = "") -> str:
    if value is None:
        return "-"
    return f"{value.mean:{sign}.2f}" + ("" if value.half is None else f" ± {value.half:.2f}")


def _against(line: Line) -> tuple[str, str]:
    if line.against is None:
        return "", ""
    return _estimate(line.against.difference, "+"), _p(line.against.p)


def _claim(claim: Claim) -> tuple[str, ...]:
    setting, model, above = _names(claim.above)
    here = "-" if claim.here is None else _estimate(claim.here.difference, "+")
    by = f"{claim.paper[0] - claim.paper[1]:.2f} {claim.metric}"
    return setting, model, above, claim.below.variant.title, by, here, _p(claim.here and claim.here.p), claim.verdict


def _p(value: float | None) -> str:
    return "-" if value is None else "< .001" if value < 0.001 else f"{value:.3f}".removeprefix("0")


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
