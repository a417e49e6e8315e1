"""Answers that are kept: by model, limit and prompt, in one file for several processes, whole after a kill."""

import multiprocessing
import os
import signal
from collections import Counter

import pytest

from groundgraph.errors import InputError
from groundgraph.language.llm.answers import NameAnswer
from groundgraph.language.llm.cache import AnswerCache, Completion
from groundgraph.language.llm.config import LlmConfig
from groundgraph.language.llm.cost import token_cost
from groundgraph.language.llm.prompts import Message, conversation
from groundgraph.language.llm.respondent import (
    AGAIN,
    KEPT,
    MALFORMED,
    READ,
    REFUSED,
    RETRIED,
    SENT,
    WRITTEN,
    Respondent,
)

ONE, TWO = (Message("user", "one"),), (Message("user", "two"),)


class Scripted:
    """A model whose answers are written down."""

    def __init__(self, answers):
        self.texts, self.sent, self.works = answers, [], False

    def answers(self, conversations):
        for one in conversations:
            self.sent.append(one[-1].content)
            text = self.texts.pop(0)
            yield [(one, None if text is None else Completion(text, 10, 2))]


def test_an_answer_is_kept_by_model_limit_and_prompt(tmp_path):
    path = tmp_path / "new" / "answers.sqlite"
    cache = AnswerCache("m", 100, path)
    assert cache.lookup([ONE]) == {}
    cache.store([(ONE, Completion("é 😀", 7, 3))])
    assert AnswerCache("m", 100, path).lookup([ONE, TWO, ONE]) == {ONE: ("é 😀", 7, 3)}
    assert AnswerCache("m", 200, path).lookup([ONE]) == AnswerCache("n", 100, path).lookup([ONE]) == {}
    many = [(Message("user", str(i)),) for i in range(1200)]
    cache.store((one, Completion(one[0].content, 0, 0)) for one in many)
    assert {one[0].content: c.text for one, c in cache.lookup(many).items()} == {str(i): str(i) for i in range(1200)}


def test_a_file_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "answers.sqlite"
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(InputError, match=r"answers\.sqlite: answers of language models cannot be kept"):
        AnswerCache("m", 1, path)
    with pytest.raises(InputError, match="XDG_CACHE_HOME"):
        AnswerCache("m", 1, path / "below" / "answers.sqlite")


def _store_forever(path, first):
    cache = AnswerCache("m", 1, path)
    for number in range(first, first + 10_000):
        cache.store([((Message("user", str(number)),), Completion(str(number), 1, 1))])
        if number == first + 20:
            (path.parent / f"{first}.ready").touch()


def test_two_processes_write_and_a_killed_one_loses_nothing_that_it_kept(tmp_path):
    path = tmp_path / "answers.sqlite"
    AnswerCache("m", 1, path).close()
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_store_forever, args=(path, first)) for first in (0, 50_000)]
    for process in processes:
        process.start()
    for process, first in zip(processes, (0, 50_000), strict=True):
        while not (path.parent / f"{first}.ready").exists():
            process.join(0.05)
            assert process.is_alive()
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    kept = AnswerCache("m", 1, path).lookup([(Message("user", str(n)),) for n in (0, 20, 50_000, 50_020)])
    assert sorted(c.text for c in kept.values()) == ["0", "20", "50000", "50020"]


def test_a_malformed_answer_is_asked_for_again_once_and_kept_too(tmp_path):
    model, counts = Scripted(["rubbish", '{"name": "b"}', '{"name": "a"}', "rubbish"]), Counter()
    respondent = Respondent(model, AnswerCache("m", 1, tmp_path / "a.sqlite"), counts)
    answers = respondent.answers([ONE, TWO, ONE], NameAnswer)
    assert [a and a.name for a in answers] == ["a", "b", "a"]
    numbers = {SENT: 3, KEPT: 0, REFUSED: 0, AGAIN: 1, MALFORMED: 0, READ: 30, WRITTEN: 6, RETRIED: 0}
    assert counts == numbers
    assert model.sent[:2] == ["one", "two"] and "no JSON object" in model.sent[2]
    counts.clear()
    assert respondent.answers([ONE], NameAnswer)[0].name == "a" and counts[SENT] == 0 and counts[KEPT] == 2
    three = (Message("user", "three"),)
    respondent.model = Scripted(["rubbish", "rubbish", '{"name": "c"}'])
    assert respondent.answers([three], NameAnswer) == [None] and counts[MALFORMED] == 1
    assert respondent.answers([three], NameAnswer) == [None] and counts[SENT] == 2  # malformed as before, for nothing
    respondent.model = Scripted([None, '{"name": "d"}'])
    four = (Message("user", "four"),)
    assert respondent.answers([four], NameAnswer) == [None] and counts[REFUSED] == 1
    assert respondent.answers([four], NameAnswer)[0].name == "d"  # what was refused is not kept


def test_what_a_run_costs_is_counted_without_what_is_kept(tmp_path):
    config = LlmConfig(model="m", url="http://localhost:1/v1", prices=(2.0, 8.0), paraphrase=True)
    cache, captions = AnswerCache("m", 512, tmp_path / "a.sqlite"), ["a dog on a mat", "a cat", "a cat"]
    whole = token_cost(config, captions, False, None)
    assert whole.requests == 2 and whole.kept == 0
    characters = [sum(len(turn.content) for turn in conversation("triplets", c)) for c in captions[:2]]
    turns = len(conversation("triplets", ""))
    assert whole.read == pytest.approx(sum(characters) / 3.5 + 2 * 4 * turns)
    assert token_cost(config, captions, True, None).requests == 4  # and their paraphrases
    cache.store([(conversation("triplets", "a cat"), Completion("", 0, 0))])
    rest = token_cost(config, captions, False, cache)
    assert rest.requests == 1 and rest.kept == 1 and rest.read < whole.read
    cost = rest._replace(read=3_000_000, written=500_000).times(2)
    assert cost.words(config) == (
        "2 requests to m at http://localhost:1/v1: about 6.0 M tokens read, 1.0 M written, 20.00 by parser.prices "
        "(2 answers kept from before cost nothing)"
    )
