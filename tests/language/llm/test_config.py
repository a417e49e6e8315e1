"""The recipe's part: what is refused without being repeated, what decides results, and what may leave the machine."""

import pytest

from groundgraph.errors import InputError
from groundgraph.language.parser import RuleParser
from groundgraph.pretrained.words import WordGrounder
from groundgraph.stages import stages
from groundgraph.stages.parsers import PARSER_CONFIGS, offline, parser_config
from groundgraph.stages.preflight import require_all
from groundgraph.stages.recipe import find_recipe, load_recipe

KEY = "sk-abc123-not-to-be-seen"
SERVER = ["parser.name=llm", "parser.model=m", "parser.url=http://localhost:8000/v1/"]


def recipe(*settings):
    return load_recipe(find_recipe("demo"), settings)


@pytest.mark.parametrize(
    "settings",
    [
        [f"parser.api_key_env={KEY}"],
        [f"parser.api_key={KEY}"],
        [f"parser.url=https://user:{KEY}@host.example/v1"],
        [f"parser.url=https://host.example/v1?key={KEY}"],
        [f"parser={{name: nonsense, api_key: {KEY}}}"],
        [f"parser={{name: llm, api_key_env: [{KEY}]}}"],
    ],
)
def test_a_key_in_a_recipe_is_refused_and_not_repeated(settings, tmp_path):
    with pytest.raises(InputError, match="parser") as error:
        recipe(*SERVER, *settings)
    assert KEY not in str(error.value)
    path = tmp_path / "recipe.yaml"
    part = settings[0].partition("=")
    value = part[2] if part[0] == "parser" else f"{{name: llm, {part[0].removeprefix('parser.')}: {part[2]!r}}}"
    path.write_text(f"extends: demo\nname: x\nparser: {value}\n")
    with pytest.raises(InputError, match="parser") as error:
        load_recipe(path)
    assert KEY not in str(error.value)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://host/v1", "http://", "http://host:99999/v1", "v1"])
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(InputError, match="give a server's base"):
        recipe(*SERVER, f"parser.url={url}")


def test_a_model_has_to_be_named():
    with pytest.raises(InputError, match=r"`parser\.model`: field required"):
        recipe("parser.name=llm")
    with pytest.raises(InputError, match="--parser llm: model: field required"):
        parser_config("llm")


def test_where_a_model_is_and_how_it_is_asked_decides_no_result():
    here, there = recipe(*SERVER[:2]).parser, recipe(*SERVER).parser
    otherwise = recipe(*SERVER, "parser.requests=3", "parser.api_key_env=SOME_KEY", "parser.prices=[1, 2]").parser
    assert here.settings == there.settings == otherwise.settings
    assert recipe(*SERVER, "parser.paraphrase=true").parser.settings != here.settings
    assert (here.network, there.network) == ("m", None) and there.url == "http://localhost:8000/v1"


def test_what_sends_captions_is_replaced_where_none_may_be_sent():
    assert offline(recipe(*SERVER).parser) == PARSER_CONFIGS["rules"]()
    assert isinstance(WordGrounder(recipe(*SERVER), None).parser, RuleParser)  # of a packed model, a stranger's perhaps
    for config in (recipe(*SERVER[:2]).parser, recipe().parser):
        assert offline(config) is config


def test_a_key_that_is_not_set_is_missing_before_the_run(monkeypatch):
    stage = next(s for s in stages(recipe(*SERVER, "parser.api_key_env=SOME_KEY")) if s.name == "parsed")
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(InputError, match=r"SOME_KEY: missing \(parser's key\); export SOME_KEY="):
        require_all(stage.requirements())
    monkeypatch.setenv("SOME_KEY", KEY)
    require_all(stage.requirements())


def test_alignment_by_a_language_model_needs_one():
    stages(recipe(*SERVER, "vocabulary.alignment.kind=llm"))
    with pytest.raises(InputError, match=r"set parser\.name to llm"):
        stages(recipe("vocabulary.alignment.kind=llm"))


def test_a_commands_option_is_not_repeated_where_it_may_hold_a_key():
    for text in (f"{{name: llm, api_key_env: {KEY}}}", f"{{name: nonsense, key: {KEY}}}", f"{{name: llm, url: {KEY}"):
        with pytest.raises(InputError, match="--parser") as error:
            parser_config(text)
        assert KEY not in str(error.value)
