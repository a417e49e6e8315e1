"""Parsers that write graphs, by a network that really does: alone, by the commands, and in a run."""

import csv
import json

import numpy as np
import pytest
from captioned import captioned_photos
from tiny_seq2seq import GRAPHS, fit_parser
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.types import ParsedCaption
from groundgraph.engine.execute import execute
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.run import Run
from groundgraph.engine.stage import with_needs
from groundgraph.errors import InputError
from groundgraph.language import load_parser, open_parser
from groundgraph.language.encoder import TextEncoder
from groundgraph.language.facts import CUT_OFF, EMPTY, PARTS, UNTIED
from groundgraph.language.parser import CUT
from groundgraph.language.seq2seq import MODEL, SHORTENED, Seq2SeqParser
from groundgraph.stages import stages
from groundgraph.stages.examples import image_ids
from groundgraph.stages.own_photos import open_recipe
from groundgraph.stages.parsed import parsed
from groundgraph.stages.parsers import parser_config
from groundgraph.stages.preflight import needs, require
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.stages.text import text

CAPTIONS = list(GRAPHS)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return fit_parser(tmp_path_factory.mktemp("seq2seq"))


def triplets(caption):
    names = [entity.name for entity in caption.entities]
    return [(names[t.subject], t.predicate, names[t.object]) for t in caption.triplets]


def option(model, **options):
    return json.dumps({"name": "seq2seq", "model": model, **options})


@pytest.mark.parametrize("num_beams", [1, 3])
def test_captions_become_graphs_tied_to_their_words(model, num_beams):
    parser = load_parser("seq2seq", model=model, num_beams=num_beams, batch_size=3)
    parsed = dict(zip(CAPTIONS, parser.parse(CAPTIONS), strict=True))
    assert [caption.text for caption in parsed.values()] == CAPTIONS
    assert triplets(parsed["a man riding a horse"]) == [("man", "ride", "horse")]
    assert triplets(parsed["the kite is flown by a boy"]) == [("boy", "fly", "kite")]
    dogs, couch = parsed["two dogs on a red couch"].entities
    assert (dogs.name, dogs.text, dogs.head, dogs.attributes) == ("dog", "two dogs", "dogs", ("2",))
    assert (couch.text, couch.attributes) == ("a red couch", ("red",))
    first, second = parsed["a cat next to another cat"].entities
    assert first.span == (0, 5) and second.span == (22, 25)
    assert [e.text for e in parsed[CAPTIONS[3]].entities] == ["a woman", "a wet suit", "a surf board"]
    assert parsed["a broken one"] == ParsedCaption("a broken one")
    kids, ball = parsed["kids play"].entities
    assert kids.tied and not ball.tied and ball.name == "ball"
    assert {what: n for what, n in parser.counts.items() if n} == {EMPTY: 1, PARTS: 1, UNTIED: 1}


def test_equal_captions_are_read_once_and_counted_each_time(model, monkeypatch):
    parser, read = load_parser("seq2seq", model=model), []
    write = parser._write
    monkeypatch.setattr(parser, "_write", lambda captions: read.append(captions) or write(captions))
    one, two, empty = parser.parse(["kids play", "kids play", " "])
    assert one == two and read == [["kids play"]] and not empty.entities and parser.counts[UNTIED] == 2
    assert parser.parse([]) == []
    with pytest.raises(InputError, match=r"parse\(\[caption\]\)"):
        parser.parse("a dog")


def test_what_is_cut_is_counted(model):
    parser = load_parser("seq2seq", model=model, max_new_tokens=3)
    assert parser.parse(["a man riding a horse"])[0].entities == () and parser.counts[CUT_OFF] == 1
    parser.limit = 8
    parser.parse(["a man " * 200])
    assert parser.counts[CUT] == 1 and parser.counts[SHORTENED] == 1


