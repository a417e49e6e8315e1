"""What `groundgraph parse` reads: words, files, standard input; and what it says of what it cannot read."""

import json

import pytest
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.errors import InputError
from groundgraph.language import load_parser
from groundgraph.language.captions import read_captions
from groundgraph.language.parser import LONGEST


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parse(*words, **options):
    return CliRunner().invoke(app, ["parse", *map(str, words)], **options)


def test_captions_come_as_words_lines_and_json_lines(folder):
    (folder / "lines.txt").write_bytes("\ufeffa girl\r\n\r\n  a  kite\x1b[2J \r\na 女孩".encode())
    (folder / "noted").write_text("a dog\n")
    entries = [{"image": "a.jpg", "captions": ["a cat", "a mat"]}, {"image": "b.jpg", "triplets": [["a", "on", "b"]]}]
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, entries)))
    assert read_captions(["lines.txt", "a man\ton a horse", "own.jsonl", "noted", "x" * 9000])[:-1] == [
        "a girl", "a kite[2J", "a 女孩", "a man on a horse", "a cat", "a mat", "a dog",
    ]  # fmt: skip
    result = parse("-", "a cat on a mat", input=b"a girl flying a kite\n\na dog\n")
    assert result.exit_code == 0, result.output
    assert [c["caption"] for c in json.loads(result.stdout)] == ["a girl flying a kite", "a dog", "a cat on a mat"]


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("absent.txt", None, r"{0}/absent\.txt: no such file; give captions"),
        ("absent.jsonl", None, "no such file"),
        ("photo.jpg", b"\xff\xd8", r"photo\.jpg: \.jpg is not read for captions; give a text file"),
        ("captions.json", b"{}", r"captions\.json: \.json is not read"),
        ("latin.txt", "Hündchen".encode("cp1252"), r"latin\.txt: not text in UTF-8 .*; save it as UTF-8"),
        ("empty.txt", b"\n \n", r"empty\.txt: no caption there"),
        ("bad.jsonl", b'{"image": "a", "captions": ["a"]}\n{', r"bad\.jsonl, line 2: not valid JSON"),
        ("bad.jsonl", b'{"image": "a", "captions": "a dog"}', r"bad\.jsonl, line 1: write"),
        ("bad.jsonl", b"[1]", r"bad\.jsonl, line 1: write"),
        (".", None, "{0}: a folder; give captions"),
    ],
)
def test_what_is_no_file_of_captions_is_named(folder, name, content, why):
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=why.format(folder)):
        read_captions([name])
    assert parse(name).exit_code == 2


def test_standard_input_that_is_no_text(folder):
    result = parse("-", input=b"\xff\xfe\x00")
    assert result.exit_code == 2 and "standard input: not text in UTF-8" in result.output


@pytest.mark.parametrize("captions", ["a dog", [None], ["a dog", float("nan")], [7], [["a dog"]]])
def test_captions_are_a_list_of_texts(captions):
    with pytest.raises(InputError, match=r"parse\(\[caption\]\)|caption \d of \d is no text"):
        load_parser().parse(captions)


@pytest.mark.parametrize("space", [" ", "\n"])
def test_a_long_caption_ends_with_a_whole_word_and_parse_says_so(folder, space):
    for lead in range(LONGEST - 12, LONGEST + 2):  # the elephant lies on the border, before and behind it
        text = ("a dog, " * 100).ljust(lead - 4) + f"{space}an elephant on a hill"
        (caption,) = load_parser().parse([text])
        names = {entity.name for entity in caption.entities}
        assert names <= {"dog", "elephant"} and ("elephant" in names) == (lead + 8 <= LONGEST), (lead, names)
    result = parse("a small dog on a bed, " * 45 + "and an elephant near a lighthouse", "a dog")
    assert result.exit_code == 0 and "1 captions of which only the first 1000 characters were read" in result.stderr
    assert len(json.loads(result.stdout)) == 2
    assert len(load_parser().parse(["女" * 2000])) == 1
