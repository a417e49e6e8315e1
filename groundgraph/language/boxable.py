"""Which words of captions name what a box can be drawn around: not picture, view, day, background, other, side.

By WordNet's classes (`wordnet`), not by a list. A name of a detection vocabulary is boxable whatever WordNet says of
the word in other texts (a wave, a sign), unless it means a picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from groundgraph.data.vocabulary import COCO80, OBJECTS365, OPENIMAGES601, VG150_OBJECTS
from groundgraph.language.concepts import curated_senses, name_key
from groundgraph.language.lemmas import PREPOSITIONS, is_base, name_lemma
from groundgraph.language.wordnet import boxed_senses, boxed_word, senses


@cache
def _drawn() -> frozenset[str]:
    """The names that people have drawn boxes for in public data sets, by key."""
    return keys_of(name for part in (COCO80, OBJECTS365, OPENIMAGES601, VG150_OBJECTS) for name in part.names)


def keys_of(names: Iterable[str]) -> frozenset[str]:
    """The keys of names; one with several ("cabinet/shelf", of Objects365) has each one's."""
    return frozenset(name_key(part) for name in names for part in (name, *name.split("/")))


@cache
def boxable(name: str, detected: frozenset[str] = frozenset()) -> bool:
    """Whether a noun names what a box can be drawn around.

    A phrase that nothing is known of is as its last word; a word that WordNet has only as a verb, an adjective or a
    preposition ("other", "up") is none, and one that it lacks altogether is taken for a thing ("skatepark").

    Args:
        name: As the parser gives it, lower case with its last word in base form.
        detected: Keys (`keys_of`) of the detector's categories.
    """
    spaced, key = name_lemma(name.replace("-", " ").replace("_", " ")), name_key(name)
    *others, last = spaced.split() or [""]
    drawn = _drawn() - _pictures() | detected
    if key in drawn or (others and name_key(last) in drawn):
        return True
    if own := curated_senses(name):
        return boxed_senses(own)
    for spelling in (spaced, spaced.replace(" ", ""), spaced.replace(" ", "-")):
        if senses(spelling):
            return boxed_word(spelling)
    if others:
        return boxable(last, detected)
    return bool(last) and last not in PREPOSITIONS and not any(is_base(last, kind) for kind in ("verb", "adj"))


@cache
def _pictures() -> frozenset[str]:
    """The keys of the drawn names that mean a picture (Objects365's "picture/frame")."""
    return frozenset(key for key in _drawn() if (own := senses(key)) and set(own) & set(senses("picture")))
