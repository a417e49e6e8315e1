"""Words to categories and predicates, and triplets as sentences."""

import numpy as np
import pytest

from groundgraph.data.types import Entity, ParsedCaption, Triplet
from groundgraph.data.vocabulary import COCO80, VG150_OBJECTS, VG150_PREDICATES, Vocabulary
from groundgraph.language.concepts import ConceptMap, match_matrix, same_concept
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


def test_kinds_reach_wider_categories_only():
    concepts = ConceptMap(COCO80, VG150_PREDICATES)
    assert COCO80.names[concepts.category(entity("man"))] == "person"
    assert COCO80.names[concepts.category(entity("racket"))] == "tennis racket"
    assert same_concept("men", "person") and not same_concept("person", "man")
    assert not same_concept("hot dog", "dog")


def test_match_matrix_agrees_with_single_look_ups():
    names, categories = ["sofa", "man", "tennis racket", "sofa"], ["Couch", "Person", "Racket", "Tree"]
    expected = [[True, False, False, False], [False, True, False, False], [False, False, True, False]]
    found = match_matrix(names, categories)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, [*expected, expected[0]])
    assert match_matrix([], categories).shape == (0, 4)


def test_coverage_counts():
    entities = (entity("man"), entity("bike"), entity("ufo"))
    caption = ParsedCaption("", entities, (Triplet(0, "ride", 1), Triplet(0, "juggle", 1), Triplet(0, "ride", 2)))
    expected = {"entities": 3, "entities_mapped": 2, "triplets": 3, "triplets_mapped": 1}
    assert SMALL.coverage([caption]) == expected


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
