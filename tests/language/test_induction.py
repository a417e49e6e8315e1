"""Vocabularies induced from words: merged, visible, named as the detector and as people do."""

import pytest

from groundgraph.language import load_parser
from groundgraph.language.boxable import boxable, keys_of
from groundgraph.language.induction import (
    APART,
    BEYOND,
    ITSELF,
    KIND,
    NO_BOX,
    RARE,
    SAME,
    WHY,
    induce_categories,
    induce_predicates,
)
from groundgraph.language.predicates import as_written, same_relation, wider_predicates, written_forms


@pytest.fixture(scope="module")
def parser():
    return load_parser("rules")


def uses(**counts):
    """Word -> images; each word in images of its own (underscores stand for spaces)."""
    images, start = {}, 0
    for word, count in counts.items():
        images[word.replace("_", " ")] = range(start, start + count)
        start += count
    return images


@pytest.mark.parametrize("word", ["picture", "view", "day", "background", "other", "side", "close", "close-up", "up"])
def test_what_cannot_be_boxed(word):
    assert not boxable(word)
    assert induce_categories(uses(**{word: 9, "man": 2}), 10, 2).fates[word] == (None, NO_BOX)


@pytest.mark.parametrize(
    "word", ["man", "table", "wave", "sign", "street sign", "side walk", "skatepark", "wetsuit", "parking lot", "tv"]
)
def test_what_can(word):
    assert boxable(word)


def test_a_name_of_the_detector_can_be_boxed_whatever_it_is():
    assert not boxable("volley") and boxable("volley", keys_of(["volley/rally"]))


def test_words_of_one_meaning_are_one_category_under_the_detectors_name():
    words = uses(man=5, guy=3, bike=4, bicycle=1, plane=2, airplane=1, cell_phone=1, cellphone=1, people=2, person=1)
    names = induce_categories(words, 10, 2, detected=["person", "bicycle", "airplane", "cell phone", "zebra"])
    assert names.chosen == ("man", "bicycle", "airplane", "person", "cell phone", "zebra")  # the last is never said
    assert names.fates["guy"] == ("man", SAME) and names.fates["bike"] == ("bicycle", SAME)
    assert names.fates["man"] == ("man", ITSELF) and names.fates["people"] == ("person", SAME)


def test_what_the_detector_finds_has_a_name_whether_captions_speak_of_it_or_not():
    names = induce_categories(uses(harp=3), 1, 2, detected=["__background__", "person", "N/A", "dog"])
    assert names.chosen == ("harp", "person", "dog")


def test_without_a_detector_the_word_of_most_images_names_the_meaning():
    assert induce_categories(uses(bike=4, bicycle=1), 10, 2).chosen == ("bike",)


def test_a_boy_is_a_kind_of_child_and_not_the_same():
    names = induce_categories(uses(child=4, kid=3, boy=3), 10, 2)
    assert names.chosen == ("child", "boy") and names.fates["kid"] == ("child", SAME)


def test_rare_words_count_for_the_nearest_wider_name():
    names = induce_categories(uses(poodle=1, spaniel=1, jetliner=1, airliner=1, harp=1), 10, 2, ["dog", "airplane"])
    assert set(names.chosen) == {"dog", "airplane"}  # neither was said
    assert names.fates["poodle"] == ("dog", KIND) and names.fates["jetliner"] == ("airplane", KIND)
    assert names.fates["harp"] == (None, RARE)


def test_beyond_the_limit_a_kind_of_what_is_in_already_goes_first():
    words = uses(person=9, skier=4, harp=3, drum=2)
    names = induce_categories(words, 3, 2)  # skier counts .4 x 4
    assert names.chosen == ("person", "harp", "drum") and names.fates["skier"] == ("person", KIND)
    names = induce_categories(words, 3, 2, ["skier"])  # a name that the detector knows counts in full
    assert names.chosen == ("person", "skier", "harp") and names.fates["drum"] == (None, BEYOND)


def test_predicates_that_say_the_same_are_one():
    assert same_relation("next to", "beside") and same_relation("lie on", "lay on")
    assert not same_relation("carry", "hold") and not same_relation("have", "with")
    names = induce_predicates(uses(next_to=4, beside=2, stand_near=1, around=1, under=2, below=1), 10, 2)
    assert names.chosen == ("next to", "under")
    assert names.fates["beside"] == ("next to", SAME)
    assert names.fates["stand near"] == names.fates["around"] == ("next to", KIND)
    assert "next to" in wider_predicates("around")


def test_a_verb_that_lost_its_preposition_is_no_predicate():
    names = induce_predicates(uses(sit=2, sit_on=9, ride=5, ride_on=2), 10, 2)
    assert names.chosen == ("sit on", "ride", "ride on") and names.fates["sit"] == (None, RARE)


def test_reasons_are_the_listed_ones():
    names = induce_categories(uses(man=3, guy=1, day=4, harp=1, poodle=1, dog=2), 1, 2)
    assert {why for _, why in names.fates.values()} <= set(WHY) and APART in WHY


@pytest.mark.parametrize(
    ("caption", "predicate", "written"),
    [
        ("A man stands at a bus.", "stand at", "standing at"),
        ("A bowl filled with fruit.", "fill with", "filled with"),
        ("A woman has a hat.", "have", "has"),
        ("A dog sits on a bench.", "sit on", "sitting on"),
        ("A cup is next to a plate.", "next to", "next to"),
        ("A bowl full of fruit.", "full of", "full of"),
    ],
)
def test_predicates_are_written_as_people_do(parser, caption, predicate, written):
    (parsed,) = parser.parse([caption])
    assert [t.predicate for t in parsed.triplets] == [predicate]
    assert as_written(predicate, written_forms([parsed]).get(predicate, {})) == written


@pytest.mark.parametrize(
    ("verb", "form"),
    [("ride", "riding"), ("lie", "lying"), ("sit", "sitting"), ("see", "seeing"), ("panic", "panicking")],
)
def test_participles(verb, form):
    assert as_written(f"{verb} on", {}) == f"{form} on"


def test_a_past_form_is_written_where_most_captions_do():
    assert as_written("fill with", {"filled": 3, "filling": 1}) == "filled with"
    assert as_written("fill with", {"filled": 1, "fills": 2}) == "filling with"


def test_a_predicate_that_is_a_participle_is_written_as_it_is():
    # GQA's, PSG's and VG150's names: "riding", "sitting on"; not "ridinging".
    assert as_written("riding", {"riding": 3}) == "riding" and as_written("sitting on", {}) == "sitting on"
    assert as_written("ride", {"riding": 3}) == "riding" and as_written("swing", {}) == "swinging"
