"""What a visitor does on the page of `groundgraph app`, in a real browser."""

import json
import re
import time
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image
from visiting import IN_A_BROWSER, ask, caption_shown, downloaded, result, serving, upload

pytestmark = IN_A_BROWSER
EVIL = '<img src=x onerror="top.document.title=1"> ${document.title=2} {{value}} </script><b>'


def test_a_word_pointed_at_shows_its_box_and_the_teachers(opened):
    page = opened()
    assert "grounded by “pairs”" in page.locator("#head").inner_text()
    assert "knows drawn scenes" in page.locator("#head").inner_text()
    frame = result(page)
    panels = frame.locator("#cases .panels figure")
    assert panels.locator("h4").all_inner_texts() == [
        "Object-aware teacher", "Grad-CAM map", "Interaction-aware teacher", "The word's box",
    ]  # fmt: skip
    frame.locator("#cases .caption .entity", has_text="man").hover()
    assert panels.nth(3).locator(".box:not(.dim) b").inner_text() == "man"
    assert panels.nth(1).locator("img.map").count() == 1 and "man" in panels.nth(0).inner_text()
    frame.locator("#graphs ol .line").first.hover()
    assert frame.locator("#graphs .arrows line").count() == 2
    assert page.locator("#result iframe").get_attribute("sandbox") == "allow-scripts"


def test_a_photo_is_dropped_captioned_and_downloaded(opened, photo):
    page = opened()
    path, caption = photo
    upload(page, path)
    ask(page, caption)
    caption_shown(page, caption)
    words = result(page).locator("#cases .caption .entity").all_inner_texts()
    assert words[0] == "woman" and words[-1] == "horse"
    json_name, record = downloaded(page, "JSON")
    svg_name, drawing = downloaded(page, "SVG")
    assert (json_name, svg_name) == ("my horse.json", "my horse.svg")
    record = json.loads(record)
    assert record["caption"]["caption"] == caption
    assert {o["category"] for o in record["graph"]["objects"]} >= {"woman", "horse"}
    assert max(max(entity["box"]) for entity in record["caption"]["entities"]) > 112  # pixels of the upload
    assert b"riding" in drawing and ElementTree.fromstring(drawing).tag.endswith("svg")


def test_more_relations_and_fewer_by_keyboard(opened):
    page = opened()
    lines = result(page).locator("#graphs ol .line")
    before = lines.count()
    slider = page.get_by_role("slider")
    slider.focus()
    slider.press("End")
    result(page).get_by_text("No relation was predicted.").wait_for()
    slider.press("Home")
    result(page).locator("#graphs ol .line").first.wait_for()
    assert lines.count() >= before


def test_everything_is_reached_by_keyboard_alone(opened):
    page = opened()
    # One look at both: the focus may enter the frame between two.
    focused = "(e => [e.tagName, e.title || e.ariaLabel || e.innerText || ''])(document.activeElement)"
    names, tag = [], ""
    while tag != "IFRAME" and len(names) < 30:
        page.keyboard.press("Tab")
        tag, name = page.evaluate(focused)
        names.append(name.strip())
    assert {"Upload file", "Find", "there is a man riding a horse", "What was found"} <= set(names)
    word = result(page).locator("#cases .entity:focus")
    word.wait_for()
    assert word.get_attribute("aria-pressed") == "true"
    # A sample is taken by the keyboard too, and so is the caption asked for.
    page.get_by_role("button", name="there is a man riding a horse").focus()
    page.keyboard.press("Enter")
    caption_shown(page, "there is a man riding a horse")
    page.get_by_label("Caption").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("a horse under a man")
    page.keyboard.press("Enter")
    caption_shown(page, "a horse under a man")


