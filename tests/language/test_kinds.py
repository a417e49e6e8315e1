"""The rule parser on kinds of captions that people write, and what a caption's reading keeps of its places."""

from pathlib import Path

import pytest

from groundgraph.data.types import ParsedCaption
from groundgraph.evaluation.gold_graphs import read_gold
from groundgraph.evaluation.parsing import evaluate_parser
from groundgraph.language import load_parser
from groundgraph.language.foreign import is_foreign
from groundgraph.language.living import is_animal, is_garment, is_person
from groundgraph.language.names import is_name
from groundgraph.language.parser import FOREIGN
from groundgraph.language.reading import Reading
from groundgraph.language.writing import mend_writing

OWN = Path(__file__).parent / "captions.csv"
SHARED = Path(__file__).parents[2].parent / "shared/data/captions/captions.csv"


@pytest.fixture(scope="module")
def parser():
    return load_parser("rules")


def least(scores, group):
    return min(scores[group]["precision"], scores[group]["recall"])


def test_own_captions_by_kind(parser):
    scores, kinds = evaluate_parser(parser, read_gold(OWN))
    assert len(kinds) > 12 and parser.counts[FOREIGN] == sum("non-English" == g.kind for g in read_gold(OWN).graphs)
    assert kinds.pop("non-English")["objects"]["precision"] is None  # nothing there, nothing found
    low = {kind: least(found, "relations") for kind, found in kinds.items() if least(found, "relations") < 0.85}
    assert not low
    assert least(scores, "objects") > 0.97 and least(scores, "relations") > 0.95


@pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared")
def test_shared_captions_by_kind(parser):
    scores, kinds = evaluate_parser(parser, read_gold(SHARED))
    del kinds["non-English"]
    assert least(scores, "objects") > 0.96 and least(scores, "relations") > 0.87
    assert not {kind: found for kind, found in kinds.items() if least(found, "relations") < 0.7}


@pytest.mark.parametrize(
    ("caption", "read"),
    [
        ("a dog &amp; a caf&eacute;", "a dog and a café"),
        ("<p>a <b>dog</b></p>", "a dog"),
        ("A DOG – ON A MAT’S EDGE", "a dog - on a mat's edge"),
        ("A Dog On The Mat", "a dog on the mat"),
        ("a dog with James Smith", "a dog with James Smith"),
        ("#dog 🐶 w/ a ball", "dog with a ball"),
        ("my_dog_2.jpg", "my dog 2"),
        ("a sign that says “no dogs” on a wall", "a sign on a wall"),
        ('a 12" pizza and a 10" plate', 'a 12" pizza and a 10" plate'),
        ("the boys' hats and the girls' shoes", "the boys' hats and the girls' shoes"),
        ('"a dog on a mat"', "a dog on a mat"),
        ('a cat "reading" a book', "a cat reading a book"),
        ("a dog standig infront of teh mat", "a dog standing in front of the mat"),
        ("here is a close-up of a dog", "a dog"),
        ("a watch on a wrist", "a watch on a wrist"),
        ("people looking at a dog", "people looking at a dog"),
    ],
)
def test_what_is_read(caption, read):
    reading = Reading(caption)
    mend_writing(reading)
    assert reading.text == read
    assert len(reading.starts) == len(reading.ends) == len(read)
    for start, end in zip(reading.starts, reading.ends, strict=True):
        assert 0 <= start < end <= len(caption)


@pytest.mark.parametrize(
    ("caption", "entities"),
    [
        ("A MAN’S HAT – ON A <b>TABLE</b>", ["A MAN", "HAT", "A <b>TABLE"]),
        ("two  fire hydrants &amp; the ice-cream cone", ["two  fire hydrants", "the ice-cream cone"]),
        ('a "big" sign w/ a   teddy bear', ['a "big" sign', "a   teddy bear"]),
        ("no cats but a dog without a collar", ["a dog"]),
    ],
)
def test_entities_stand_where_the_caption_has_them(parser, caption, entities):
    (parsed,) = parser.parse([caption])
    assert parsed.text == caption
    assert [e.text for e in parsed.entities] == entities
    for e in parsed.entities:
        assert caption[slice(*e.span)] == e.text and caption[slice(*e.head_span)] == e.head
        assert e.span[0] <= e.head_span[0] < e.head_span[1] <= e.span[1]


def test_names_of_several_words():
    for name in ("fire hydrants", "teddy bear", "french fries", "ice cream cone", "hot air balloon", "light bulb"):
        assert is_name(tuple(name.split())), name
    for words in ("white house", "young man", "riding horse", "man fish", "looking at", "cup of tea", "elephant ear"):
        assert not is_name(tuple(words.split())), words


def test_who_and_what_is_worn():
    assert all(map(is_person, ("mothers", "surfer", "crowd", "men"))) and not any(map(is_person, ("letter", "cat")))
    assert all(map(is_animal, ("dogs", "sheep", "panda"))) and not any(map(is_animal, ("poster", "man", "bat")))
    assert all(map(is_garment, ("hats", "raincoat", "glasses"))) and not any(map(is_garment, ("cup", "dog")))


@pytest.mark.parametrize(
    "caption",
    [
        "zwei Kinder spielen im Park",
        "un chat noir dort sur le canapé",
        "una mujer con un sombrero rojo",
        "due gatti sul divano",
        "dois cães na praia",
        "een hond op de bank",
        "en hund på en soffa",
        "koira makaa sohvalla",
        "ソファの上の犬",
        "собака на диване",
        "كلب على الأريكة",
    ],
)
def test_other_languages(parser, caption):
    before = parser.counts[FOREIGN]
    assert parser.parse([caption]) == [ParsedCaption(caption)]
    assert parser.counts[FOREIGN] == before + 1


@pytest.mark.parametrize(
    "caption",
    [
        "",
        "dog",
        "a girafe eating leafs",
        "a crème brûlée in a bowl",
        "a de lorean car",
        "a man at la plata",
        "🐶",
        "two men",
    ],
)
def test_english_stays(caption):
    assert not is_foreign(caption)
