import json

import numpy as np
import pytest
from PIL import Image, ImageChops

from groundgraph.data.types import Graph
from groundgraph.report.pictures import PALETTE, draw_graph, draw_grounding, graph_json, triplet_lines

CATEGORIES, PREDICATES = ("man", "horse", "hat"), ("riding", "wearing")


def small_graph() -> Graph:
    """Two men, one of whom rides a horse; the background column is large and must not count."""
    return Graph(
        boxes=np.array([[10, 10, 40, 60], [20, 40, 80, 100], [85, 20, 108, 90]], np.float32),
        labels=np.array([1, 2, 1], np.int64),
        scores=np.array([0.8, 0.9, 0.5], np.float32),
        pairs=np.array([[0, 1], [2, 1], [1, 0]], np.int64),
        predicate_scores=np.array([[0.3, 0.6, 0.1], [0.9, 0.02, 0.08], [0.99, 0.006, 0.004]], np.float32),
    )


def empty_graph(boxes: int = 0) -> Graph:
    return Graph(
        np.tile(np.array([[20, 20, 60, 60]], np.float32), (boxes, 1)),
        np.ones(boxes, np.int64),
        np.linspace(0.9, 0.1, boxes).astype(np.float32),
        np.zeros((0, 2), np.int64),
        np.zeros((0, 3), np.float32),
    )


def test_json_by_hand():
    shown = graph_json(small_graph(), CATEGORIES, PREDICATES, top=2)
    # Objects by score: horse .9, man .8, man .5. Relations: .8 x .6 x .9 = .432; .5 x .08 x .9 = .036 (wearing is the
    # second pair's better predicate); the third, .9 x .006 x .8 = .00432, is not among the top 2.
    assert shown == {
        "objects": [
            {"category": "horse", "score": 0.9, "box": [20.0, 40.0, 80.0, 100.0]},
            {"category": "man", "score": 0.8, "box": [10.0, 10.0, 40.0, 60.0]},
            {"category": "man", "score": 0.5, "box": [85.0, 20.0, 108.0, 90.0]},
        ],
        "relations": [
            {"subject": 1, "predicate": "riding", "object": 0, "score": 0.432},
            {"subject": 2, "predicate": "wearing", "object": 0, "score": 0.036},
        ],
    }
    assert json.loads(json.dumps(shown)) == shown


def test_json_keeps_only_objects_of_the_relations():
    shown = graph_json(small_graph(), CATEGORIES, PREDICATES, top=1)
    assert [item["category"] for item in shown["objects"]] == ["horse", "man"]
    assert len(shown["relations"]) == 1


def test_json_orders_relations_whatever_the_order_of_pairs():
    g = small_graph()
    turned = Graph(g.boxes, g.labels, g.scores, g.pairs[::-1], g.predicate_scores[::-1])
    assert graph_json(turned, CATEGORIES, PREDICATES, 3) == graph_json(g, CATEGORIES, PREDICATES, 3)


def test_json_without_relations_gives_the_best_objects():
    shown = graph_json(empty_graph(5), CATEGORIES, PREDICATES, top=2)
    assert [item["score"] for item in shown["objects"]] == [0.9, 0.7]
    assert shown["relations"] == []
    assert graph_json(empty_graph(), CATEGORIES, PREDICATES) == {"objects": [], "relations": []}


def test_names_that_do_not_reach_are_an_error():
    with pytest.raises(ValueError, match=r"1\.\.1"):
        graph_json(small_graph(), CATEGORIES[:1], PREDICATES)
    with pytest.raises(ValueError, match="2 predicates, but 1"):
        graph_json(small_graph(), CATEGORIES, PREDICATES[:1])


def test_lines_number_twins():
    lines = triplet_lines(small_graph(), CATEGORIES, PREDICATES, top=2)
    assert lines == ["man 1 riding horse (0.43)", "man 2 wearing horse (0.036)"]


def _near(image: Image.Image, x: float, y: float, reach: int = 4) -> np.ndarray:
    pixels = np.asarray(image).astype(int)
    return pixels[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1].reshape(
        -1, 3
    )


def test_boxes_are_drawn_where_they_are():
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    before = grey.tobytes()
    picture = draw_graph(grey, small_graph(), CATEGORIES, PREDICATES)
    assert picture.size == (640, 640) and picture.mode == "RGB" and grey.tobytes() == before
    scale = 640 / 112
    # The bottom right corner of the horse (the first object) has its colour; the picture's lower left corner is bare.
    colour = np.array([int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)])
    assert (np.abs(_near(picture, 80 * scale, 100 * scale) - colour).max(1) < 12).any()
    changed = ImageChops.difference(picture, Image.new("RGB", picture.size, (128, 128, 128))).getbbox()
    assert changed[0] == pytest.approx(10 * scale, abs=4) and changed[3] == pytest.approx(100 * scale, abs=4)
    assert (_near(picture, 30, 620) == 128).all()


def test_the_arrow_is_drawn_with_its_predicate():
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    graph = small_graph()
    with_arrow = draw_graph(grey, graph, CATEGORIES, PREDICATES, top=1)
    other = draw_graph(grey, graph, CATEGORIES, ("on", "wearing"), top=1)
    difference = ImageChops.difference(with_arrow, other).getbbox()
    # Only the word differs, between the two centres (25, 35) and (50, 70), give or take the tag.
    assert difference is not None
    assert 10 * 5.7 < difference[0] < difference[2] < 75 * 5.8 and 25 * 5.7 < difference[1] < difference[3] < 85 * 5.8


def test_empty_graphs_and_sizes():
    grey = Image.new("RGB", (112, 56), (128, 128, 128))
    assert draw_graph(grey, empty_graph(), CATEGORIES, PREDICATES).getcolors() == [(640 * 320, (128, 128, 128))]
    assert len(draw_graph(grey, empty_graph(2), CATEGORIES, PREDICATES).getcolors(100000)) > 1
    assert draw_graph(Image.new("L", (900, 300)), empty_graph(), CATEGORIES, PREDICATES).size == (900, 300)
    assert draw_graph(Image.new("RGB", (2560, 1280)), empty_graph(), CATEGORIES, PREDICATES).size == (1280, 640)


def test_one_pixel_and_outside_boxes_do_not_crash():
    graph = small_graph()
    boxes = np.array([[5, 5, 5, 5], [-40, -40, 500, 500], [200, 200, 300, 300]], np.float32)
    odd = Graph(boxes, graph.labels, graph.scores, np.array([[0, 0], [1, 2], [2, 1]]), graph.predicate_scores)
    assert draw_graph(Image.new("RGB", (50, 400)), odd, CATEGORIES, PREDICATES).size == (80, 640)


def test_grounding_leaves_out_missing_boxes():
    grey = Image.new("RGB", (100, 100), (128, 128, 128))
    empty = draw_grounding(grey, [None], ["man"], [PALETTE[0]])
    assert empty.size == (480, 480) and len(empty.getcolors()) == 1
    drawn = draw_grounding(grey, [None, (50, 50, 90, 90)], ["man", "a rather long name"], ["red", "#00ff00"])
    assert (np.abs(_near(drawn, 90 * 4.8, 90 * 4.8) - (0, 255, 0)).max(1) < 12).any()
    assert not (np.asarray(drawn) == (255, 0, 0)).all(2).any()
    with pytest.raises(ValueError, match="1 boxes have 2 names"):
        draw_grounding(grey, [None], ["a", "b"], ["red"])
