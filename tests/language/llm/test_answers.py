"""Answers as language models write them, and the prompts that ask for them."""

import json

import pytest

from groundgraph.language.llm.answers import GraphAnswer, MalformedAnswer, NameAnswer, ParaphraseAnswer, read_answer
from groundgraph.language.llm.prompts import alignment, conversation, corrected, example_answers

GRAPH = '{"entities": ["man", "horse"], "triplets": [["man", "riding", "horse"]]}'


@pytest.mark.parametrize(
    "text",
    [
        GRAPH,
        f"```json\n{GRAPH}\n```",
        f'<think>Is it {{"entities": []}}? No.</think>\n{GRAPH}\nI hope that this helps {{you}}.',
        GRAPH.replace('"man"', '" man\\n"').replace("{", '{"note": [1], ', 1),
    ],
)
def test_the_object_is_read_whatever_is_around_it(text):
    answer = read_answer(text, GraphAnswer)
    assert answer.entities == ["man", "horse"] and answer.triplets == [["man", "riding", "horse"]]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("The man rides a horse.", "no JSON object"),
        (GRAPH[:-4], "no JSON object"),
        ("[1, 2]", "no JSON object"),
        ('{"entities": ["man"]}', "triplets: field required"),
        ('{"entities": "man", "triplets": []}', "entities: input should be a valid list"),
        ('{"entities": [1], "triplets": []}', "entities.0"),
        ('{"entities": ["--"], "triplets": []}', "entities.0"),
        ('{"entities": ["' + 81 * "a" + '"], "triplets": []}', "entities.0"),
        ('{"entities": [], "triplets": [["man", "horse"]]}', "triplets.0"),
        ('{"entities": [], "triplets": [["man", "", "horse"]]}', "triplets.0.1"),
        ('{"entities": [' + ",".join(101 * ['"a"']) + '], "triplets": []}', "entities"),
        (5000 * '{"a":', "no JSON object"),
    ],
)
def test_what_is_wrong_with_an_answer_is_said(text, why):
    with pytest.raises(MalformedAnswer) as error:
        read_answer(text, GraphAnswer)
    assert why in str(error.value)


def test_an_answer_has_the_schema_that_was_asked_for():
    with pytest.raises(MalformedAnswer, match="paraphrase: field required"):
        read_answer(GRAPH, ParaphraseAnswer)
    assert read_answer('{"name": null}', NameAnswer).name is None


@pytest.mark.parametrize(("task", "schema"), [("triplets", GraphAnswer), ("paraphrase", ParaphraseAnswer)])
def test_the_examples_of_a_prompt_are_of_its_schema_and_in_turns(task, schema):
    for _, answer in example_answers(task):
        graph = read_answer(json.dumps(answer), schema)
        assert {end for s, _, o in graph.triplets for end in (s, o)} <= set(graph.entities)
    turns = conversation(task, "a dog on a mat")
    assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2) + ["user"]
    assert turns[-1].content == "a dog on a mat" and "JSON" in turns[0].content
    again = corrected(turns, "no", "there is no JSON object")
    assert again[: len(turns)] == turns and again[-2].content == "no" and "no JSON object" in again[-1].content


def test_the_vocabulary_is_in_the_question_for_a_name():
    (turn,) = alignment("thing", ("man", "horse"), "rider {")
    assert "man, horse" in turn.content and turn.content.endswith('{"name": name or null}\n\nrider {')
