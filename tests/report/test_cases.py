import base64
import io

import numpy as np
import pytest
from PIL import Image

from groundgraph.report.cases import Case, Teaching, case_record, fractions, heat, pieces


def opened(address: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(address.split(",")[1])))


def case(**changes) -> Case:
    parts = {
        "image": Image.new("RGB", (100, 50), (10, 200, 30)),
        "caption": "a man rides a horse",
        "spans": [(2, 5), (14, 19)],
        "answers": {"mil": [(10, 10, 60, 20), None]},
        "correct": {"mil": [True, False]},
        "triplets": [(0, "ride", 1)],
        "regions": np.array([[0, 0, 50, 50], [50, 25, 100, 50], [0, 0, 100, 50]], np.float32),
        "labels": ["man", "horse", "unnamed"],
    }
    return Case(**{**parts, **changes})


def test_a_record_by_hand():
    teaching = Teaching(
        object=np.array([[1, 0, 0], [0, 0, 0]], np.float32),
        interaction=np.array([[0.2, 0.796, 0.004], [0.3, 0.3, 0.4]], np.float32),
        maps=np.array([[[0, 4], [2, 0]], [[0, 0], [0, 0]]], np.float32),
        weights=np.array([[0.75, 0.25], [0, 1]]),
    )
    record = case_record(case(teaching=teaching))
    assert record["words"] == ["man", "horse"] and record["triplets"] == [[0, "ride", 1]]
    assert record["pieces"] == [("a ", None), ("man", 0), (" rides a ", None), ("horse", 1)]
    assert record["answers"] == {"mil": [[0.1, 0.2, 0.5, 0.2], None]} and record["good"] is None
    assert record["regions"][1] == [0.5, 0.5, 0.5, 0.5] and record["labels"][1] == "horse"
    assert record["targets"]["object"] == [[[0, 1.0]], []]  # the teacher is silent about the horse
    # Largest first; 0.004 is too little to show; ties keep the regions' order.
    assert record["targets"]["interaction"] == [[[1, 0.796], [0, 0.2]], [[2, 0.4], [0, 0.3], [1, 0.3]]]
    assert record["targets"]["fused"] is None and record["weights"] == [[0.75, 0.25], [0, 1]]
    alpha = np.asarray(opened(record["maps"][0]))[..., 3]
    assert alpha.shape == (2, 2) and alpha[0, 1] == int(0.85 * 255) and alpha[0, 0] == 0 and 0 < alpha[1, 0] < 200
    assert not np.asarray(opened(record["maps"][1]))[..., 3].any()


def test_photos_are_embedded_smaller_and_boxes_stay_shares():
    record = case_record(case(image=Image.new("RGB", (2000, 1000)), answers={"mil": [(500, 500, 1000, 1000)] * 2}))
    assert opened(record["image"]).size == (640, 320) and record["size"] == [2000, 1000]
    assert record["answers"]["mil"][0] == [0.25, 0.5, 0.25, 0.5]


def test_boxes_beyond_the_picture_and_turned_ones():
    assert fractions((-5, 40, 50, 10), (100, 50)) == [0, 0.2, 0.5, 0.6]
    assert fractions((90, 0, 900, 500), (100, 50)) == [0.9, 0, 0.1, 1]
    assert fractions(None, (100, 50)) is None


def test_overlapping_and_empty_spans_keep_the_caption_whole():
    found = pieces("a man rides a horse", [(2, 12), (8, 19), (0, 0)])
    assert "".join(text for text, _ in found) == "a man rides a horse" and [i for _, i in found] == [None, 0, None]
    assert pieces("", []) == []


def test_a_map_without_a_cell_is_a_picture_still():
    assert opened(heat(np.zeros((1, 1), np.float32))).size == (1, 1)


def test_lists_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="mil has 3 verdicts for 2 entities"):
        case_record(case(correct={"mil": [True] * 3}))
    with pytest.raises(ValueError, match=r"the fused target is \(2, 2\) for 2 entities and 3 regions"):
        case_record(case(teaching=Teaching(fused=np.zeros((2, 2)))))
