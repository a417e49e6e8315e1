"""Names of several words ("fire hydrant", "hot air balloon"): one thing each, whatever a tagger makes of the words.

Known are those of WordNet whose first word is a noun, those of the bundled vocabularies, and the lists of `words`. The
spaCy model reads a name's last word alone: it often takes the others for verbs or adjectives.
"""

from __future__ import annotations

import re
from functools import cache

from groundgraph.data.vocabulary import COCO80, OBJECTS365, OPENIMAGES601, VG150_OBJECTS
from groundgraph.language.lemmas import PREPOSITIONS, is_base, lemma, name_lemma
from groundgraph.language.mending import is_verb_in_s
from groundgraph.language.reading import Reading
from groundgraph.language.wordnet import nouns
from groundgraph.language.words import (
    ARTICLES,
    BE,
    BODY_PARTS,
    COLOURS,
    DETERMINERS,
    MATERIALS,
    NAMES,
    NUMBERS,
    PEOPLE,
)

LONGEST_NAME = 4  # words
_RUN = re.compile(r"[a-zA-Z]+(?:[ -][a-zA-Z]+)+")
_WORD = re.compile(r"[a-zA-Z]+")
# What no name begins with, or has in it: what describes, counts or joins.
_NO_PART = ARTICLES | PREPOSITIONS | {"and", "or", "of", "is", "are", "as", "at", "s", "t"}
_NO_FIRST = COLOURS | MATERIALS | DETERMINERS | PEOPLE | {*NUMBERS, "human", "other", "common", "left", "right"}


@cache
def _listed() -> frozenset[str]:
    """Names in the bundled vocabularies and in the lists, in base form."""
    vocabularies = (COCO80, VG150_OBJECTS, OBJECTS365, OPENIMAGES601)
    names = {part.replace("-", " ") for v in vocabularies for name in v.names for part in name.split("/")}
    names = {name for name in names if " " in name and name.split()[0].lower() not in _NO_FIRST}
    names |= {f"{first} {last}" for first, lasts in NAMES.items() for last in lasts}
    return frozenset(map(name_lemma, names))


@cache
def is_name(words: tuple[str, ...]) -> bool:
    """Whether the words, in lower case, are the name of one kind of thing."""
    name = name_lemma(" ".join(words))
    if name in _listed():
        return True
    first = words[0]
    if first in _NO_FIRST or not _NO_PART.isdisjoint(words) or lemma(words[-1], "noun") in BODY_PARTS:
        return False
    described = is_base(first, "adj") or first.endswith(("ing", "ed")) or not is_base(first, "noun")
    spellings = (name, name.replace(" ", "-", 1))  # ice-cream cone
    return not described and any(spelling in nouns().meant for spelling in spellings)


@cache
def _long_names() -> frozenset[tuple[str, str]]:
    """The first two words of known names of more."""
    pairs = (name.replace("-", " ").split() for names in (_listed(), nouns().meant) for name in names)
    return frozenset((words[0], words[1]) for words in pairs if len(words) > 2)


def shorten_names(reading: Reading) -> None:
    """Leave the last word of each known name in a reading's text, and note the name."""
    words = _WORD.findall(reading.text)
    lower = [word.lower() for word in words]
    cuts, i, last = [], 0, len(words) - 1
    no_part, no_first, long_names = _NO_PART, _NO_FIRST, _long_names()
    places: list[re.Match[str]] = []
    while i < last:
        first, second = lower[i], lower[i + 1]
        if second in no_part:
            i += 2
            continue
        if first not in no_part and (first not in no_first or first in NAMES):
            longest = min(LONGEST_NAME, len(words) - i) if (first, second) in long_names else 2
            for length in range(longest, 1, -1):
                end = i + length - 1
                if is_name(tuple(lower[i : end + 1])) and not _says_verb(lower, i, end):
                    places = places or list(_WORD.finditer(reading.text))
                    here, there = places[i].start(), places[end].start()
                    if _RUN.fullmatch(reading.text, here, places[end].end()):
                        start = reading.starts[here]
                        reading.names[reading.starts[there]] = (start, " ".join(lower[i : end + 1]))
                        cuts.append((here, there))
                        i = end
                        break
        i += 1
    for here, there in reversed(cuts):
        reading.cut(here, there)


def _says_verb(words: list[str], first: int, last: int) -> bool:
    """Whether the last word is the sentence's verb rather than a plural: "the bus stops", "a fire engine rushes"."""
    word, before = words[last], words[first - 1] if first else ""
    if not is_verb_in_s(word):
        return False
    if before in ("a", "an", "one", "each", "every", "another"):
        return True
    listed = name_lemma(" ".join(words[first : last + 1])) in _listed()
    return not listed and before == "the" and not any(w in BE or w.endswith("ing") for w in words)
