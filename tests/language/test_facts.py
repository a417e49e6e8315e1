"""What learned parsers write, as facts and as a parsed caption whose things have their characters."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from groundgraph.data.types import Entity, ParsedCaption
from groundgraph.evaluation.gold_graphs import read_gold
from groundgraph.language import load_parser
from groundgraph.language.facts import (
    CUT_OFF,
    EMPTY,
    ITSELF,
    NESTED,
    OUTSIDE,
    PARTS,
    UNTIED,
    caption_of_facts,
    read_facts,
)
from groundgraph.language.pieces import read_apart

GRAPH = "( dogs , is , 2 ) , ( dogs , sit on , bench ) , ( bench , is , wooden ) , ( tree )"


def read(text: str, graph: str, counts: Counter | None = None) -> ParsedCaption:
    return caption_of_facts(text, read_facts(graph)[0], Counter() if counts is None else counts)


def heads(text: str, graph: str) -> list[tuple[str, str]]:
    """(phrase, head) of each thing, cut out of the caption by its characters."""
    return [(text[slice(*e.span)], text[slice(*e.head_span)]) for e in read(text, graph).entities]


def test_graphs_are_read_as_they_are_written():
    facts = [("dogs", "is", "2"), ("dogs", "sit on", "bench"), ("bench", "is", "wooden"), ("tree",)]
    assert read_facts(GRAPH) == (facts, Counter())
    assert read_facts("") == ([], Counter())
    assert read_facts("(tennis  racket,is,red)") == ([("tennis racket", "is", "red")], Counter())


@pytest.mark.parametrize(
    ("graph", "facts", "kinds"),
    [
        ("( a , b ) , ( dog )", [("dog",)], [PARTS]),
        ("( a , on , b , c ) , ( dog )", [("dog",)], [PARTS]),
        ("( cat , , mat ) , ( dog )", [("dog",)], [EMPTY]),
        ("( dog ) , ( cat , on , m", [("dog",)], [CUT_OFF]),
        ("( a , (b) , c ) , ( dog )", [("dog",)], [NESTED]),
        ("a man ( dog ) , ( cat )", [("dog",), ("cat",)], [OUTSIDE]),
        ("( dog ) )", [("dog",)], [OUTSIDE]),
        ("a man rides", [], [OUTSIDE]),
    ],
)
def test_what_is_malformed_is_left_out_and_counted_by_kind(graph, facts, kinds):
    assert read_facts(graph) == (facts, Counter(kinds))


def test_a_caption_of_facts():
    text = "2 pigs are flying on the sky with 2 bags on their backs"
    caption = read(
        text, "( pigs , is , 2 ) , ( bags , on back of , pigs ), ( bags , is , 2 ) , ( pigs , fly on , sky )"
    )
    assert [(e.name, e.text, e.head, e.attributes) for e in caption.entities] == [
        ("pig", "2 pigs", "pigs", ("2",)),
        ("bag", "2 bags", "bags", ("2",)),
        ("sky", "the sky", "sky", ()),
    ]
    assert [(t.subject, t.predicate, t.object) for t in caption.triplets] == [(1, "on back of", 0), (0, "fly on", 2)]


@pytest.mark.parametrize(
    ("text", "graph", "places"),
    [
        ("Men ride horses", "( man , ride , horse )", [("Men", "Men"), ("horses", "horses")]),
        ("a man in a wet suit", "( man , in , wetsuit )", [("a man", "man"), ("a wet suit", "suit")]),
        ("a man on his surfboard", "( man , on , surf board )", [("a man", "man"), ("his surfboard", "surfboard")]),
        ("the red fire-hydrant", "( fire hydrant , is , red )", [("the red fire-hydrant", "hydrant")]),
        ("a tall umberlla", "( umbrella )", [("umberlla", "umberlla")]),
        ("the man's black shirt", "( man shirt )", [("the man's black shirt", "shirt")]),
        ("a cup of tea", "( cup of tea )", [("a cup of tea", "cup")]),
        ("some people", "( person )", [("some people", "people")]),
        ("two peoples on a bench", "( people )", [("two peoples", "peoples")]),
        # The longer name leaves the other court alone, though it comes later.
        (
            "a court by a tennis court",
            "( court , by , tennis court )",
            [("a court", "court"), ("a tennis court", "court")],
        ),
        # Which of two: the one that its attribute stands before.
        ("a white dog and a black dog", "( dog , is , black )", [("a black dog", "dog")]),
        ("two dogs by five dogs", "( dog , is , 5 )", [("five dogs", "dogs")]),
        # Numbered things, and a name that is related with itself, are two: each in its place, or both in one plural.
        ("a cat by a cat", "( cat , v:sit by , cat:1 )", [("a cat", "cat"), ("a cat", "cat")]),
        ("a cat by a cat", "( cat , by , cat )", [("a cat", "cat"), ("a cat", "cat")]),
        ("cats in a row", "( cat , side by side with , cat )", [("cats", "cats"), ("cats", "cats")]),
    ],
)
def test_things_have_their_characters(text, graph, places):
    assert heads(text, graph) == places
    spans = [e.span for e in read(text, graph).entities]
    assert len(set(spans)) == (1 if text.startswith("cats") else len(spans))


def test_what_the_rules_read_is_found_where_they_read_it():
    """By their names alone, in another order, numbered where there are several."""
    right = count = 0
    for caption in load_parser("rules").parse(read_gold(Path(__file__).parent / "captions.csv").captions):
        times: Counter[str] = Counter()
        names = []
        for entity in caption.entities:
            names.append(f"{entity.name}:{times[entity.name]}")
            times[entity.name] += 1
        facts = [(name, "is", a) for name, e in zip(names, caption.entities, strict=True) for a in e.attributes]
        facts += [(names[t.subject], t.predicate, names[t.object]) for t in reversed(caption.triplets)]
        tied = caption_of_facts(caption.text, [*facts, *((name,) for name in names)], Counter()).entities
        heads = {(e.name, e.head_span) for e in tied}
        right += sum((e.name, e.head_span) in heads for e in caption.entities)
        count += len(names)
    assert count > 200 and right / count > 0.95


def test_marks_of_verbs_are_no_part_of_predicates():
    caption = read("a car parked on the ground", "( car , pv:park on , ground )")
    assert [t.predicate for t in caption.triplets] == ["park on"]


def test_what_has_no_characters_is_counted():
    counts = Counter()
    caption = read("a man rides", "( man , ride , horse ) , ( man:1 , see , man:1 ) , ( man , the , horse )", counts)
    assert [(e.name, e.span, e.tied) for e in caption.entities] == [
        ("man", (0, 5), True),
        ("horse", (0, 0), False),
        ("man", (0, 5), True),
    ]
    assert len(caption.triplets) == 1 and counts == {UNTIED: 1, ITSELF: 1, EMPTY: 1}


def test_captions_are_read_apart_and_put_together():
    tied, untied = Entity("a", "a", "a", (0, 1), (0, 1)), Entity("b", "b", "b", (0, 0), (0, 0))
    captions = [ParsedCaption("x"), ParsedCaption("a a", (untied, tied, untied)), ParsedCaption("a", (tied,))]
    readable, together = read_apart(captions)
    assert [c.text for c in readable] == ["x", "a a", "b", "b", "a"]
    assert all(entity.tied for c in readable for entity in c.entities)
    rows = together([np.full((len(c.entities), 2), number) for number, c in enumerate(readable)])
    assert [own[:, 0].tolist() for own in rows] == [[], [2, 1, 3], [4]] and rows[0].shape == (0, 2)
    same, identity = read_apart(captions[::2])
    assert same == captions[::2] and identity([1, 2]) == [1, 2]
