"""The package from Python: light to import, and functions that do what the command line does."""

import subprocess
import sys

import pytest

import groundgraph

HEAVY = ("torch", "numpy", "transformers", "spacy", "rich", "pydantic")


@pytest.mark.parametrize("line", ["import groundgraph", "from groundgraph.cli import app; app(['--version'])"])
def test_an_import_and_the_command_line_load_nothing_heavy(line):
    heavy = HEAVY if line == "import groundgraph" else ("torch", "numpy", "transformers", "spacy")
    code = f"import sys\ntry:\n    {line}\nexcept SystemExit:\n    pass\n"
    code += f"print([name for name in {heavy} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"


def test_every_name_is_there_and_no_other():
    assert set(groundgraph.__all__) <= set(dir(groundgraph))
    for name in groundgraph.__all__:
        assert getattr(groundgraph, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'train'"):
        _ = groundgraph.train


def test_a_caption_is_parsed_alone_or_among_others():
    caption = groundgraph.parse("a man riding a horse")
    assert [entity.name for entity in caption.entities] == ["man", "horse"]
    assert groundgraph.parse(["a man riding a horse"]) == [caption]


@pytest.mark.slow
def test_a_run_its_predictor_and_its_graphs_figures(tmp_path):
    settings = {"data.train": 40, "data.validation": 8, "data.test": 8, "grounder": "sgnls", "sgg.training.epochs": 1}
    result = groundgraph.run("demo", settings, out=tmp_path / "run")
    assert "examples" in result.stages and set(result.metrics["methods"]) == {"sgnls"} and result.skipped == ()
    again = groundgraph.run("demo", [f"{key}={value}" for key, value in settings.items()], out=tmp_path / "run")
    assert again.stages == () and again.metrics == result.metrics
    images = sorted((result.folder / "images").glob("test-*.png"))[:2]
    graphs = dict(groundgraph.load(result.folder).graphs(images))
    assert list(graphs) == images and all(isinstance(graph, groundgraph.Graph) for graph in graphs.values())
    with pytest.raises(groundgraph.InputError, match="no such folder"):
        groundgraph.load(tmp_path / "gone")
