"""WordNet's table, and the script that makes it, on a WordNet of a dozen synsets."""

import gzip
import importlib.util
from pathlib import Path

import pytest

from groundgraph.language.wordnet import boxed_senses, boxed_word, nouns, senses, wider

ROOT = Path(__file__).parents[2]


def kinds(word):
    """Every word of every synset that the word's synsets are a kind of."""
    above = {number for sense in senses(word) for number in wider(sense)}
    return {w for w, numbers in nouns().meant.items() if above & set(numbers)}


def test_hypernyms_come_before_their_kinds():
    table = nouns()
    assert len(table.up) == 74385 and len(table.meant) == 104377
    assert all(above < number for number, line in enumerate(table.up) for above in line)


def test_a_photos_sense_is_the_thing():
    assert senses("couch") == senses("sofa")
    assert senses("calculator") == senses("calculating machine")  # not a person
    assert "animal" in kinds("leopard") and "fruit" in kinds("banana") and "food" in kinds("pizza")
    assert {"animal", "seafood"} <= kinds("lobster")
    assert senses("mouse#4") == senses("computer mouse") != senses("mouse")
    assert senses("no such word") == ()


def test_broad_words_are_nothing_s_kind():
    for word in ("man", "dog", "chair", "bicycle", "banana", "frisbee"):
        assert not kinds(word) & {"object", "physical object", "entity", "artifact", "whole", "structure", "covering"}
    assert "container" not in kinds("bicycle") and "container" in kinds("bottle")


def test_nearest_comes_first():
    (puppy,) = senses("puppy")
    line = wider(puppy)
    assert line[0] == puppy and line.index(senses("dog")[0]) < line.index(senses("animal")[0])


@pytest.mark.parametrize("word", ["dog", "man", "people", "street", "snow", "parking lot", "lobster", "cup", "sky"])
def test_things_people_and_stuff_can_be_boxed(word):
    assert boxed_word(word) and boxed_senses(senses(word))


@pytest.mark.parametrize("word", ["picture", "photo", "view", "day", "background", "side", "close", "closeup", "air"])
def test_what_has_no_outline_or_is_the_photo_itself_cannot(word):
    assert not boxed_word(word)


def test_a_word_is_judged_by_its_uses_not_by_its_most_visible_sense():
    assert boxed_senses(senses("background")) and not boxed_word("background")  # the backdrop of a stage


def load_script():
    spec = importlib.util.spec_from_file_location("build_wordnet", ROOT / "tools" / "build_wordnet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_script_on_a_small_wordnet(tmp_path):
    # offset, lexicographer file, words, hypernyms; Rex is an instance of dog and left out
    synsets = [
        ("00000001", 3, ["entity"], []),
        ("00000002", 5, ["dog", "Hound"], ["@ 00000001"]),
        ("00000003", 18, ["dog"], ["@ 00000001"]),
        ("00000004", 5, ["rex"], ["@i 00000002"]),
        ("00000005", 7, ["cold"], []),
        ("00000006", 20, ["fig"], ["@ 00000001"]),
        ("00000007", 13, ["fig"], ["@ 00000001"]),
    ]
    lines = ["  1 This is the licence"]
    for offset, file, words, up in synsets:
        named = " ".join(f"{word} 0" for word in words)
        pointers = " ".join(f"{p} n 0000" for p in up)
        lines.append(f"{offset} {file:02d} n {len(words):02x} {named} {len(up):03d} {pointers} | a gloss | with a bar")
    (tmp_path / "data.noun").write_text("\n".join(lines))
    index = {"entity": [1], "dog": [3, 2], "hound": [2], "rex": [4], "cold": [5], "fig": [6, 7]}
    index = [f"{w} n {len(o)} 0 {len(o)} 0 {' '.join(f'{n:08d}' for n in o)}" for w, o in index.items()]
    (tmp_path / "index.noun").write_text("\n".join(["  1 This is the licence", *index]))
    # The person dog was met more often; figs are eaten, whatever was met.
    (tmp_path / "cntlist.rev").write_text("dog%1:18:00:: 1 7\ndog%1:05:00:: 2 3\nfig%1:20:00:: 1 9\ndog%2:38:00:: 1 99")
    # "cold" and "entity" are nothing that a box can be drawn around.
    expected = ["~\tentity", "1\tdog#2,hound", "2\tdog", "~\tcold", "4\tfig#1", "5\tfig"]
    assert load_script().table(tmp_path).splitlines() == expected


def test_script_names_the_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"data\.noun: no such file"):
        load_script().table(tmp_path)


def test_the_table_is_packed_without_a_time_stamp():
    packed = (ROOT / "groundgraph" / "language" / "wordnet_nouns.txt.gz").read_bytes()
    assert packed[4:8] == b"\0\0\0\0" and len(gzip.decompress(packed)) < 2_500_000
