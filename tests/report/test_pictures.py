import json
import re

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageChops

from groundgraph.data.types import Graph
from groundgraph.report.pictures import PALETTE, graph_json, ink, save_graph

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


@pytest.fixture
def drawn(tmp_path):
    def draw(image, graph, predicates=PREDICATES, name="g.png", **options):
        save_graph(tmp_path / name, image, graph, CATEGORIES, predicates, **options)
        return Image.open(tmp_path / name).convert("RGB") if name.endswith("png") else (tmp_path / name).read_bytes()

    return draw


def _near(image: Image.Image, x: float, y: float, reach: int = 4) -> np.ndarray:
    pixels = np.asarray(image).astype(int)
    return pixels[max(0, int(y) - reach) : int(y) + reach + 1, max(0, int(x) - reach) : int(x) + reach + 1].reshape(
        -1, 3
    )


def test_boxes_are_drawn_where_they_are(drawn):
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    before = grey.tobytes()
    picture = drawn(grey, small_graph())
    assert picture.size == (1280, 1280) and grey.tobytes() == before  # 640 pixels at 200 dots an inch
    scale = 1280 / 112
    # The bottom right corner of the horse (the first object) has its colour; the picture's lower left corner is bare.
    colour = np.array([int(PALETTE[0][i : i + 2], 16) for i in (1, 3, 5)])
    assert (np.abs(_near(picture, 80 * scale, 100 * scale) - colour).max(1) < 12).any()
    changed = ImageChops.difference(picture, Image.new("RGB", picture.size, (128, 128, 128))).getbbox()
    assert changed[0] == pytest.approx(10 * scale, abs=8) and changed[3] == pytest.approx(100 * scale, abs=8)
    assert (_near(picture, 60, 1240) == 128).all()


def test_the_arrow_is_drawn_with_its_predicate(drawn):
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    with_arrow = drawn(grey, small_graph(), top=1)
    other = drawn(grey, small_graph(), ("on", "wearing"), top=1)
    difference = ImageChops.difference(with_arrow, other).getbbox()
    # Only the word differs, between the two centres (25, 35) and (50, 70), give or take the tag.
    assert difference is not None
    assert 10 * 11.4 < difference[0] < difference[2] < 75 * 11.5 and 25 * 11.4 < difference[1] < difference[3] < 980


def test_vectors_hold_lines_as_lines_and_words_as_text(drawn):
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    svg = drawn(grey, small_graph(), name="g.svg", top=2).decode()
    words = re.findall(r">([^<>]+)</text>", svg)
    assert words == ["horse", "man 1", "man 2", "riding", "wearing"]
    assert svg.count("<image") == 1 and PALETTE[0] in svg and svg.count("<path") > 10
    pdf = drawn(grey, small_graph(), name="g.pdf")
    assert pdf.startswith(b"%PDF") and b"/CIDFontType2" in pdf and b"/Type3" not in pdf  # a font, not drawn shapes
    with pytest.raises(ValueError, match="png, svg, pdf"):
        drawn(grey, small_graph(), name="g.gif")


def test_the_same_graph_gives_the_same_file_whatever_the_user_s_settings(drawn):
    grey = Image.new("RGB", (60, 60), (128, 128, 128))
    first = [drawn(grey, small_graph(), name=f"g.{kind}") for kind in ("svg", "pdf")]
    with matplotlib.rc_context({"svg.fonttype": "path", "lines.linewidth": 9, "font.size": 30, "pdf.fonttype": 3}):
        again = [drawn(grey, small_graph(), name=f"g.{kind}") for kind in ("svg", "pdf")]
    assert first == again


def test_names_are_text_whatever_is_in_them(drawn):
    grey = Image.new("RGB", (112, 112), (128, 128, 128))
    svg = drawn(grey, small_graph(), ("$x$ <b>&", "wearing"), name="g.svg", top=1).decode()
    assert "$x$ &lt;b&gt;&amp;" in svg and "<b>" not in svg


def test_empty_graphs_and_sizes(drawn):
    grey = Image.new("RGB", (112, 56), (128, 128, 128))
    assert drawn(grey, empty_graph()).getcolors() == [(1280 * 640, (128, 128, 128))]
    assert len(drawn(grey, empty_graph(2)).getcolors(100000)) > 1
    assert drawn(Image.new("L", (900, 300)), empty_graph()).size == (1800, 600)
    assert drawn(Image.new("RGB", (2560, 1280)), empty_graph()).size == (2560, 1280)


def test_one_pixel_and_outside_boxes_do_not_crash(drawn):
    graph = small_graph()
    boxes = np.array([[5, 5, 5, 5], [-40, -40, 500, 500], [200, 200, 300, 300]], np.float32)
    odd = Graph(boxes, graph.labels, graph.scores, np.array([[0, 0], [1, 2], [2, 1]]), graph.predicate_scores)
    assert drawn(Image.new("RGB", (50, 400)), odd).size == (160, 1280)


def test_letters_read_on_every_colour():
    def luminance(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    for colour in PALETTE:
        pair = sorted([luminance(colour), luminance({"white": "#ffffff"}.get(ink(colour), ink(colour)))])
        assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5  # WCAG 2, level AA
