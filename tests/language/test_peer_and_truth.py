"""What parsers are compared with: the registry's rule-based one, and the true triplets."""

import sys
from collections import Counter

import numpy as np
import pytest
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.data.types import Example, GroundTruth, Mention
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.stage import with_needs
from groundgraph.errors import InputError
from groundgraph.language import load_parser
from groundgraph.language.scene_graph_parser import graph_facts
from groundgraph.stages import stages
from groundgraph.stages.recipe import find_recipe, load_recipe


def names_of(caption):
    names = [entity.name for entity in caption.entities]
    return [(names[t.subject], t.predicate, names[t.object]) for t in caption.triplets]


def test_a_graph_of_the_peer_as_facts():
    def modifier(dep, span):
        return {"dep": dep, "span": span, "lemma_span": span}

    graph = {
        "entities": [
            {"head": "hydrants", "modifiers": [modifier("nummod", "Two"), modifier("compound", "fire")]},
            {"head": "dog", "modifiers": [modifier("det", "a"), modifier("amod", "brown")]},
            {"head": "dog", "modifiers": []},
        ],
        "relations": [{"subject": 1, "object": 0, "relation": "next to"}],
    }
    assert graph_facts(graph) == [
        ("fire hydrants:0",), ("fire hydrants:0", "is", "2"),
        ("dog:0",), ("dog:0", "is", "brown"), ("dog:1",), ("dog:0", "next to", "fire hydrants:0"),
    ]  # fmt: skip


def test_the_peer_reads_captions():
    pytest.importorskip("sng_parser")
    (caption,) = load_parser("scenegraphparser").parse(["a young man is riding a horse"])
    assert [(e.text, e.name, e.attributes) for e in caption.entities] == [
        ("a young man", "man", ("young",)),
        ("a horse", "horse", ()),
    ]
    assert names_of(caption) == [("man", "ride", "horse")]


def test_a_missing_peer_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sng_parser", None)
    result = CliRunner().invoke(app, ["parse", "a man", "--parser", "scenegraphparser"])
    assert result.exit_code == 2 and "pip install SceneGraphParser" in result.output


@pytest.mark.parametrize("setting", ["vg_caption", "coco_caption"])
def test_true_triplets_are_those_between_what_a_caption_names(tmp_path, setting):
    examples = MiniGenome("train", setting, tmp_path, 20)
    parser, said = load_parser("truth"), Counter()
    for example in examples:
        truth, parsed = example.truth, parser.parse_example(example)
        assert [caption.text for caption in parsed] == list(example.captions)
        for number, caption in enumerate(parsed):
            mentions = [m for m in truth.mentions if m.caption == number]
            assert [e.span for e in caption.entities] == [m.span for m in mentions]
            for triplet in caption.triplets:
                ends = mentions[triplet.subject].objects, mentions[triplet.object].objects
                assert any(s in ends[0] and o in ends[1] for s, _, o in truth.relations)
            said[bool(caption.triplets)] += 1
    assert said[True] > 9 * said[False]


@pytest.mark.parametrize(
    ("text", "objects", "triplets"),
    [
        ("man in hat rides horse", {"man": (0,), "hat": (1,), "horse": (2,)}, [(0, "wear", 1), (0, "ride", 2)]),
        # Named twice: each relation once, in the clause that has both ends.
        (
            "man rides horse as guy wears hat",
            {"man": (0,), "horse": (2,), "guy": (0,), "hat": (1,)},
            [(0, "ride", 1), (2, "wear", 3)],
        ),
        (
            "man in hat and guy in cap",
            {"man": (0,), "hat": (1,), "guy": (0,), "cap": (1,)},
            [(0, "wear", 1), (2, "wear", 3)],
        ),
        # One word for two: once.
        ("men ride horse", {"men": (0, 3), "horse": (2,)}, [(0, "ride", 1)]),
    ],
)
def test_true_triplets_by_hand(text, objects, triplets):
    spans = [(text.index(word), text.index(word) + len(word)) for word in objects]
    mentions = tuple(Mention(0, span, meant) for span, meant in zip(spans, objects.values(), strict=True))
    relations = ((0, "wearing", 1), (0, "riding", 2), (3, "riding", 2))
    truth = GroundTruth(np.zeros((4, 4), np.float32), ("man", "hat", "horse", "man"), relations, mentions)
    (caption,) = load_parser("truth").parse_example(Example("x", "x.png", (text,), truth=truth))
    assert sorted((t.subject, t.predicate, t.object) for t in caption.triplets) == sorted(triplets)
    assert [e.text for e in caption.entities] == list(objects)


def test_data_without_annotated_words_have_no_true_triplets():
    with pytest.raises(InputError, match=r"x\.jpg: the parser truth needs data that say"):
        load_parser("truth").parse_example(Example("x.jpg", "x.jpg", ("a man",)))


def test_a_run_takes_true_triplets(tmp_path):
    recipe = load_recipe(find_recipe("demo"), ["parser.name=truth", "data.train=4", "data.validation=2", "data.test=2"])
    run = Run(recipe, tmp_path)
    execute(run, with_needs(stages(recipe), ["concepts"]))
    counts = run.record("parsed")["counts"]
    assert counts["captions without an entity"] == 0 and counts["triplets"] >= counts["captions"]
