"""Each part that docs/extending.md adds is one file and one line, and does what the page says."""

import ast
import json
import subprocess
import sys

import pytest
from test_commands import DOCS, ROOT, SMALL, blocks

PAGE = (DOCS / "extending.md").read_text(encoding="utf-8")
FILES = {name: block.text for block in blocks(PAGE) for name in block.asked("file") if name.endswith(".py")}
REGISTRY = {  # file -> the registry that its line is in
    "colours.py": "VISION_LANGUAGE_MODELS",
    "grid.py": "DETECTORS",
    "bars.py": "PARSERS",
    "taught.py": "GROUNDERS",
    "verbs.py": "STAGES",
    "tabs.py": "READERS",
}


def start(folder, *words):
    """Run a file of the page as its reader does."""
    environment = {
        "PYTHONPATH": f"{ROOT}:{folder}",
        "PATH": "/usr/bin:/bin",
        "HOME": str(folder),
        "OMP_NUM_THREADS": "1",
    }
    ran = subprocess.run([sys.executable, *words], cwd=folder, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


@pytest.fixture
def folder(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def test_the_page_has_one_of_each():
    assert set(FILES) == set(REGISTRY)


@pytest.mark.parametrize("name", REGISTRY)
def test_a_part_is_one_file_and_one_line_in_one_registry(name):
    lines = [node for node in ast.parse(FILES[name]).body if isinstance(node, ast.Assign)]
    registered = [node for node in lines if isinstance(node.targets[0], ast.Subscript)]
    (line,) = registered
    assert line.targets[0].value.id == REGISTRY[name] and line.lineno == line.end_lineno
    assert not any(
        isinstance(node, ast.Attribute | ast.Call) for node in lines if node is not line
    )  # nothing is patched


@pytest.mark.slow
def test_the_grounder_and_the_stage_run_and_are_not_done_twice(folder):
    words = ["run", "demo", "--out", "run", *SMALL, "--set", "grounder=taught"]
    guarded = 'import taught, verbs\nfrom groundgraph.cli import app\nif __name__ == "__main__":\n    app()\n'
    (folder / "both.py").write_text(guarded)
    start(folder, "both.py", *words)
    assert list(json.loads((folder / "run" / "metrics.json").read_text())["methods"]) == ["taught"]
    counts = json.loads((folder / "run" / "verbs" / "verbs.json").read_text())
    assert counts and all(isinstance(count, int) for count in counts.values())
    assert "nothing had changed" in start(folder, "both.py", *words)


def test_the_format_is_read_and_named(folder):
    line = "beach\tman\t10 10 60 90\tride\thorse\t20 40 120 130\t0.9\n"
    for name in ("graphs.tabs", "truth.tabs"):
        (folder / name).write_text(line)
    start(folder, "tabs.py", "evaluate", "graphs.tabs", "truth.tabs", "--json", "figures.json")
    assert json.loads((folder / "figures.json").read_text())["R"]["20"] == 1
    (folder / "readers.py").write_text(
        "import tabs\nfrom groundgraph.formats import read_sides\nread_sides('gone.tabs')\n"
    )
    ran = subprocess.run(
        [sys.executable, "readers.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{ROOT}:{folder}"},
    )
    assert ".tabs         Lines of image, subject, its box" in ran.stderr
