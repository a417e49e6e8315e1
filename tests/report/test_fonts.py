"""Words in scripts that the default font lacks: an installed font has them, or their script is named."""

import warnings

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.font_manager import fontManager
from PIL import Image, ImageFilter

from groundgraph.data.types import Graph
from groundgraph.report import fonts
from groundgraph.report.pictures import save_graph

GIRL, KITE, KOREAN, FLIES = "女孩", "風箏", "연", "飛"


def write_font(path, name, letters):
    """A font whose letters are black squares."""
    pen = TTGlyphPen(None)
    for step, corner in zip(("moveTo", *["lineTo"] * 3), ((0, 0), (0, 900), (900, 900), (900, 0)), strict=True):
        getattr(pen, step)(corner)
    pen.closePath()
    square = pen.glyph()
    glyphs = {".notdef": TTGlyphPen(None).glyph()} | {f"u{ord(c):x}": square for c in letters}
    made = FontBuilder(1000)
    made.setupGlyphOrder(list(glyphs))
    made.setupCharacterMap({ord(c): f"u{ord(c):x}" for c in letters})
    made.setupGlyf(glyphs)
    made.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
    made.setupHorizontalHeader(ascent=900, descent=-100)
    made.setupNameTable({"familyName": name, "styleName": "Regular"})
    made.setupOS2(usWeightClass=400)
    made.setupPost()
    made.save(path)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Fonts that were installed after matplotlib had listed what there is; a broken one among them."""
    listed = list(fontManager.ttflist)
    write_font(tmp_path / "one.ttf", "Test Sans One", GIRL + KITE)
    write_font(tmp_path / "two.ttf", "Test Two", GIRL + FLIES)
    write_font(tmp_path / "last.ttf", "Test Last Resort", GIRL + KITE + KOREAN + FLIES)
    (tmp_path / "broken.ttf").write_bytes(b"\0\1\0\0")
    (tmp_path / "gone.ttf").symlink_to(tmp_path / "nowhere")
    own = [entry for entry in listed if "matplotlib" in entry.fname]
    monkeypatch.setattr(fontManager, "ttflist", own)
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: sorted(map(str, tmp_path.glob("*.ttf"))))
    for kept in (fonts._cover, fonts._letters_of, fonts._installed):
        kept.cache_clear()
    yield
    for kept in (fonts._cover, fonts._letters_of, fonts._installed):
        kept.cache_clear()


def graph():
    return Graph(
        np.array([[5, 5, 60, 90], [50, 10, 115, 80]], np.float32), np.array([1, 2]), np.array([0.9, 0.8], np.float32),
        np.array([[0, 1]]), np.array([[0.1, 0.9]], np.float32),
    )  # fmt: skip


def test_the_default_font_is_enough_for_its_own_letters(installed):
    assert fonts.families(["girl", "Hündchen", "воздушный змей", "a\u200db"]) == ["sans-serif"]
    assert fonts.unreadable_scripts(["girl", "воздушный змей"]) == []


def test_installed_fonts_are_taken_for_what_it_lacks(installed):
    assert fonts.families([GIRL, KITE]) == ["sans-serif", "Test Sans One"]
    assert fonts.families([GIRL, FLIES, KITE]) == ["sans-serif", "Test Sans One", "Test Two"]
    assert fonts.unreadable_scripts([GIRL, FLIES, KITE]) == []
    assert fonts.unreadable_scripts([GIRL, KOREAN, "\U0001fa81", "\u0e01"]) == ["HANGUL", "THAI", "symbols"]


def test_the_letters_are_drawn(installed, tmp_path):
    blank = Image.new("RGB", (120, 100), "white")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in ("png", "svg", "pdf"):
            save_graph(tmp_path / f"a.{kind}", blank, graph(), (GIRL, KITE), (FLIES,))
            save_graph(tmp_path / f"b.{kind}", blank, graph(), (KOREAN, KOREAN), (FLIES,))  # KOREAN is in no font
    assert all(word in (tmp_path / "a.svg").read_text(encoding="utf-8") for word in (GIRL, KITE, FLIES))
    assert KOREAN in (tmp_path / "b.svg").read_text(encoding="utf-8")
    assert has_square(tmp_path / "a.png") and has_square(tmp_path / "b.png")
    save_graph(tmp_path / "c.png", blank, graph(), (KOREAN, KOREAN), (KOREAN,))
    assert not has_square(tmp_path / "c.png")


def has_square(path):
    """Whether a dark square of 21 pixels a side is there: a letter of the tests' fonts has 27."""
    return Image.open(path).convert("L").filter(ImageFilter.MaxFilter(21)).getextrema()[0] < 40