def test_commands_take_it(model, tmp_path):
    words = ["parse", "two dogs on a red couch", "kids play", "--parser", option(model)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)[0]["triplets"] == [["dog", "on", "couch"]]
    assert f"1 {UNTIED}" in result.stderr
    with (tmp_path / "gold.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("caption", "graph"), *list(GRAPHS.items())[:2]])
    words = ["evaluate-parser", tmp_path / "gold.csv", "--parser", option(model), "--json", tmp_path / "scores.json"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert {scores[group]["f1"] for group in ("objects", "attributes", "relations")} == {1.0}


@pytest.mark.parametrize(
    ("parser", "cause"),
    [
        ("magic", "choose one of rules, seq2seq"),
        ("{name: seq2seq, beams: 2}", "seq2seq has no option beams; it has name, model, prefix, num_beams"),
        ("{name: seq2seq, num_beams: 0}", "num_beams: input should be greater"),
        ("{name: seq2seq", "not valid YAML"),
        ("[a]", "give a name, or a mapping"),
        ("{name: seq2seq, model: bundled:text}", "is a bert model, no encoder-decoder"),
        ("{name: seq2seq, model: ./gone}", "does not exist"),
        ("seq2seq", f"{MODEL}: no such folder; and as an id of the hub: HF_HUB_OFFLINE forbids to fetch it"),
        ("truth", "reads the data's annotations, not captions"),
        ("{name: truth, model: x}", "the parser truth has no model"),
    ],
)
def test_a_wrong_parser_is_said(parser, cause, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["parse", "a man", "--parser", parser])
    assert result.exit_code == 2 and cause in " ".join(result.output.split()), result.output


def test_a_recipe_names_its_options(model):
    recipe = load_recipe(find_recipe("demo"), ["parser.name=seq2seq", f"parser.model={model}", "parser.num_beams=2"])
    parser = open_parser(recipe.parser, recipe.device, recipe.precision)
    assert parser.search["num_beams"] == 2
    with pytest.raises(InputError, match=r"--set parser.beams=2: `parser.beams` is no key.* num_beams"):
        load_recipe(find_recipe("demo"), ["parser.name=seq2seq", "parser.beams=2"])
    assert parser_config("rules") == load_recipe(find_recipe("demo")).parser


def test_a_recipe_of_another_parser_takes_over_none_of_its_options(tmp_path):
    base = "name: base\ndata: {source: minigenome}\nparser: {name: seq2seq, num_beams: 4}\n"
    (tmp_path / "base.yaml").write_text(base)
    (tmp_path / "same.yaml").write_text("name: same\nextends: base.yaml\nparser: {batch_size: 2}\n")
    (tmp_path / "other.yaml").write_text("name: other\nextends: base.yaml\nparser: {name: rules}\n")
    same = load_recipe(tmp_path / "same.yaml").parser
    assert (same.num_beams, same.batch_size) == (4, 2)
    assert load_recipe(tmp_path / "other.yaml").parser == parser_config("rules")


def test_what_decides_graphs_makes_the_stage_stale(model, tmp_path):
    def fingerprint(*settings):
        recipe = load_recipe(find_recipe("demo"), ["parser.name=seq2seq", f"parser.model={model}", *settings])
        return fingerprints(stages(recipe))["parsed"]

    before = fingerprint()
    assert fingerprint("parser.batch_size=2") == before
    assert (
        len({before, fingerprint("parser.num_beams=2"), fingerprint("parser.prefix=x"), fingerprint("precision=bf16")})
        == 4
    )
    other = fit_parser(tmp_path / "other", steps=1)
    assert fingerprint(f"parser.model={other}") != before


def test_a_model_that_is_not_here_is_said_before_the_run(tmp_path):
    recipe = load_recipe(find_recipe("demo"), ["parser.name=seq2seq"])
    (need,) = [need for need in needs(recipe) if need.key == "parser.model"]
    assert need.place == MODEL and not need.present
    with pytest.raises(InputError, match=rf"{MODEL} \(parser's model\) is not here.*--set parser.model=FOLDER"):
        require(Run(recipe, tmp_path / "run"))


def photos_of(folder, model, *settings):
    """A folder of two photos with the captions that the model knows, as a recipe."""
    captioned_photos(folder, 2)
    names = [json.loads(line)["image"] for line in (folder / "captions.jsonl").read_text().splitlines()]
    lines = [{"image": n, "captions": c} for n, c in zip(names, (CAPTIONS[:4], CAPTIONS[4:]), strict=True)]
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return open_recipe(str(folder), ["parser.name=seq2seq", f"parser.model={model}", "device=cpu", *settings])


def test_a_run_that_is_broken_off_parses_no_caption_again(model, tmp_path, monkeypatch):
    recipe = photos_of(tmp_path / "photos", model)
    listing = with_needs(stages(recipe), ["parsed"])
    whole = Run(recipe, tmp_path / "whole")
    execute(whole, listing)
    monkeypatch.setattr(Seq2SeqParser, "images_at_once", 1)
    write, read = Seq2SeqParser._write, []

    def breaking(parser, captions):
        read.extend(captions)
        if len(read) == len(CAPTIONS):
            raise KeyboardInterrupt
        return write(parser, captions)

    monkeypatch.setattr(Seq2SeqParser, "_write", breaking)
    with pytest.raises(KeyboardInterrupt):
        execute(Run(recipe, tmp_path / "run"), listing)
    read.clear()
    run = Run(recipe, tmp_path / "run")
    execute(run, listing)
    assert sorted(read) == sorted(CAPTIONS[4:])
    assert run.record("parsed")["counts"] == whole.record("parsed")["counts"]
    assert list(parsed(run, "train")) == list(parsed(whole, "train"))
    assert [p.name for p in (tmp_path / "run" / "parsed").iterdir() if p.is_dir()] == []


def test_a_run_reads_untied_words_by_themselves(model, tmp_path):
    settings = [
        "detector.kind=torchvision", "detector.model=bundled:detector", "text.model=bundled:text",
        "teachers.interaction.model=bundled:vl", "teachers.expert=null", "grounding.fusing=average",
    ]  # fmt: skip
    recipe = photos_of(tmp_path / "photos", model, *settings)
    run = Run(recipe, tmp_path / "run")
    execute(run, with_needs(stages(recipe), ["text", "teachers"]))
    counts = run.record("parsed")["counts"]
    assert (counts["captions"], counts[UNTIED], counts[EMPTY], counts[PARTS]) == (8, 1, 1, 1)
    rows = np.concatenate([text(run, "train")[name]["embeddings"] for name in image_ids(run, "train")])
    entities = [entity for captions in parsed(run, "train") for caption in captions for entity in caption.entities]
    ((row, ball),) = [(row, entity) for row, entity in zip(rows, entities, strict=True) if not entity.tied]
    (expected,) = TextEncoder("bundled:text", device="cpu").embed_words([ball.name])
    assert ball.name == "ball" and np.abs(row - expected).max() < 1e-5
