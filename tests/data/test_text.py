"""Strangers' text and JSON, made safe."""

import os
import re

import pytest

from groundgraph.data.text import parse_json, plain, read_json, read_text
from groundgraph.data.vocabulary import Vocabulary
from groundgraph.errors import InputError
from groundgraph.evaluation.gold_graphs import read_gold
from groundgraph.formats.json_stream import read_objects
from groundgraph.stages.recipe import load_recipe


def test_plain_text():
    assert plain("  a\tcat \n on  a mat ") == "a cat on a mat"
    assert plain("a \x1b[2Jred\x00 cat\x7f") == "a [2Jred cat" and plain("\x00\x07") == ""
    assert plain("a \ud800 dog").encode() == b"a ? dog"
    assert plain("ein Hündchen, eine 猫 und 👩‍🚒") == "ein Hündchen, eine 猫 und 👩‍🚒"  # a joiner is part of the last


def test_json_says_where_it_is_wrong():
    assert parse_json('{"a": 1}', "x.json", "mend it") == {"a": 1}
    with pytest.raises(ValueError, match=r"x\.json, line 3: not valid JSON .*; mend it"):
        parse_json('{\n"a": 1,\n}', "x.json", "mend it")
    with pytest.raises(ValueError, match=r"x\.jsonl, line 7: not valid"):
        parse_json("{", "x.jsonl", "mend it", 7)
    for text in ("[" * 100_000, "1" * 5_000):
        with pytest.raises(ValueError, match=r"x\.json, from line 1: JSON that cannot be read .*; mend it"):
            parse_json(text, "x.json", "mend it")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_is_read_in_whatever_unicode_it_was_saved(tmp_path, encoding):
    path = tmp_path / "x.json"
    path.write_bytes('{"a": "Straße 🐴"}'.encode(encoding))
    assert read_json(path, "JSON") == {"a": "Straße 🐴"}
    path.write_bytes('[{"a": "Straße"}, {"a": "ß"}]'.encode(encoding))
    assert list(read_objects(path)) == [{"a": "Straße"}, {"a": "ß"}]
    path.write_bytes("person\nStraße\n".encode(encoding))
    assert Vocabulary.from_file(path.rename(tmp_path / "x.txt")).names == ("person", "Straße")
    path.write_bytes("caption,graph\na ß,( ß )\n".encode(encoding))
    assert read_gold(path).captions == ["a ß"]
    path.write_bytes("name: ß\ndata: {source: minigenome}\n".encode(encoding))
    assert load_recipe(path).name == "ß"


def test_text_that_cannot_be_read_is_named_with_its_cause(tmp_path):
    empty = tmp_path / "empty.txt"
    empty.write_bytes(b"")
    assert read_text(empty, "names") == ""
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'gone'}: no such file; give names")):
        read_text(os.path.relpath(tmp_path / "gone"), "names")
    with pytest.raises(InputError, match="a folder, no file; give names"):
        read_text(tmp_path, "names")
    for text in (b"Stra\xdfe", "Straße".encode("utf-16")[:-1]):
        empty.write_bytes(text)
        with pytest.raises(InputError, match=r"empty\.txt: not text in UTF-8 \(.*save it as UTF-8"):
            read_text(empty, "names")


def test_what_lies_under_a_key_is_left_out_wherever_it_is(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [{"long": [1, 2], "b": 3}], "long": 4}')
    assert read_json(tmp_path / "a.json", "a list", without="long") == {"a": [{"b": 3}]}
    (tmp_path / "a.json").write_text('{"long": 1, "long": 2}')
    with pytest.raises(InputError, match="'long' occurs twice"):
        read_json(tmp_path / "a.json", "a list", without="long")
