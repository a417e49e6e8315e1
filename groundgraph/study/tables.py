"""Tables of means over seeds, the tests between methods, and where the paper's order holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from groundgraph.study.cells import Figures
from groundgraph.study.plan import Row, TableSpec
from groundgraph.study.statistics import Comparison, Estimate, compare, estimate

Results = dict[Row, dict[int, Figures]]  # row -> seed -> figures, as fractions of 1
DECIDED = 0.05


@dataclass(frozen=True)
class Line:
    """A row's figures in a table, in per cent; against: its difference from the reference row's `tested` figure."""

    row: Row
    estimates: dict[str, Estimate | None]
    against: Comparison | None


@dataclass(frozen=True)
class Claim:
    """That one row is above another, as the paper has it (per cent), beside what was measured here (points)."""

    above: Row
    below: Row
    metric: str
    paper: tuple[float, float]
    here: Comparison | None

    @property
    def verdict(self) -> str:
        """Whether the paper's order holds: "holds" and "reversed" where p is below .05, else "not decided"."""
        if self.here is None or self.here.p is None or self.here.p >= DECIDED:
            return "not decided"
        return "holds" if self.here.difference.mean > 0 else "reversed"


def lines(spec: TableSpec, results: Results) -> list[Line]:
    """A table's lines, in its order."""
    reference = {row.group: row for row in spec.rows if row.variant.name == spec.reference}
    rows = []
    for row in spec.rows:
        other = reference.get(row.group)
        against = difference(results, row, other, spec.tested) if other not in (None, row) else None
        rows.append(Line(row, {m: estimate(_values(results, row, m)) for m in spec.metrics}, against))
    return rows


def claims(spec: TableSpec, results: Results) -> list[Claim]:
    """What the paper's figures say of every two rows of a group, of those that it has figures of."""
    tested = []
    for one, other in combinations(spec.rows, 2):
        if one.group != other.group or not {spec.tested} <= one.paper.keys() & other.paper.keys():
            continue
        above, below = sorted((one, other), key=lambda row: -row.paper[spec.tested])
        paper = above.paper[spec.tested], below.paper[spec.tested]
        tested.append(Claim(above, below, spec.tested, paper, difference(results, above, below, spec.tested)))
    return tested


def difference(results: Results, one: Row, other: Row, metric: str) -> Comparison | None:
    """One - other over the seeds that both have, in points of a per cent; None of no seed."""
    first, second = (_by_seed(results, row, metric) for row in (one, other))
    seeds = sorted(first.keys() & second.keys())
    return compare([first[s] for s in seeds], [second[s] for s in seeds])


def floor(spec: TableSpec, results: Results) -> dict[str, list[float | None]]:
    """Setting -> the table's figures of chance, in per cent."""
    values_of: dict[str, list[float | None]] = {}
    for row in spec.rows:
        measured = [_values(results, row, metric) for metric in spec.floor]
        if any(measured):
            values_of.setdefault(row.setting, [values[0] if values else None for values in measured])
    return values_of


def _by_seed(results: Results, row: Row, metric: str) -> dict[int, float]:
    values = {seed: figures.get(metric) for seed, figures in results.get(row, {}).items()}
    return {seed: 100 * value for seed, value in values.items() if value is not None}


def _values(results: Results, row: Row, metric: str) -> Sequence[float]:
    return list(_by_seed(results, row, metric).values())
