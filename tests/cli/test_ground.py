"""`groundgraph ground` and `pack`, and `predict` without a model."""

import json

from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.minigenome.dataset import MiniGenome


def drawn(tmp_path):
    (example,) = MiniGenome("test", "vg_caption", tmp_path / "drawn", 1)
    return example


def call(*words):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_teachers_alone_find_the_boxes_of_words(tmp_path):
    example = drawn(tmp_path)
    output = call("ground", example.path, example.captions[0], "--out", tmp_path / "out")
    assert "know drawn scenes only" in output
    (file,) = (tmp_path / "out").glob("*.json")
    content = json.loads(file.read_text())
    assert content["caption"] == example.captions[0] and content["image"] == example.path
    assert all(len(entity["box"]) == 4 for entity in content["entities"]) and content["entities"]
    assert file.with_suffix(".png").is_file()


def test_without_a_model_predict_takes_the_miniatures_and_says_so(tmp_path):
    example = drawn(tmp_path)
    output = call("predict", example.path, "--out", tmp_path / "out")
    assert "knows drawn scenes only" in " ".join(output.split()) and "1 scene graphs" in output
    assert list((tmp_path / "out").glob("*.png"))


def test_predict_says_what_it_lacks(tmp_path):
    result = CliRunner().invoke(app, ["predict", "nobody/nothing"])
    assert result.exit_code == 2 and "name one image or more" in " ".join(result.output.split())
    result = CliRunner().invoke(app, ["predict", "nobody/nothing", "a.png"])
    assert result.exit_code == 2 and "cannot be fetched" in " ".join(result.output.split())
    result = CliRunner().invoke(app, ["ground", "a.png", "a man", "--model", "runs/x", "--set", "seed=1"])
    assert result.exit_code == 2 and "leave one of them out" in " ".join(result.output.split())
