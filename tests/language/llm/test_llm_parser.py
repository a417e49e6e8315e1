"""Captions parsed by a tiny language model that transformers runs: right answers, rubbish, and what is left out."""

import pytest
from tiny import ANSWERS, save_tiny

from groundgraph.errors import InputError
from groundgraph.language import load_parser
from groundgraph.language.llm.parser import RULES
from groundgraph.language.llm.prompts import Message
from groundgraph.language.llm.respondent import AGAIN, KEPT, MALFORMED, SENT

OPTIONS = {"max_tokens": 48, "device": "cpu"}


def words(parsed):
    return [(c.entities[t.subject].name, t.predicate, c.entities[t.object].name) for c in parsed for t in c.triplets]


def test_the_models_answers_are_tied_to_the_captions_characters(taught):
    parser = load_parser("llm", model=taught, batch_size=2, **OPTIONS)
    captions = [*ANSWERS, "a red bus"]
    parsed = parser.parse(captions)
    assert [c.text for c in parsed] == captions and parsed[-1] == parsed[-2]
    assert words(parsed) == [("man", "ride", "horse"), ("dog", "under", "table")]
    assert [[c.text[slice(*e.head_span)] for e in c.entities] for c in parsed] == [
        ["man", "horse"],
        ["dogs", "table"],
        ["bus"],
        ["bus"],
    ]
    assert parser.counts[SENT] == 3 and parser.counts[AGAIN] == parser.counts[RULES] == 0
    assert parser.counts["tokens read"] > 3 * 300 and 3 * 5 < parser.counts["tokens written"] <= 3 * 48
    again = load_parser("llm", model=taught, **OPTIONS)
    assert again.parse(captions) == parsed and again.counts[SENT] == 0 and again.counts[KEPT] == 3


def test_rubbish_is_asked_for_again_once_and_then_the_rules_answer(untaught):
    parser = load_parser("llm", model=untaught, **OPTIONS | {"max_tokens": 16})
    captions = ["a man riding a horse", "a cat on a mat", "a cat on a mat"]
    assert parser.parse(captions) == load_parser("rules").parse(captions)
    assert parser.counts[AGAIN] == parser.counts[MALFORMED] == parser.counts[RULES] == 2 and parser.counts[SENT] == 4


def test_what_is_no_english_or_empty_is_not_asked_for_and_the_end_of_a_long_caption_neither(taught):
    parser = load_parser("llm", model=taught, **OPTIONS)
    sent = []
    parser.respondent.answers = lambda conversations, schema: sent.extend(conversations) or [None] * len(conversations)
    long = "a dog " * 300
    parsed = parser.parse(["eine Katze auf dem Tisch mit einem Hund", "", long])
    assert [c.text for c in parsed][:2] == ["eine Katze auf dem Tisch mit einem Hund", ""]
    assert not parsed[0].entities and not parsed[1].entities and len(sent) == 1
    assert sent[0][-1].content == long[:1000].rsplit(" ", 1)[0] + " "
    assert parser.counts["captions that look like no English and were left out"] == 1
    with pytest.raises(InputError, match="list of texts"):
        parser.parse("a dog")


def test_a_paraphrase_adds_the_triplets_that_the_caption_has_not(tmp_path):
    from groundgraph.language.llm.prompts import conversation

    caption, graph = "a man riding a horse", ANSWERS["a man riding a horse"]
    other = {
        "paraphrase": "A rider sits on a horse.",
        "entities": ["rider", "horse"],
        "triplets": [["rider", "sitting on", "horse"], ["man", "rides", "horse"]],
    }
    answers = {conversation("triplets", caption): graph, conversation("paraphrase", caption): other}
    model = save_tiny(tmp_path / "model", answers)
    parser = load_parser("llm", model=model, paraphrase=True, max_tokens=80, device="cpu")
    parsed = parser.parse([caption])
    (paraphrase,) = parser.paraphrases(parsed)
    assert paraphrase.text == "A rider sits on a horse." and words([paraphrase]) == [("rider", "sit on", "horse")]
    assert [paraphrase.text[slice(*e.head_span)] for e in paraphrase.entities] == ["rider", "horse"]
    assert load_parser("llm", model=model, **OPTIONS).paraphrases(parsed) == [None]


def test_a_model_without_a_chat_template_reads_a_transcript(tmp_path):
    model = save_tiny(tmp_path / "model", template=None)
    parser = load_parser("llm", model=model, **OPTIONS | {"max_tokens": 16})
    text = parser.respondent.model.tokenizer.decode(
        parser.respondent.model.tokens((Message("user", "a"), Message("assistant", "b"), Message("user", "c")))
    )
    assert text == "Caption: a\n\nAnswer: b\n\nCaption: c\n\nAnswer:"
    assert len(parser.parse(["a dog"])) == 1


def test_a_prompt_longer_than_the_model_reads_is_an_error_and_one_caption_is_not(untaught):
    with pytest.raises(InputError, match=r"reads 4,096 tokens, and the prompt has .* a lower parser.max_tokens"):
        load_parser("llm", model=untaught, max_tokens=4000, device="cpu")
    parser = load_parser("llm", model=untaught, **OPTIONS)
    parser.respondent.model.longest = len(parser.respondent.model.tokens((Message("user", "a dog"),))) + 48
    assert parser.parse(["a dog"])[0].entities and parser.counts["requests that the language model refused"] == 1


def test_a_model_that_is_no_decoder_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
    with pytest.raises(InputError, match="no language model could be loaded from"):
        load_parser("llm", model=str(tmp_path), device="cpu")
    with pytest.raises(InputError, match="does not exist"):
        load_parser("llm", model="./nowhere", device="cpu")
