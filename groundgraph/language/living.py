"""Whether a noun names people, animals or garments: by WordNet, and by lists where captions mean something else."""

from __future__ import annotations

from functools import cache

from groundgraph.language.lemmas import lemma
from groundgraph.language.wordnet import senses, wider
from groundgraph.language.words import ANIMALS, GARMENTS, PEOPLE

# Named like people, and hardly ever people in captions.
_THINGS = frozenset(
    "speaker ruler fan model page host ghost counter star post second lead planter controller letter shadow target "
    "type sort kind name mark date sucker pop cardinal prey fry town trick white wit self "
    "steamer poster charger copper bat "
    "fly tick mouse game bass head face body figure".split()
)
_MEN = frozenset(
    "man boy guy male father dad son brother husband uncle grandfather grandpa gentleman groom king prince dude cowboy "
    "policeman fireman waiter bull rooster".split()
)
_WOMEN = frozenset(
    "woman girl lady female mother mom mum daughter sister wife aunt grandmother grandma bride queen princess waitress "
    "cow hen".split()
)


@cache
def is_person(noun: str) -> bool:
    """Whether a noun, in any form, names people."""
    noun = lemma(noun, "noun")
    return noun in PEOPLE or (noun not in _THINGS and _kind_of(noun, "person"))


@cache
def is_animal(noun: str) -> bool:
    """Whether a noun, in any form, names animals."""
    noun = lemma(noun, "noun")
    return noun in ANIMALS or (noun not in _THINGS and not is_person(noun) and _kind_of(noun, "animal"))


@cache
def is_garment(noun: str) -> bool:
    """Whether a noun, in any form, names what people wear."""
    base = lemma(noun, "noun")
    return noun in GARMENTS or base in GARMENTS or (base != "kit" and _kind_of(base, "garment", "clothing"))


def gender(noun: str) -> str:
    """ "m", "f", or "" for a noun that may be either."""
    noun = lemma(noun, "noun")
    return "m" if noun in _MEN else "f" if noun in _WOMEN else ""


def _kind_of(noun: str, *kinds: str) -> bool:
    above = [sense for kind in kinds for sense in senses(kind)]
    return any(sense in wider(own) for own in senses(noun)[:1] for sense in above)
