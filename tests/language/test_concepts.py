"""Words to categories and predicates, and triplets as sentences."""

import numpy as np
import pytest

from groundgraph.data.minigenome import CATEGORIES
from groundgraph.data.minigenome.captions import SYNONYMS
from groundgraph.data.types import Entity, Triplet
from groundgraph.data.vocabulary import (
    COCO80,
    OBJECTS365,
    OPENIMAGES601,
    VG150_OBJECTS,
    VG150_PREDICATES,
    Vocabulary,
)
from groundgraph.language.concepts import (
    BARRED,
    FREE,
    OWN,
    ConceptMap,
    match_matrix,
    name_roles,
    names_of_categories,
    same_concept,
)
from groundgraph.language.sentences import triplet_caption


def entity(name):
    return Entity(name, name.split()[-1], name, (0, len(name)), (0, len(name)))


SMALL = ConceptMap(
    Vocabulary(("man", "woman", "boy", "bike", "couch", "racket", "pants", "dog", "phone")),
    Vocabulary(("riding", "sitting on", "wearing", "holding", "lying on", "walking", "near", "on", "under", "has")),
)


@pytest.mark.parametrize(
    ("word", "category"),
    [
        *[("guy", "man"), ("lady", "woman"), ("kid", "boy"), ("bicycle", "bike"), ("sofa", "couch")],
        *[("tennis racket", "racket"), ("trousers", "pants"), ("puppy", "dog"), ("cell phone", "phone")],
        *[("hot dog", None), ("spaceship", None)],
    ],
)
def test_categories(word, category):
    found = SMALL.category(entity(word))
    assert found == (-1 if category is None else SMALL.categories.index(category))


@pytest.mark.parametrize(
    ("text", "predicate"),
    [
        *[("ride", "riding"), ("rides", "riding"), ("ride on", "riding"), ("sits on", "sitting on")],
        *[("sit on top of", "sitting on"), ("lay on", "lying on"), ("carry", "holding"), ("have on", "wearing")],
        *[
            ("next to", "near"),
            ("stand beside", "near"),
            ("stand under", "under"),
            ("atop", "on"),
            ("beneath", "under"),
        ],
        # Walking on a thing isn't walking it.
        *[("walk on", "on"), ("walk", "walking"), ("have", "has"), ("juggle", None), ("", None)],
    ],
)
def test_predicates(text, predicate):
    assert SMALL.predicate(text) == (-1 if predicate is None else SMALL.predicates.index(predicate))


def test_an_exact_name_goes_before_its_synonyms():
    concepts = ConceptMap(VG150_OBJECTS, VG150_PREDICATES)
    for name in ("guy", "cap", "kid", "lady", "man", "people"):
        assert VG150_OBJECTS.names[concepts.category(entity(name))] == name
    assert VG150_PREDICATES.names[concepts.predicate("walk on")] == "walking on"
    assert VG150_PREDICATES.names[concepts.predicate("with")] == "with"
    assert VG150_OBJECTS.names[concepts.category(entity("jeans"))] == "jean"


def test_kinds_match_both_ways_and_siblings_never():
    pairs = [("men", "person"), ("fire truck", "truck"), ("sneakers", "footwear"), ("pug", "animal"), ("oak", "tree")]
    for word, category in [*pairs, ("cell phones", "phone"), ("dachshund", "dog"), ("city bus", "bus")]:
        assert same_concept(word, category) and (same_concept(category, word) or " " in word or word == "oak"), word
    for word, category in [("man", "woman"), ("boy", "girl"), ("cat", "dog"), ("car", "truck"), ("cup", "bowl")]:
        assert not same_concept(word, category) and not same_concept(category, word)


def test_concepts_map_upwards_or_to_the_only_kind():
    concepts = ConceptMap(COCO80, VG150_PREDICATES)
    mapped = {"man": "person", "racket": "tennis racket", "table": "dining table", "pug": "dog", "cottage": None}
    for word, category in {**mapped, "animal": None, "fruit": None}.items():
        found = concepts.category(entity(word))
        assert (COCO80.names[found] if found >= 0 else None) == category, word
    assert SMALL.category(entity("person")) == -1


