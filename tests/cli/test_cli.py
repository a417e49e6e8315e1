"""What the command line says of a mistake, of a bug, and of what the system refuses."""

import errno
import json
from importlib.metadata import version

import numpy as np
import pytest
from typer.testing import CliRunner

from groundgraph import models as experts
from groundgraph.cli import app
from groundgraph.errors import InputError
from groundgraph.stages import examples
from groundgraph.stages.recipe import load_recipe, run_recipe

SMALL = ["data.train=4", "data.validation=2", "data.test=2", "grounder=sgnls"]


def invoke(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_the_version():
    result = invoke("--version")
    assert result.exit_code == 0 and result.output.strip() == version("groundgraph")


def a_numpy_error(run, folder):
    np.zeros(3) + np.zeros(4)


def an_uneven_zip(run, folder):
    list(zip([1], [1, 2], strict=True))


def a_key(run, folder):
    {}["missing"]


def an_error_of_the_system_without_a_file(run, folder):
    raise OSError(errno.EIO, "input/output error")


@pytest.mark.parametrize("work", [a_numpy_error, an_uneven_zip, a_key, an_error_of_the_system_without_a_file])
def test_a_bug_in_a_stage_shows_its_traceback_and_where_to_report_it(tmp_path, monkeypatch, work):
    monkeypatch.setattr(examples, "collect", work)
    result = invoke("demo", "--out", tmp_path / "run", *(w for s in SMALL for w in ("--set", s)))
    assert result.exit_code == 1
    assert f"in {work.__name__}" in result.output and "Traceback" in result.output
    assert "please report it" in result.output and "/issues" in result.output


def a_mistake(run, folder):
    raise InputError("photos.json: mend it")


def an_absent_file(run, folder):
    open(folder / "gone")


@pytest.mark.parametrize(
    ("work", "line"), [(a_mistake, "error photos.json: mend it"), (an_absent_file, "No such file or directory; check")]
)
def test_a_mistake_in_a_stage_is_one_line(tmp_path, monkeypatch, work, line):
    monkeypatch.setattr(examples, "collect", work)
    result = invoke("demo", "--out", tmp_path / "run", *(w for s in SMALL for w in ("--set", s)))
    assert result.exit_code == 2 and line in result.output and "Traceback" not in result.output
    assert "report it" not in result.output


def test_a_command_that_ends_by_itself_is_no_bug(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text("name: r\ndata: {source: jsonl, images: photos, captions: c.jsonl}")
    result = invoke("data", "check", recipe, "--no-count")
    assert result.exit_code == 1 and "missing" in result.output and "report it" not in result.output


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_folder_that_cannot_be_made_is_named_with_the_fix(tmp_path, place):
    (tmp_path / "file").write_text("")
    result = invoke("demo", "--out", tmp_path / place, *(w for s in SMALL for w in ("--set", s)))
    assert result.exit_code == 2 and str(tmp_path / "file") in result.output and "name another place" in result.output


def test_a_cache_that_cannot_be_written_is_named_with_the_fix(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(InputError, match=r"home/\.cache/groundgraph: .*let XDG_CACHE_HOME name a folder"):
        experts.resolve("package:all_minilm_l6_v2")


def test_a_folder_that_is_no_runs_is_told_from_one_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for words in (["status"], ["export"]):
        for folder, cause in (("photos", "no run's folder"), ("gone", "no such folder")):
            rest = {"export": ["o.json", "--what", "predictions", "--format", "json"]}
            result = invoke(*words, folder, *rest.get(words[0], ()))
            assert result.exit_code == 2 and f"{tmp_path / folder}: {cause}" in result.output, result.output
    with pytest.raises(InputError, match="no such folder"):
        run_recipe("gone")


def test_a_wrong_value_names_who_gave_it(tmp_path):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(json.dumps({"name": "r", "data": {"source": "minigenome", "train": -1}, "seed": "x"}))
    with pytest.raises(InputError) as caught:
        load_recipe(recipe, ["data.test=zero", "data.trian=3", "parser.name=magic"])
    lines = str(caught.value).splitlines()
    assert sum(line.startswith(f"{recipe}: ") for line in lines) == 2  # train and seed
    for setting in ("data.test=zero", "data.trian=3", "parser.name=magic"):
        assert any(line.startswith(f"--set {setting}: `{setting.split('=')[0]}`") for line in lines), lines


@pytest.mark.parametrize("value", ["2023-99-99", "[}", "&a [*a]", "!!python/object:os.system x", "[" * 5000])
def test_a_value_that_is_no_yaml_is_a_mistake_wherever_it_stands(tmp_path, value):
    recipe = tmp_path / "r.yaml"
    recipe.write_text(f"name: r\ndata: {{source: minigenome}}\nseed: {value}")
    with pytest.raises(InputError, match=r"r\.yaml"):
        load_recipe(recipe)
    recipe.write_text("name: r\ndata: {source: minigenome}")
    with pytest.raises(InputError, match="--set seed="):
        load_recipe(recipe, [f"seed={value}"])
