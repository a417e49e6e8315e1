"""Comparing what two runs wrote: the same but for the last digits, which depend on where in memory the sums lie."""

import json

import pytest


def values(content, place=""):
    """Each value within nested JSON by its place."""
    if not isinstance(content, dict | list):
        return {place: content}
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    return {p: v for key, part in parts for p, v in values(part, f"{place}/{key}").items()}


def number(value):
    """Whether something read from JSON is a number with decimals, so can differ in the last."""
    return isinstance(value, float)


def assert_same_json(path, other):
    """Two JSON files have the same keys, and values equal to single precision."""
    ours, theirs = values(json.loads(path.read_text())), values(json.loads(other.read_text()))
    assert {p: v for p, v in ours.items() if not number(v)} == {p: v for p, v in theirs.items() if not number(v)}
    assert {p: v for p, v in ours.items() if number(v)} == pytest.approx(
        {p: v for p, v in theirs.items() if number(v)}, rel=1e-5, nan_ok=True
    )