def test_names_limit_the_graph_and_unknown_ones_are_told(opened):
    page = opened()
    page.get_by_role("button", name="Vocabulary").click()
    page.get_by_label("Things").fill("Man, DOG")
    page.get_by_label("Relations").fill("walking")
    page.get_by_label("Relations").press("Enter")
    result(page).locator("#graphs ol .line").nth(2).wait_for(state="detached")
    lines = result(page).locator("#graphs ol .line").all_inner_texts()
    assert lines and all(re.fullmatch(r"man \d walking dog [\d.]+", line) for line in lines)
    page.get_by_label("Things").fill("spaceship")
    page.get_by_label("Things").press("Enter")
    alert = page.locator("#result [role=alert]")
    alert.wait_for()
    assert "no thing called “spaceship”" in alert.inner_text() and "horse" in alert.inner_text()


def test_a_phone(opened):
    page = opened(390, 844, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    ask(page, "a dog and two men")
    caption_shown(page, "a dog and two men")
    page.wait_for_function("document.getElementById('result').getBoundingClientRect().top < 100")
    frame = result(page)
    assert frame.locator("html").evaluate("e => e.scrollWidth <= innerWidth")
    assert frame.locator("#cases .panels figure").first.evaluate("e => e.clientWidth") > 120  # two in a row
    frame.locator("#cases .caption .entity", has_text="men").tap()
    assert frame.locator("#cases .panels figure").nth(3).locator(".box:not(.dim) b").inner_text() == "men"


def test_two_visitors_at_once_see_each_their_own(opened, photo):
    first, second = opened(), opened()
    upload(first, photo[0])
    ask(first, photo[1])
    ask(second, "a man who walks")
    caption_shown(first, photo[1])
    caption_shown(second, "a man who walks")
    assert json.loads(downloaded(second, "JSON")[1])["caption"]["caption"] == "a man who walks"
    name, record = downloaded(first, "JSON")
    assert name == "my horse.json" and json.loads(record)["caption"]["caption"] == photo[1]


def test_a_photo_of_50_megapixels_is_refused_kindly(opened, tmp_path):
    Image.new("L", (8200, 6100)).save(tmp_path / "large.png", compress_level=1)
    page = opened()
    upload(page, tmp_path / "large.png")
    alert = page.locator("#result [role=alert]")
    alert.wait_for()
    assert "8,200 × 6,100 is 50 megapixels, and up to 40" in alert.inner_text()
    (tmp_path / "no.png").write_bytes(b"no image")
    page.get_by_label("Remove Image").click()
    page.get_by_text("Drop a photo and write").wait_for()
    upload(page, tmp_path / "no.png")
    page.get_by_text("no photo that can be read").wait_for()


def test_a_caption_is_text_and_never_markup(opened):
    page = opened()
    ask(page, f"a man {EVIL} walks a dog")
    caption_shown(page, EVIL.split()[0])
    assert EVIL in result(page).locator("#cases .caption").inner_text()
    page.get_by_role("button", name="Vocabulary").click()
    page.get_by_label("Things").fill(EVIL)
    page.get_by_label("Things").press("Enter")
    page.locator("#result [role=alert]", has_text="<img src=x").wait_for()
    assert page.title() == "groundgraph"


def test_photos_are_deleted_when_their_visitor_leaves(opened, server, photo):
    page = opened()
    upload(page, photo[0])
    ask(page, photo[1])
    caption_shown(page, photo[1])
    downloaded(page, "SVG")
    assert sorted(path.name for path in server[1].rglob("my horse*")) == [
        "my horse.jpg",
        "my horse.json",
        "my horse.svg",
    ]
    page.context.close()
    for _ in range(600):
        left = [path for path in server[1].rglob("*") if path.is_file()]
        if not left:
            return
        time.sleep(0.1)
    raise AssertionError(left)


def test_a_space_is_three_lines(tmp_path):
    program = Path(__file__).parents[2] / "space" / "app.py"
    assert len(program.read_text().splitlines()) == 3
    with serving(tmp_path, str(program)) as (address, _):
        assert b"groundgraph" in urllib.request.urlopen(address).read()
