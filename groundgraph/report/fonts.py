"""Fonts that have the letters of a picture's words: the default one, then installed ones for other scripts."""

from __future__ import annotations

import logging
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cache

from matplotlib.font_manager import FontEntry, FontProperties, findfont, findSystemFonts, fontManager, get_font

logging.getLogger("matplotlib.font_manager").setLevel(logging.ERROR)  # it warns of every weight that it makes do with
_DEFAULT = "sans-serif"
_NO_LETTERS = ("lastresort", "blank", "notdef")  # fonts with a glyph for everything, which shows nothing


def families(words: Iterable[str]) -> list[str]:
    """Names for matplotlib's `family`: the default font, then as few installed ones as have the letters it lacks."""
    return [_DEFAULT, *_cover(_lacking(words))[0]]


def unreadable_scripts(words: Iterable[str]) -> list[str]:
    """The scripts, by Unicode's name (CJK, HANGUL, THAI), of letters in no installed font; "symbols" for emoji."""
    return sorted({_script(letter) for letter in _cover(_lacking(words))[1]})


def _lacking(words: Iterable[str]) -> frozenset[str]:
    """The letters that the default font lacks."""
    letters = {letter for word in words for letter in word if not letter.isspace()}
    invisible = {letter for letter in letters if unicodedata.category(letter) == "Cf"}
    return frozenset(letters - invisible - _letters_of(findfont(FontProperties(family=[_DEFAULT]))))


@cache
def _cover(lacking: frozenset[str]) -> tuple[Sequence[str], frozenset[str]]:
    """Families that together have these letters, the one with the most first, and the letters that none has."""
    chosen, left = [], set(lacking)
    while left:
        shared = {name: left & _letters_of(path) for name, path in _installed().items()}
        most = max(shared, key=lambda name: len(shared[name]), default=None)
        if most is None or not shared[most]:
            break
        chosen.append(most)
        left -= shared[most]
    return tuple(chosen), frozenset(left)


@cache
def _letters_of(path: str) -> frozenset[str]:
    try:
        return frozenset(map(chr, get_font(path).get_charmap()))
    except (OSError, RuntimeError):  # gone since it was listed, or broken
        return frozenset()


@cache
def _installed() -> dict[str, str]:
    """The installed families with a file each, plain ones first; also those newer than matplotlib's list."""
    registered = {entry.fname for entry in fontManager.ttflist}
    for path in findSystemFonts():
        if path not in registered:
            try:
                fontManager.addfont(path)
            except (OSError, RuntimeError):  # no font that matplotlib can read
                continue
    files: dict[str, str] = {}
    for entry in sorted(fontManager.ttflist, key=_plainness):
        if not any(word in entry.name.lower().replace(" ", "") for word in _NO_LETTERS):
            files.setdefault(entry.name, entry.fname)
    return files


def _plainness(entry: FontEntry) -> tuple[bool, bool, bool, str]:
    return entry.style != "normal", entry.weight != 400, "sans" not in entry.name.lower(), entry.name


def _script(letter: str) -> str:
    if unicodedata.category(letter)[0] not in "LMN":
        return "symbols"
    return unicodedata.name(letter, "unnamed letters").split()[0]
