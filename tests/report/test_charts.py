import pytest

from groundgraph.report.charts import PredicateRecall, chart_record, predicate_record, reliability_records


def test_curves_by_hand():
    record = chart_record("loss", {"train": [4.0, 2.0, float("nan"), 0.123456], "one": [1.0], "none": [None]})
    train, one, none = record["lines"]
    # The third of four values is no number; the others keep their places between 0 and 100 per cent.
    assert train["points"] == [[0, 4], [33.3, 2], [100, 0.1235]] and train["ends"] == ("4", "0.123")
    assert train["values"] == 4 and one["points"] == [[50, 1]]
    assert none == {"label": "none", "points": [], "ends": None, "values": 1}


def test_a_long_curve_is_averaged():
    points = chart_record("loss", {"train": [1.0] * 599 + [3.0]})["lines"][0]["points"]
    assert len(points) == 300 and points[-1] == [100, 2] and points[0] == [0, 1]


def test_predicates_by_hand():
    figures = PredicateRecall(["on", "in"], [9, 2], {"two-teachers": [0.5, None], "x": [0.12345, 0]}, k=20)
    record = predicate_record(figures, {"two-teachers": "This method"})
    assert record["methods"] == [
        {"name": "This method", "values": [50.0, None]},
        {"name": "x", "values": [12.3, 0.0]},
    ]
    assert record["k"] == 20 and record["counts"] == [9, 2]
    with pytest.raises(ValueError, match="2 predicates have 1 values of two-teachers"):
        predicate_record(PredicateRecall(["on", "in"], [9, 2], {"two-teachers": [0.5]}), {})


def test_reliability_by_hand():
    figures = {"ECE": 0.0125, "ECE uncalibrated": 0.071, "min_score": 0.0538, "an image": 4.96}
    rows = {"pairs": {"calibration": figures | {"bins": [[100, 0.05, 0.04], [25, 0.9, 1.0]]}}, "sgnls": {}}
    (record,) = reliability_records(rows, {"pairs": "Pairs of regions"})
    assert record["name"] == "Pairs of regions" and record["points"] == [[5, 4, 4], [90, 100, 2.5]]
    assert record["figures"].startswith("expected calibration error 1.2 per cent (7.1 before); 5.0 relations an image")
    assert record["figures"].endswith("from 0.054")
