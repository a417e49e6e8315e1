"""One form of ids and file names."""

import numpy as np
import pytest

from groundgraph.data.ids import id_text, name_text, whole_number


@pytest.mark.parametrize(
    "value", [7, 7.0, "7", " 7 ", "7.0", "007", b"7", np.int64(7), np.float32(7), np.bytes_(b"07")]
)
def test_one_id(value):
    assert id_text(value) == "7" and whole_number(value) == 7


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), ("0000", "0"), (-3, "-3"), ("-03.0", "-3"), (1.5, "1.5"), ("a/1.jpg", "a/1.jpg"), ("٣", "٣"),
     (float("nan"), None), (float("inf"), None), (True, None), (None, None), ("", None), ([1], None), ({}, None)],
)  # fmt: skip
def test_other_ids(value, text):
    assert id_text(value) == text


def test_ids_too_large_for_floats_are_not_mixed_up():
    assert id_text(2**53 + 1) == str(2**53 + 1) != id_text(float(2**53))
    assert whole_number("9" * 40) is None and whole_number("a1") is None and whole_number(1.5) is None
    assert id_text(10**5000) is None


def test_one_name():
    assert {name_text(n) for n in ("a/1.jpg", "./a/1.JPG", "a\\1.Jpg", "a//1.jpg")} == {"a/1.jpg"}
    assert name_text("a/b") == "a/b" and name_text("A.jpg") != name_text("a.jpg")
