"""The report in a real browser: 200 cases and 200 graphs, by mouse, by keyboard, in the dark, without scripts.

Needs Chromium (Debian's package `chromium`) and playwright; skipped where either is absent.
"""

import re

import numpy as np
import pytest
from chromium import needs_chromium
from PIL import Image

from groundgraph.report.cases import Case, Teaching
from groundgraph.report.charts import PredicateRecall
from groundgraph.report.html import GraphPicture, ReportData, write_report

pytestmark = needs_chromium
EXAMPLES = 200
EVIL = '<img src=x onerror="document.title=1"></script>'
# Whether an element is lit once the frame after the pointer's arrival has been painted.
LIT = """(element) => { window.lit = new Promise((done) => {
  element.addEventListener("pointerenter", () => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = () => done(element.ariaPressed === "true");
    channel.port2.postMessage(0);
  }), { once: true });
}); }"""


def small_case(i: int, rng: np.random.Generator) -> Case:
    corners = rng.uniform(0, 60, (36, 2))
    regions = np.hstack([corners, corners + rng.uniform(10, 50, (36, 2))]).astype(np.float32)
    targets = rng.dirichlet(np.ones(36), (3, 2)).astype(np.float32)
    targets[0, 1] = 0  # the object-aware teacher is silent about the horse
    return Case(
        Image.fromarray(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8)),
        f"a man rides a horse {i}" if i else f"a man rides a horse {EVIL}",
        [(2, 5), (14, 19)],
        {"truth": regions[:2].tolist(), "two-teachers": regions[2:4].tolist(), "mil": [None, regions[5].tolist()]},
        {"two-teachers": [True, i % 2 == 0], "mil": [False, True]},
        [(0, "ride", 1)],
        i % 2 == 0,
        regions,
        ["man"] * 36,
        Teaching(targets[0], targets[1], rng.uniform(size=(2, 7, 7)), targets[2], np.array([[0.75, 0.25], [0, 1]])),
    )


def small_graph(i: int, rng: np.random.Generator) -> GraphPicture:
    image = Image.fromarray(rng.integers(0, 255, (112, 112, 3), dtype=np.uint8))
    names, boxes = ("man", "hat", "horse", "tree", "man"), rng.uniform(0, 112, (5, 4)).tolist()
    objects = [{"category": n, "score": 0.5, "box": box} for n, box in zip(names, boxes, strict=True)]
    pairs = ((0, 1), (0, 2), (4, 2), (2, 3))
    relations = [{"subject": s, "predicate": "near", "object": o, "score": 0.25} for s, o in pairs]
    return GraphPicture(image, f"picture {i}", {"objects": objects, "relations": relations})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path, rng = tmp_path_factory.mktemp("report") / "report.html", np.random.default_rng(0)
    data = ReportData(
        "A run",
        {"methods": {"two-teachers": {"grounding": {"all": 0.5}}}},
        methods={"two-teachers": "This method"},
        cases=[small_case(i, rng) for i in range(EXAMPLES)],
        graphs=[small_graph(i, rng) for i in range(EXAMPLES)],
        curves={"grounding": {"loss": [3.0, 2.0, 1.0]}},
        predicates=PredicateRecall(["on", "in"], [9, 2], {"two-teachers": [0.5, None]}),
        cases_note=EVIL,
    )
    write_report(path, data)
    return path


@pytest.fixture
def opened(browser, report):
    """Opens the report; complaints and requests that are not of the file itself are collected, and must be none."""
    heard, pages, url = [], [], report.as_uri()

    def listen(message):
        if message.type in ("error", "warning"):
            heard.append(message.text)

    def open_(url=url, **options):
        context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        page = context.new_page()
        pages.append(context)
        page.on("console", listen)
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith(("data:", url)) else heard.append(r.url))
        page.goto(url)
        return page

    yield open_
    for context in pages:
        context.close()
    assert heard == []


def lit(page, element) -> bool:
    """Whether an element lights up in the frame after the pointer's arrival on it."""
    element.scroll_into_view_if_needed()
    page.mouse.move(1, 1)
    element.evaluate(LIT)
    element.hover()
    return page.evaluate("window.lit")


