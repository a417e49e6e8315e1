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

    names      P predicates, the commonest first; counts: how many true relations each has
    recall     method -> P fractions of 1, None where there is no figure; k: among how many predictions
    """

    names: list[str]
    counts: list[int]
    recall: dict[str, list[float | None]]
    k: int = 50


def chart_record(name: str, lines: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """A chart's curves as points (per cent of the training, value); values that are no numbers are left out."""
    drawn = []
    for label, values in lines.items():
        kept = _averaged(values)
        real = np.isfinite(kept)
        place = np.linspace(0, 100, len(kept)) if len(kept) > 1 else np.full(len(kept), 50.0)
        points = [[round(float(x), 1), float(f"{y:.4g}")] for x, y in zip(place[real], kept[real], strict=True)]
        ends = tuple(f"{y:.3g}" for y in (kept[real][0], kept[real][-1])) if real.any() else None
        drawn.append({"label": label, "points": points, "ends": ends, "values": len(values)})
    return {"name": name, "lines": drawn}


def predicate_record(figures: PredicateRecall, names: Mapping[str, str]) -> dict[str, Any]:
    """Each predicate's recall in per cent; `names` says what a method is called. Raises InputError on unequal lists."""
    for method, values in {"counts": figures.counts, **figures.recall}.items():
        if len(values) != len(figures.names):
            raise InputError(f"{len(figures.names)} predicates have {len(values)} values of {method}")
    return {
        "k": figures.k,
        "names": figures.names,
        "counts": figures.counts,
        "methods": [
            {"name": names.get(method, method), "values": [None if v is None else round(100 * v, 1) for v in values]}
            for method, values in figures.recall.items()
        ],
    }


def _averaged(values: Sequence[float | None]) -> np.ndarray:
    values = np.array([math.nan if v is None else v for v in values], float)
    if len(values) <= _POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, _POINTS)])
