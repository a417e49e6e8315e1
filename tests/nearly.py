"""Comparing what two runs computed: the same but for the last digits, which depend on where in memory the sums lie."""

import json

import pytest
import torch


def values(content, place=""):
    """Each value within nested dictionaries, lists and tuples by its place."""
    if not isinstance(content, dict | list | tuple):
        return {place: content}
    parts = content.items() if isinstance(content, dict) else enumerate(content)
    return {p: v for key, part in parts for p, v in values(part, f"{place}/{key}").items()}


def number(value):
    """Whether something is a number with decimals, so can differ in the last."""
    return isinstance(value, float)


def assert_same_values(one, other, relative=1e-4, absolute=1e-6):
    """Nested dictionaries and lists, such as curves of a training, have the same keys and nearly the same values."""
    ours, theirs = values(one), values(other)
    assert {p: v for p, v in ours.items() if not number(v)} == {p: v for p, v in theirs.items() if not number(v)}
    assert {p: v for p, v in ours.items() if number(v)} == pytest.approx(
        {p: v for p, v in theirs.items() if number(v)}, rel=relative, abs=absolute, nan_ok=True
    )


def assert_same_json(path, other):
    """Two JSON files have the same keys, and values equal to single precision."""
    assert_same_values(json.loads(path.read_text()), json.loads(other.read_text()), 1e-5, 1e-12)


def assert_same_weights(one, other):
    """Two state dicts have the same names and nearly the same weights."""
    torch.testing.assert_close(dict(one), dict(other), rtol=1e-4, atol=1e-5)
