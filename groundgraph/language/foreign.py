"""Whether a caption is English at all: by its script, its small words and how many of its words English has."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma
from groundgraph.language.words import BE

_WORD = re.compile(r"[^\W\d_]+")
# Small words that hardly any language of the list below has, too.
_EITHER = frozenset("a an in on at by to over under for s t off past as per am via no".split())
_ENGLISH = frozenset(
    "the and with of a an his her their its this that these those there it he she they him them who which while some "
    "two three four five six many several other one front top side another both not has have".split()
)
_ENGLISH = (_ENGLISH | PREPOSITIONS | BE) - _EITHER
# Small words of German, French, Spanish, Italian, Portuguese, Dutch, Swedish, Danish, Norwegian, Polish, Czech,
# Turkish, Romanian, Indonesian, Finnish and Hungarian that are no English words.
_OTHERS = frozenset(
    "zwei drei "
    "ein eine einen einem einer eines der das dem den des und auf mit ist sind neben vor unter "
    "vom zum zur im beim "
    "le la les un une des du et est sont dans sur avec qui sous aux au pour ses "
    "el los las unos unas con en sobre y del una por sus junto está es "
    "il lo gli uno di su che nel nella sul sulla sono della dello accanto alla "
    "dois duas um uma os dos das com na nos nas em sob ao pela pelo ele ela "
    "twee drie een het op met van naast bij zijn voor aan de te naar "
    "ett och med på är av som till vid den det i jämte "
    "og er ved af til foran "
    "na w z nad pod przy jest i obok przed do się "
    "je se ve bir ile bu yang di dan dengan ini sebuah seorang ki pe și cu este sub "
    "ja on edessä egy az és".split()
) - {"on", "pod", "den", "do", "i", "er"}


@cache
def _kind(word: str) -> str:
    """A word in lower case as "english" or "other" small word, as "known" to the tables, or as "unknown"."""
    if word in _OTHERS:
        return "other"
    if word in _ENGLISH:
        return "english"
    if word in _EITHER:
        return "either"
    known = any(is_base(lemma(word, kind), kind) for kind in ("noun", "verb", "adj"))
    return "known" if known else "unknown"


def is_foreign(text: str) -> bool:
    """Whether a caption looks like no English: another script, or another language's small words, or no known word."""
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return False
    if not text.isascii():
        letters = "".join(words)
        latin = sum(c.isascii() or unicodedata.name(c, "").startswith("LATIN") for c in letters)
        if latin * 2 < len(letters):
            return True
    kinds = [_kind(word) for word in words]
    english, other = kinds.count("english"), kinds.count("other")
    known = kinds.count("known") + english
    content = len(kinds) - other - kinds.count("either")
    if other > english and other * 5 >= len(kinds):
        return other > 1 or known * 3 <= content
    return len(words) > 2 and not english and known * 4 <= content > 1