@pytest.mark.parametrize("word", ["object", "thing", "entity", "artifact", "item", "area", "side", "top", "part"])
def test_broad_words_match_nothing_but_themselves(word):
    for vocabulary in (VG150_OBJECTS, COCO80, OPENIMAGES601, OBJECTS365):
        assert not match_matrix([word], vocabulary.names).any()


@pytest.mark.parametrize(
    ("word", "yes", "no"),
    [
        ("mouse", "computer mouse", "rodent"),
        ("bat", "baseball bat", "bird"),
        ("orange", "fruit", "tree"),
        ("glasses", "sunglasses", "wine glass"),
        ("wine glasses", "glass", "sunglasses"),
        ("plate", "tableware", "baseball glove"),
        ("bike", "bicycle", "motorcycle"),
        ("pizza box", "box", "pizza"),
        ("hot dog", "food", "dog"),
        ("stuffed animal", "toy", "animal"),
        ("toy truck", "toy truck", "truck"),
        ("flower bed", "flower bed", "bed"),
        ("skateboard", "vehicle", "container"),
        ("snow", "snow", "food"),
        ("bookshelf", "cabinet/shelf", "book"),
        ("fries", "french fries", "person"),
    ],
)
def test_senses_of_photos(word, yes, no):
    assert same_concept(word, yes) and not same_concept(word, no)


def test_minigenomes_words_mean_their_category_alone():
    words = [(word, category) for category in CATEGORIES for word in SYNONYMS.get(category, (category,))]
    found = match_matrix([word for word, _ in words], CATEGORIES)
    np.testing.assert_array_equal(found, [[name == category for name in CATEGORIES] for _, category in words])


def test_what_a_name_is_to_a_detectors_category():
    names = ("man", "person", "animal", "puppy", "tree", "table")
    person, dog, cat, table = name_roles(["person", "dog", "cat", "dining table"], names).tolist()
    assert person == [OWN, OWN, BARRED, BARRED, FREE, BARRED]
    assert dog == [BARRED, BARRED, OWN, OWN, FREE, BARRED]  # no name is its own, so it goes by a wider one
    assert cat == [BARRED, BARRED, OWN, BARRED, FREE, BARRED]
    assert table[-2:] == [FREE, OWN]


def test_match_matrix_agrees_with_single_look_ups():
    names, categories = ["sofa", "man", "tennis racket", "sofa"], ["Couch", "Person", "Racket", "Tree"]
    expected = [[True, False, False, False], [False, True, False, False], [False, False, True, False]]
    found = match_matrix(names, categories)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, [*expected, expected[0]])
    assert match_matrix([], categories).shape == (0, 4)


def test_triplet_sentence():
    caption = triplet_caption("man", "sits on", "park  Benches")
    assert caption.text == "man sits on park Benches"
    man, bench = caption.entities
    assert (man.name, bench.name, bench.head) == ("man", "park bench", "Benches")
    assert caption.text[slice(*bench.span)] == "park Benches"
    assert caption.text[slice(*bench.head_span)] == "Benches"
    assert caption.triplets == (Triplet(0, "sit on", 1),)
    with pytest.raises(ValueError, match="empty"):
        triplet_caption("man", " ", "horse")


def test_names_that_a_detectors_category_goes_by():
    names = ["food", "vegetable", "banana", "man", "woman", "tree"]
    found = names_of_categories(["banana", "broccoli", "person", "kite"], names)
    assert found.tolist() == [
        [False, False, True, False, False, False],  # itself, not what it is a kind of
        [False, True, False, False, False, False],  # the nearest wider one
        [False, False, False, True, True, False],  # all of its kinds: the detector cannot say which
        [False] * 6,
    ]
