"""Strangers' text and JSON, made safe."""

import pytest

from groundgraph.data.sources.text import parse_json, plain


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
