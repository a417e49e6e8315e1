"""Words to names by their embeddings: the likest, the threshold, and words that are names already."""

from collections import Counter

import numpy as np
import pytest

from groundgraph.data.vocabulary import VG150_OBJECTS, VG150_PREDICATES, Vocabulary
from groundgraph.language.alignment import OTHERWISE, answered_names, nearest_names, same_names
from groundgraph.language.concepts import ConceptMap
from groundgraph.language.llm.cache import AnswerCache, Completion
from groundgraph.language.llm.respondent import SENT, Respondent


class Table:
    """An encoder whose embeddings are written down."""

    def __init__(self, rows):
        self.rows = rows

    def embed_words(self, words):
        return np.array([self.rows[word] for word in words], np.float32)


def test_the_likest_name_is_meant_where_it_is_alike_enough():
    encoder = Table({"dog": [2, 0], "cat": [0, 3], "puppy": [3, 1], "lynx": [1, 3], "sky": [-1, -1], "dogs": [0, 1]})
    words = ["puppy", "lynx", "sky", "dogs"]  # cosines of puppy .949 and .316, of sky -.707 both
    assert nearest_names(encoder, words, ["dog", "cat"], "thing", 0.9).tolist() == [0, 1, -1, 0]  # dogs is dog itself
    assert nearest_names(encoder, words, ["dog", "cat"], "thing", 0.95).tolist() == [-1, -1, -1, 0]
    assert nearest_names(encoder, words, ["dog", "cat"], "thing", -1).tolist()[:2] == [0, 1]
    assert nearest_names(encoder, [], ["dog"], "thing", 0.9).tolist() == []
    assert nearest_names(encoder, ["sky"], [], "thing", -1).tolist() == [-1]


def test_a_name_is_itself_in_any_form():
    assert same_names(["men", "man", "Bikes", "sky"], ["man", "men", "bike"], "thing").tolist() == [1, 0, 2, -1]
    assert same_names(["stand on", "holding"], ["standing on", "hold"], "relation").tolist() == [0, 1]


def test_an_encoder_of_sentences_aligns_words_that_people_write():
    from groundgraph.language.encoder import TextEncoder

    pytest.importorskip("all_minilm_l6_v2")
    encoder = TextEncoder("package:all_minilm_l6_v2", pool="phrase", device="cpu")
    words = ["motorbike", "girafe", "philosophy"]
    meant = nearest_names(encoder, words, VG150_OBJECTS.names, "thing", 0.6)
    assert [VG150_OBJECTS.names[i] if i >= 0 else None for i in meant] == ["motorcycle", "giraffe", None]
    meant = nearest_names(encoder, ["wear", "stroll on"], VG150_PREDICATES.names, "relation", 0.6)
    assert [VG150_PREDICATES.names[i] for i in meant] == ["wearing", "walking on"]


def test_a_language_model_names_what_a_word_means_and_wordnet_where_it_does_not(tmp_path):
    answers = {
        "hound": '{"name": "Dogs"}',
        "satchel": '{"name": "bag"}',
        "sky": '{"name": null}',
        "kitten": "rubbish",
        "lynx": '{"name": "panther"}',
    }

    class Model:
        works = True

        def answers(self, conversations):
            words = [turn.content.rsplit("\n", 1)[1] for turn, *_ in conversations]
            yield [(c, Completion(answers[w], 9, 1)) for c, w in zip(conversations, words, strict=True)]

    counts = Counter()
    respondent = Respondent(Model(), AnswerCache("m", 9, tmp_path / "a.sqlite"), counts)
    words, names = ["dogs", *answers], ["dog", "bag", "cat"]
    meant = answered_names(respondent, words, names, "thing", [0, 7, 7, 7, 2, -1])
    assert meant.tolist() == [0, 0, 1, -1, 2, -1]  # what is a name is not asked for; of kitten and lynx WordNet decides
    assert counts[SENT] == 5 + 1 and counts[OTHERWISE] == 2


def test_given_meanings_go_before_wordnets():
    concepts = ConceptMap(Vocabulary(("dog", "bag")), Vocabulary(("on", "holding")))
    assert concepts.category_of("puppy") == 0 and concepts.predicate("carry") == 1
    concepts.take({"puppy": -1, "satchel": 1}, {"carry": -1})
    assert [concepts.category_of(word) for word in ("puppy", "satchel", "dog")] == [-1, 1, 0]
    assert concepts.predicate("carry") == -1 and concepts.predicate("hold") == 1
