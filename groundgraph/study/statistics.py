"""Figures of several seeds: their mean with a confidence interval, and whether two methods differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from groundgraph.errors import InputError

LEVEL = 0.95
NOTHING = 1e-9  # a difference below it comes from rounding


class Estimate(NamedTuple):
    """A mean, half the width of its 95 % interval (None of fewer than two values), and of how many values."""

    mean: float
    half: float | None
    count: int


class Comparison(NamedTuple):
    """The mean difference over seeds with its interval, and the two-sided p of a paired t test.

    p is None of fewer than two seeds, and where no two figures differ.
    """

    difference: Estimate
    p: float | None


def estimate(values: Sequence[float]) -> Estimate | None:
    """Mean and interval: half = t(.975, n - 1) s / sqrt(n), s the standard deviation of a sample. None of no value."""
    if not len(values):
        return None
    count = len(values)
    if count < 2:
        return Estimate(float(values[0]), None, count)
    half = stats.t.ppf((1 + LEVEL) / 2, count - 1) * np.std(values, ddof=1) / math.sqrt(count)
    return Estimate(float(np.mean(values)), float(half), count)


def compare(one: Sequence[float], other: Sequence[float]) -> Comparison | None:
    """One - other, a pair a seed; p by scipy's `ttest_rel`. None of no pair.

    Raises InputError where the two are not equally long.
    """
    if len(one) != len(other):
        raise InputError(f"{len(one)} and {len(other)} figures make no pairs")
    differences = np.subtract(one, other)
    difference = estimate(differences)
    if difference is None or difference.count < 2 or np.abs(differences).max() < NOTHING:
        return difference and Comparison(difference, None)
    if np.ptp(differences) < NOTHING:  # no spread at all: t is infinite, where scipy warns
        return Comparison(difference, 0.0)
    return Comparison(difference, float(stats.ttest_rel(one, other).pvalue))
