"""The report's tables of metrics: a method a row, in per cent, the best of each column marked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Row = tuple[str, list[tuple[str, bool]]]  # name, cells: text and whether it is the column's best


class Column(NamedTuple):
    """A metric as a column shows it.

    Attributes:
        name: its head.
        keys: where it lies in a method's metrics.
        meaning: a sentence below the table.
    """

    name: str
    keys: tuple[str, ...]
    meaning: str


HEADLINE = (
    Column(
        "Grounding, all",
        ("grounding", "all"),
        "Share of the captions' entities whose best region overlaps the true box by IoU 0.5 or more.",
    ),
    Column(
        "Grounding, ambiguous",
        ("grounding", "ambiguous"),
        "The same, over entities of whose category the image holds another object that the caption does not mean.",
    ),
    Column(
        "Grounding, unseen",
        ("grounding", "unseen"),
        "The same, over entities of a category that the detector was never taught.",
    ),
    Column(
        "Right pair",
        ("pairs", "pair"),
        "Over triplets that several pairs of regions may be, by their categories: the best of these is a true one.",
    ),
    Column(
        "Predicate detection R@50",
        ("vrd", "predicate detection", "R@50"),
        "VRD's predicate detection: share of all true relations whose predicate is the best one of its pair, among an "
        "image's 50 surest; boxes, categories and which pairs are related are given.",
    ),
    Column(
        "All pairs R@50",
        ("vrd", "predicate detection, all pairs", "R@50"),
        "The same where it is not given which pairs are related.",
    ),
    Column("Phrase R@50", ("vrd", "phrase detection", "R@50"), "VRD's phrase detection: one box around both."),
    Column(
        "Relationship R@50",
        ("vrd", "relationship detection", "R@50"),
        "VRD's relationship detection: recall pooled over all relations, a prediction matching one.",
    ),
    Column(
        "R@20",
        ("sgdet", "R@20"),
        "Scene graph detection: share of an image's true triplets among its 20 best predictions; the three labels "
        "must be right and both boxes overlap theirs by IoU 0.5 or more.",
    ),
    Column("R@50", ("sgdet", "R@50"), "The same, among the 50 best."),
    Column("R@100", ("sgdet", "R@100"), "The same, among the 100 best."),
    Column("mAP50", ("mAP50",), "Mean average precision over the categories of the graphs' boxes at IoU 0.5."),
)
SCORES = (
    Column("F1@50", ("sgdet", "F1@50"), "The harmonic mean of R@50 and mR@50, which is the mean over the predicates."),
    Column(
        "Precision",
        ("calibration", "precision"),
        "Share of the relations shown by default that are right, where a relation found twice is wrong once.",
    ),
    Column("Recall", ("calibration", "recall"), "Share of all true relations that are among these."),
    Column("F1", ("calibration", "F1"), "The harmonic mean of both."),
)
PSEUDO_LABELS = (
    Column(
        "Box recall at 1",
        ("pseudo labels", "box recall@1"),
        "Over the training images' entities whose true box is known: the best region overlaps it by IoU 0.5 or more.",
    ),
    Column("Box recall at 3", ("pseudo labels", "box recall@3"), "The same, for one of the three best regions."),
    Column(
        "Triplet precision",
        ("pseudo labels", "triplet precision"),
        "Share of the triplets for which the best regions of subject and object are both right.",
    ),
    Column(
        "Bound: best region",
        ("pseudo labels", "best region"),
        "What a grounder that always chose the right region would reach: some region is right.",
    ),
    Column(
        "Bound: better teacher",
        ("pseudo labels", "better teacher"),
        "What choosing the better of the two teachers for every entity would reach.",
    ),
)


def metric_table(
    columns: Sequence[Column],
    methods: Mapping[str, Any],
    titles: Mapping[str, str],
    chance: Mapping[str, Any] | None = None,
) -> tuple[list[tuple[str, str]], list[Row]]:
    """A table of metrics; a row or column without any is left out.

    Args:
        columns: what is shown.
        methods: name -> its metrics, fractions of 1; one that is None, missing or infinite is shown as "-".
        titles: what a method is called, in the table's order; others follow under their names.
        chance: metrics of a last row, keyed as a method's are, or by grounding group.

    Returns:
        (name, meaning) of the columns, and the rows.
    """
    order = sorted(methods, key=lambda m: list(titles).index(m) if m in titles else len(titles))
    values = [[_value(methods[m], column.keys) for column in columns] for m in order]
    # Compared as printed: two figures that read the same are both the best.
    best = [
        max((_rounded(v) for row in values if (v := row[i]) is not None), default=None) for i in range(len(columns))
    ]
    rows: list[Row] = [
        (titles.get(m, m), [(_percent(v), v is not None and _rounded(v) == b) for v, b in zip(row, best, strict=True)])
        for m, row in zip(order, values, strict=True)
    ]
    if chance:
        chance = chance if "grounding" in chance else {**chance, "grounding": chance}
        rows.append(("Chance (a region at random)", [(_percent(_value(chance, c.keys)), False) for c in columns]))
    kept = [i for i in range(len(columns)) if any(cells[i][0] != "-" for _, cells in rows)]
    rows = [(name, [cells[i] for i in kept]) for name, cells in rows]
    return [(columns[i].name, columns[i].meaning) for i in kept], [
        row for row in rows if any(text != "-" for text, _ in row[1])
    ]


def count_rows(counts: Mapping[str, Any], above: str = "") -> list[tuple[str, str]]:
    """Counts that may be nested, as rows ("images, train", "4,000")."""
    rows = []
    for key, value in counts.items():
        name = f"{above}, {key}" if above else str(key)
        if isinstance(value, Mapping):
            rows += count_rows(value, name)
        else:
            whole = isinstance(value, int) and not isinstance(value, bool)
            rows.append((name.replace("_", " "), f"{value:,}" if whole else "-" if value is None else str(value)))
    return rows


def _value(metrics: Any, keys: Sequence[str]) -> float | None:
    for key in keys:
        metrics = metrics.get(key) if isinstance(metrics, Mapping) else None
    return metrics if isinstance(metrics, (int, float)) and math.isfinite(metrics) else None


def _rounded(value: float) -> float:
    return round(100 * value, 1)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
