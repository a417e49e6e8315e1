"""Training curves and per-predicate recall in plain values, for the page's plotting library."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from groundgraph.errors import InputError

_POINTS = 300  # a longer curve is averaged in steps of equal length


@dataclass(frozen=True)
class PredicateRecall:
    """Recall of each predicate that the measured images have.

    Attributes:
        names: P predicates, the commonest first.
        counts: how many true relations each has.
        recall: method -> P fractions of 1, None where there is none.
        k: among how many predictions.
    """

    names: list[str]
    counts: list[int]
    recall: dict[str, list[float | None]]
    k: int = 50


def chart_record(name: str, lines: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """A chart in plain values, for the page's script.

    Args:
        name: of the chart.
        lines: label -> values in order; those that are no numbers are left out.

    Returns:
        {"name", "lines": [{"label", "points": [[per cent of the training, value], ...], "ends", "values"}]}.
    """
    records = []
    for label, values in lines.items():
        y = _averaged(values)
        x = np.linspace(0, 100, len(y)) if len(y) > 1 else np.full(len(y), 50.0)
        x, y = x[np.isfinite(y)], y[np.isfinite(y)]
        points = [[round(float(a), 1), float(f"{b:.4g}")] for a, b in zip(x, y, strict=True)]
        ends = (f"{y[0]:.3g}", f"{y[-1]:.3g}") if len(y) else None
        records.append({"label": label, "points": points, "ends": ends, "values": len(values)})
    return {"name": name, "lines": records}


def predicate_record(recall: PredicateRecall, titles: Mapping[str, str]) -> dict[str, Any]:
    """Each predicate's recall in plain values and per cent, for the page's script.

    Args:
        recall: as measured.
        titles: what a method is called, where not by its name.

    Raises:
        InputError: on lists of unequal lengths.
    """
    for method, values in {"counts": recall.counts, **recall.recall}.items():
        if len(values) != len(recall.names):
            raise InputError(f"{len(recall.names)} predicates have {len(values)} values of {method}")
    return {
        "k": recall.k,
        "names": recall.names,
        "counts": recall.counts,
        "methods": [
            {"name": titles.get(method, method), "values": [None if v is None else round(100 * v, 1) for v in values]}
            for method, values in recall.recall.items()
        ],
    }


def reliability_records(methods: Mapping[str, Any], titles: Mapping[str, str]) -> list[dict[str, Any]]:
    """The reliability diagrams of the methods whose scores are calibrated, in plain values for the page's SVG.

    Args:
        methods: name -> its metrics, as metrics.json has them.
        titles: what a method is called, where not by its name.

    Returns:
        [{"name", "points": [[per cent that scores say, per cent that are right, radius], ...], "figures"}].
    """
    records = []
    for name, row in methods.items():
        own = row.get("calibration")
        if not own:
            continue
        largest = max((count for count, *_ in own["bins"]), default=1)
        points = [
            [round(100 * score, 1), round(100 * min(1, right), 1), round(1 + 3 * (count / largest) ** 0.5, 1)]
            for count, score, right in own["bins"]
        ]
        figures = (
            f"expected calibration error {100 * own['ECE']:.1f} per cent ({100 * own['ECE uncalibrated']:.1f} before); "
            f"{own['an image']:.1f} relations an image are shown, those from {own['min_score']:.2g}"
            f"{'; estimated by the captions of images held out from training' if own.get('by') == 'captions' else ''}"
        )
        records.append({"name": titles.get(name, name), "points": points, "figures": figures})
    return records


def _averaged(values: Sequence[float | None]) -> np.ndarray:
    curve = np.array([math.nan if v is None else v for v in values], float)
    if len(curve) <= _POINTS:
        return curve
    return np.array([part.mean() for part in np.array_split(curve, _POINTS)])
