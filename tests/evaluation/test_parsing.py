"""Parser scores against counts made by hand, and the files they come from."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.types import Entity, ParsedCaption, Triplet
from groundgraph.evaluation.gold_graphs import GoldGraph, read_choices, read_gold
from groundgraph.evaluation.parsing import (
    GROUPS,
    accepted,
    evaluate_parser,
    fact_sets,
    lemmatised,
    parsed_facts,
    score_facts,
)
from groundgraph.language.facts import read_facts

GRAPH = "( dogs , is , 2 ) , ( dogs , sit on , bench ) , ( bench , is , wooden ) , ( tree )"


@pytest.mark.parametrize(
    ("written", "base"),
    [
        (("Dogs",), ("dog",)),
        (("tennis rackets", "is", "Painted"), ("tennis racket", "is", "paint")),
        (("boys", "is", "2"), ("boy", "is", "2")),
        (("men", "are sitting on the", "benches"), ("man", "sit on", "bench")),
        (("cup", "in front of", "plates"), ("cup", "in front of", "plate")),
    ],
)
def test_base_forms(written, base):
    assert lemmatised(written) == base


def test_sets_of_facts():
    found = fact_sets(read_facts(GRAPH)[0])
    assert found["attributes"] == {("dog", "is", "2"), ("bench", "is", "wooden")}
    assert found["relations"] == {("dog", "sit on", "bench")}
    assert found["objects"] == {("dog",), ("bench",), ("tree",)}
    assert found["all"] == {("tree",)} | found["attributes"] | found["relations"]


def test_scores_by_hand():
    true = [read_facts(GRAPH)[0], [("man", "wear", "hat")]]
    found = [
        # Right: (dog is 2) and (dog sit on bench), said twice in different forms; wrong: (bench is red).
        [("dog", "is", "2"), ("dogs", "sitting on", "bench"), ("dog", "sit on", "benches"), ("bench", "is", "red")],
        # The relation is turned round; a thing is invented.
        [("hat", "wear", "man"), ("sky",)],
    ]
    scores = score_facts(found, true)
    assert tuple(scores) == GROUPS
    # all: 3 + 2 facts said, 4 + 1 true, 2 right.
    assert scores["all"] == pytest.approx({"precision": 2 / 5, "recall": 2 / 5, "f1": 2 / 5})
    # objects: dog, bench; hat, man, sky said; dog, bench, tree; man, hat true; 4 right.
    assert scores["objects"] == pytest.approx({"precision": 4 / 5, "recall": 4 / 5, "f1": 4 / 5})
    # attributes: 2 said, 2 true, 1 right.
    assert scores["attributes"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2})
    # relations: 2 said, 2 true, 1 right.
    assert scores["relations"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2})


def test_counts_are_summed_before_dividing_and_captions_do_not_mix():
    a, b = [("cat", "on", "mat")], [("dog", "on", "bed"), ("dog", "under", "sun"), ("dog", "by", "tree")]
    scores = score_facts([a, []], [a, b])["relations"]
    assert scores == pytest.approx({"precision": 1.0, "recall": 1 / 4, "f1": 2 / 5})
    assert score_facts([a, b], [b, a])["relations"]["f1"] == 0


def test_nothing_said_and_nothing_true():
    nothing = dict.fromkeys(("precision", "recall", "f1"))
    assert score_facts([], []) == score_facts([[]], [[]]) == dict.fromkeys(GROUPS, nothing)
    wrong = {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert score_facts([[("cat",)]], [[]])["all"] == score_facts([[]], [[("cat",)]])["all"] == wrong
    with pytest.raises(ValueError, match="2 captions were parsed but 1 have graphs"):
        score_facts([[], []], [[]])


def test_what_a_parser_found_as_facts():
    def thing(name, *attributes):
        return Entity(name, name, name, (0, 1), (0, 1), attributes)

    caption = ParsedCaption("", (thing("dog", "brown"), thing("bed"), thing("lamp")), (Triplet(0, "on", 1),))
    assert parsed_facts(caption) == [("dog",), ("bed",), ("lamp",), ("dog", "is", "brown"), ("dog", "on", "bed")]
    # A thing stands alone where nothing else is said of it.
    said = {("dog", "is", "brown"), ("dog", "on", "bed"), ("lamp",)}
    assert fact_sets(parsed_facts(caption))["all"] == said


class Parrot:
    """Finds a dog in every caption."""

    def parse(self, captions):
        return [ParsedCaption(text, (Entity("dog", "dog", "dog", (0, 3), (0, 3)),)) for text in captions]


@pytest.mark.parametrize("column", ["graph", "scene_graph"])
def test_files(tmp_path, column):
    path = tmp_path / "gold.csv"
    path.write_text(f'id,caption,{column}\n1,a dog,( dog )\n2,"a cat, black","( cat , is , black ) , ( x , y )"\n')
    gold = read_gold(path)
    assert gold.captions == ["a dog", "a cat, black"]
    assert [graph.facts for graph in gold.graphs] == [(("dog",),), (("cat", "is", "black"),)]
    assert gold.skipped == 1
    scores, kinds = evaluate_parser(Parrot(), gold)
    assert scores["all"] == pytest.approx({"precision": 0.5, "recall": 0.5, "f1": 0.5})
    assert kinds == {}


def test_choices():
    vase = (("flower", "in", "vase"), ("vase", "fill with", "flower"))
    assert read_choices("flower,in,vase| vase ,fill  with,flower ; hil=snowy;vase") == (
        [vase, (("hil", "is", "snowy"),), (("vase",),)],
        0,
    )
    assert read_choices("") == read_choices(" ; ") == ([], 0)
    assert read_choices("dog,on|bed") == ([(("bed",),)], 1)


def test_what_counts_as_right():
    vase = (("flower", "in", "vase"), ("vase", "fill with", "flower"))
    gold = GoldGraph(
        "a vase filled with flowers on its table",
        (("flower", "in", "vase"), ("vase", "on", "table")),
        alternatives=(vase,),
        optional=(("vase", "have", "table"), ("side",)),
    )

    def relations(facts, group="relations"):
        return [sorted(fact_sets(side)[group]) for side in accepted(facts, gold)]

    # The alternative that was parsed stands in the true graph; nothing parsed: the graph as it is.
    assert relations([("vase", "filled with", "flowers")]) == [[vase[1]], [vase[1], ("vase", "on", "table")]]
    assert relations([]) == [[], [vase[0], ("vase", "on", "table")]]
    # Both alternatives at once: one of them is wrong. What is optional counts neither way, nor do things in it alone.
    assert relations(vase)[0] == [vase[0], vase[1]] and len(relations(vase)[1]) == 2
    assert relations([("vase", "have", "table")])[0] == []
    assert relations([("vase", "have", "table"), ("side",), ("sky",)], "objects") == [
        [("sky",), ("table",), ("vase",)],
        [("flower",), ("table",), ("vase",)],
    ]


def test_a_graph_by_kinds(tmp_path):
    path = tmp_path / "gold.csv"
    path.write_text(
        "caption,graph,Kind,alternatives,optional\na dog,( dog ),animals,,\na cat,( cat ),animals,,dog\na bus,,,,dog\n"
    )
    scores, kinds = evaluate_parser(Parrot(), read_gold(path))
    assert list(kinds) == ["animals", "other"]
    assert kinds["animals"]["objects"] == pytest.approx({"precision": 1.0, "recall": 0.5, "f1": 2 / 3})
    assert kinds["other"]["objects"]["precision"] is None  # nothing true, and what was found is optional
    assert scores["objects"] == kinds["animals"]["objects"]
    result = CliRunner().invoke(app, ["evaluate-parser", str(path), "--json", str(tmp_path / "scores.json")])
    assert result.exit_code == 0, result.output
    assert any("animals" in line and " 2 " in line for line in result.output.splitlines())
    assert list(json.loads((tmp_path / "scores.json").read_text())["kinds"]) == ["animals", "other"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it has none"),
        (b"caption,text\na,b\n", "columns caption and graph are needed in the header; it has caption, text"),
        (b"caption,graph\n", "no captions"),
        (b"caption,graph\na dog\n", "line 2: a row cut short"),
        (b"caption,graph\n\xff\xfe,( a )\n", "not text in UTF-8"),
        (b"caption;graph\na dog;( dog )\n", "it has caption;graph; give each once, with commas between"),
        (b"caption,graph,kind,Kind\na dog,( dog ),x,y\n", "give kind, alternatives and optional once at most"),
        (b"caption,graph,Graph \na dog,( dog ),( dog )\n", "it has caption, graph, graph; give each once"),
        (b"caption,graph\na dog,( dog , is , brown )\n", "line 2: a row too long, 4 fields below 2 columns"),
        (b"caption,graph\na dog,dog\na cat,\n", "no graph holds a fact"),
        (b'caption,graph\na dog,"' + b"x" * 200_000 + b'"\n', "line 2: not CSV .field larger"),
    ],
)
def test_bad_files(tmp_path, content, message):
    path = tmp_path / "gold.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_gold(path)
    assert str(path) in str(error.value)


def test_headers_and_encodings_of_other_programs(tmp_path):
    path = tmp_path / "gold.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        path.write_text('Id, Caption ,GRAPH\r\n1,a café,"( café )"\r\n\r\n', encoding=encoding, newline="")
        (graph,) = read_gold(path).graphs
        assert (graph.caption, graph.facts) == ("a café", (("café",),))


def test_paths_that_are_no_files(tmp_path):
    for path in (tmp_path, tmp_path / "nosuch.csv"):
        result = CliRunner().invoke(app, ["evaluate-parser", str(path)])
        assert result.exit_code == 2 and "give a CSV file with columns caption and graph" in " ".join(
            result.output.split()
        )


def test_command(tmp_path):
    gold, out = tmp_path / "gold.csv", tmp_path / "new" / "scores.json"
    gold.write_text('caption,graph\na man rides a brown horse,"( man , ride , horse ) , ( horse , is , brown )"\n')
    result = CliRunner().invoke(app, ["evaluate-parser", str(gold), "--json", str(out)])
    assert result.exit_code == 0, result.output
    perfect = {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert json.loads(out.read_text()) == dict.fromkeys(GROUPS, perfect)
    assert "relations" in result.output
    gold.write_text('caption,graph\na man,"( man )"\n')
    result = CliRunner().invoke(app, ["evaluate-parser", str(gold)])
    row = next(line for line in result.output.splitlines() if "attributes" in line)
    assert row.count("-") == 3, row  # nothing is true of it and nothing found
    gold.write_text("caption\na dog\n")
    result = CliRunner().invoke(app, ["evaluate-parser", str(gold)])
    assert result.exit_code == 2
    assert "columns caption and graph" in result.output


SHARED = Path(__file__).parents[2].parent / "shared"


@pytest.mark.skipif(not (SHARED / "data/factual/dev.csv").exists(), reason="needs ../shared")
def test_every_fact_of_factual_is_read():
    gold = read_gold(SHARED / "data/factual/dev.csv")
    assert len(gold.captions) == 1000
    assert gold.skipped == 0
    assert all(graph.facts for graph in gold.graphs)
