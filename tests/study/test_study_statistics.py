"""Intervals and paired tests, against closed forms of the t distribution."""

import math

import pytest

from groundgraph.study.statistics import compare, estimate


def t_quantile(a):
    """With two degrees of freedom the t distribution inverts by hand."""
    return (2 * a - 1) / math.sqrt(2 * a * (1 - a))


def test_mean_and_interval():
    mean, half, count = estimate([1.0, 2.0, 3.0])
    assert (mean, count) == (2.0, 3)
    assert half == pytest.approx(t_quantile(0.975) * 1.0 / math.sqrt(3))  # about 2.484
    # One degree of freedom: Cauchy, whose quantile is a tangent. s = sqrt(2) of 1 and 3.
    assert estimate([1.0, 3.0]).half == pytest.approx(math.tan(math.pi * 0.475) * math.sqrt(2) / math.sqrt(2))
    assert estimate([5.0]) == (5.0, None, 1) and estimate([]) is None


def test_paired_t():
    found = compare([11.0, 22.0, 33.0], [10.0, 20.0, 30.0])  # differences 1, 2, 3
    t = 2.0 / (1.0 / math.sqrt(3))
    assert found.difference.mean == 2.0
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))  # two-sided, two degrees of freedom
    back = compare([10.0, 20.0, 30.0], [11.0, 22.0, 33.0])
    assert back.difference.mean == -2.0 and back.p == pytest.approx(found.p)


def test_what_cannot_be_tested():
    assert compare([1.0], [0.5]).p is None and compare([], []) is None
    same = compare([1.0, 2.0], [1.0, 2.0])
    assert same.difference.mean == 0 and same.p is None
    assert compare([2.0, 3.0, 4.0], [1.0, 2.0, 3.0]).p == 0.0  # no spread
    with pytest.raises(ValueError, match="no pairs"):
        compare([1.0], [1.0, 2.0])