def until(page, condition: str) -> None:
    """Wait; the page's policy forbids what playwright's own waiting does (eval)."""
    for _ in range(1500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(condition)


def test_a_word_pointed_at_shows_in_the_next_frame_what_everybody_takes_it_to_mean(opened):
    page = opened()
    words = page.locator("#cases .caption .entity")
    assert all(lit(page, words.nth(k % 2)) for k in range(4))
    words.nth(1).hover()
    panels = page.locator("#cases .panels figure")
    titles = panels.locator("h4").all_inner_texts()
    assert titles[:5] == [
        "True boxes", "Object-aware teacher", "Grad-CAM map", "Interaction-aware teacher", "Both, fused",
    ]  # fmt: skip
    assert "Silent" in panels.nth(1).inner_text() and panels.nth(1).locator(".box").count() == 0
    assert panels.nth(2).locator("img.map").count() == 1
    assert "object-aware 0.00, interaction-aware 1.00" in panels.nth(4).inner_text()
    assert "right" in panels.nth(5).inner_text()
    words.nth(0).hover()
    assert panels.nth(1).locator(".box").count() == 4 and "0.75" in panels.nth(4).inner_text()
    panels.nth(5).locator("select").select_option("mil")
    assert "wrong no box" in panels.nth(5).inner_text()


def test_the_other_cases_by_filter_and_keyboard(opened):
    page = opened()
    caption = page.locator("#cases .caption")
    assert EVIL in caption.inner_text() and page.title() == "A run"  # text, not markup
    page.get_by_label("Which of the captions").select_option("With a mistake")
    assert caption.inner_text() == "a man rides a horse 1"
    page.get_by_label("Which of the captions").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("ArrowDown")
    assert caption.inner_text() == "a man rides a horse 3"  # 2 is right, and filtered out
    page.keyboard.press("Tab")
    focused = page.locator("#cases .entity:focus")
    assert focused.inner_text() == "man" and focused.get_attribute("aria-pressed") == "true"
    page.keyboard.press("Tab")
    said = page.locator("#cases [aria-live]").inner_text()
    assert said.startswith("horse: the object-aware teacher is silent; the interaction-aware teacher put man 0.")
    assert said.endswith("This method is wrong.")
    assert page.locator("#cases .entity:focus").evaluate("e => getComputedStyle(e).outlineStyle") == "solid"


def test_a_graph_lights_up_beside_its_picture_in_the_next_frame(opened):
    page = opened()
    lines = page.locator("#graphs .lists ol .line")
    assert all(lit(page, lines.nth(k % 4)) for k in range(8))
    lines.nth(1).hover()
    assert lines.nth(1).inner_text() == "man 1 near horse 0.25"
    dim = page.locator("#graphs .box").evaluate_all("boxes => boxes.map((b) => b.classList.contains('dim'))")
    assert dim == [False, True, False, True, True]
    assert page.locator("#graphs .arrows line").count() == 2  # its line and that line's white edge
    network = page.locator("#graphs .net")
    faint = "n => n._cyreg.cy.nodes().map((node) => node.hasClass('faint'))"
    assert network.evaluate(faint) == [False, True, False, True, True]
    # The other way round: the horse's node lights up its three relations in the list.
    place = network.evaluate("n => n._cyreg.cy.getElementById('n2').renderedPosition()")
    corner = network.bounding_box()
    page.mouse.move(corner["x"] + place["x"], corner["y"] + place["y"])
    until(page, "document.querySelectorAll('#graphs ol .line[aria-pressed=true]').length === 3")
    page.mouse.move(1, 1)
    until(page, "document.querySelector('#graphs .net')._cyreg.cy.nodes('.faint').length === 0")


def test_graphs_by_keyboard_and_as_a_screen_reader_hears_them(opened):
    page = opened()
    page.locator("#graphs input").first.focus()
    page.keyboard.press("ArrowDown")
    assert page.locator("#graphs .caption").inner_text() == "picture 1"
    page.keyboard.press("Tab")
    heard = page.locator("#graphs .stage").aria_snapshot()
    assert 'img "Graph: man 1 near hat; man 1 near horse; man 2 near horse; horse near tree"' in heard
    assert 'button "man 1 near hat 0.25" [pressed]' in heard and 'button "man 1 near horse 0.25"' in heard
    heard = page.locator("#cases").aria_snapshot()
    assert 'radiogroup "Captions"' in heard and 'radio "✓ right a man rides a horse 2"' in heard
    assert re.search(r'table "Does the method.*"', heard) and 'combobox "Whose answer"' in heard
    unnamed = "button, input, select, canvas, img:not([alt])"
    for element in page.locator("main").locator(unnamed).all()[:40]:
        name = element.evaluate("e => e.ariaLabel || e.textContent || e.labels?.[0]?.textContent || ''")
        assert name.strip(), element.evaluate("e => e.outerHTML")


def test_dark_and_light_and_a_narrow_window(opened):
    page = opened(color_scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    colour = "Chart.getChart(document.querySelector('canvas.curve')).options.color"
    dark = [page.evaluate(paper), page.evaluate(colour)]
    page.emulate_media(color_scheme="light")
    until(page, f"{colour} !== '{dark[1]}'")  # the change is told to scripts a little later
    light = [page.evaluate(paper), page.evaluate(colour)]
    assert dark == ["rgb(20, 23, 26)", "#a2abb4"] and light == ["rgb(246, 246, 243)", "#5b6570"]
    drawn = "c => new Set(new Uint32Array(c.getContext('2d').getImageData(0, 0, c.width, c.height).data.buffer)).size"
    for canvas in page.locator("canvas.curve, canvas#predicates").all():
        assert canvas.evaluate(drawn) > 5  # something is on it
    page.set_viewport_size({"width": 360, "height": 800})
    until(page, "document.documentElement.scrollWidth <= 360")


def test_nothing_found_and_nothing_known(opened, tmp_path):
    image = Image.new("RGB", (30, 20))
    bare = Case(image, "a dog", [(2, 5)], {"two-teachers": [None]})
    empty = GraphPicture(image, "nothing", {"objects": [], "relations": []})
    data = ReportData(
        "A run",
        {},
        {"two-teachers": "This method"},
        cases=[bare, Case(image, "", [], {})],
        graphs=[empty],
        curves={"loss": {"a": []}},
    )
    write_report(tmp_path / "r.html", data)
    page = opened((tmp_path / "r.html").as_uri())
    assert page.locator("#cases .panels h4").all_inner_texts() == ["This method"]
    assert page.locator("#cases figcaption").inner_text() == "no box"
    page.locator("#cases label").nth(1).click()
    assert page.locator("#cases .panels figure").count() == 0
    assert "No relation was predicted." in page.locator("#graphs").inner_text()


def test_without_scripts_the_figures_are_there(opened):
    page = opened(java_script_enabled=False)
    assert "they are off here" in page.locator("noscript").inner_text()
    assert page.locator("#headline").is_visible() and page.locator("#predicate-table").count() == 1
