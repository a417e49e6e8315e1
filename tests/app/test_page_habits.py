"""What visitors do that nobody meant them to, in a real browser."""

import time

import pytest
from visiting import IN_A_BROWSER, PATIENCE, caption_shown, result, serving

pytestmark = IN_A_BROWSER

# Texts on the page that have less than 4.5 times their ground's brightness, or the reverse (WCAG 2, AA).
FAINT = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [[r, g, b], a / 255];
  };
  const over = ([colour, a], ground) => colour.map((v, i) => a * v + (1 - a) * ground[i]);
  const ground = (e) => {
    const behind = e.parentElement ? ground(e.parentElement) : [255, 255, 255];
    return over(rgba(getComputedStyle(e).backgroundColor), behind);
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (e, colour) => {
    const [low, high] = [over(rgba(colour), ground(e)), ground(e)].map(light).sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const texts = [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.closest("svg"));
  const own = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim());
  const faint = texts.filter((e) => own(e) && ratio(e, getComputedStyle(e).color) < 4.5).map((e) => e.outerHTML);
  const hints = texts.filter((e) => e.placeholder && ratio(e, getComputedStyle(e, "::placeholder").color) < 4.5);
  return faint.concat(hints.map((e) => e.placeholder));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(opened, scheme):
    page = opened(color_scheme=scheme)
    page.get_by_role("button", name="Vocabulary").click()
    page.get_by_label("Things").wait_for()
    assert page.evaluate(FAINT) == []
    page.get_by_label("Things").fill("spaceship")
    page.get_by_label("Things").press("Enter")
    page.locator("#result [role=alert]").wait_for()
    assert page.evaluate(FAINT) == []


def test_the_picture_that_the_page_came_with_is_removed(opened):
    page = opened()
    page.get_by_label("Remove Image").click()
    page.get_by_text("Drop a photo and write").wait_for()


def test_a_least_score_that_is_none(opened):
    """A number too large is the largest; one that was deleted is none at all."""
    page = opened()
    number = page.get_by_role("spinbutton")
    number.fill("7")
    result(page).get_by_text("No relation was predicted.").wait_for()
    number.fill("")
    result(page).locator("#graphs ol .line").first.wait_for()
    assert page.locator(".toast-body").count() == 0


def test_a_button_that_is_pressed_twice(opened):
    page = opened()
    page.get_by_label("Caption").fill("a man walks a dog")
    page.get_by_role("button", name="Find").dblclick()
    caption_shown(page, "a man walks a dog")
    for kind in ("JSON", "SVG"):
        page.locator("button:enabled", has_text=f"Download {kind}").wait_for()


def test_back_and_forward_and_loaded_anew(opened):
    page = opened()
    page.goto("about:blank")
    page.go_back()
    caption_shown(page, "the gray dog")
    page.reload()
    caption_shown(page, "the gray dog")
    page.get_by_label("Caption").fill("a dog and two men")
    page.get_by_label("Caption").press("Enter")
    caption_shown(page, "a dog and two men")


def test_a_phone_held_sideways(opened):
    page = opened(640, 360, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 640
    assert result(page).locator("html").evaluate("e => e.scrollWidth <= innerWidth")


# As `groundgraph app`, but that writing a download takes longer, and is said.
SLOW = """
from groundgraph.app import serving
own_load = serving.load
def load(*arguments):
    import time
    from groundgraph.app import page
    own = page._write
    def write(*arguments):
        own(*arguments)
        print("writing", flush=True)
        time.sleep(1)
    page._write = write
    return own_load(*arguments)
serving.load = load
serving.serve()
"""


def test_a_server_that_is_stopped_while_it_writes_leaves_nothing(browser, tmp_path):
    """What `serving` looks at when it ends: no folder is left, and nothing failed."""
    with serving(tmp_path, "-c", SLOW) as (address, _):
        page = browser.new_page()
        page.goto(address)
        for _ in range(10 * PATIENCE // 1000):
            if "writing" in (tmp_path / "log").read_text():
                break
            time.sleep(0.1)
        assert "writing" in (tmp_path / "log").read_text()
    page.close()
