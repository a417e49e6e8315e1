"""The notebook runs as it stands, offline, from top to bottom, and is small enough to be kept with what it printed."""

import contextlib
import io
import json
import re
import tempfile
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
FILE = DOCS / "caption-to-graph.ipynb"
NOTEBOOK = json.loads(FILE.read_text(encoding="utf-8"))
CODE = ["".join(cell["source"]) for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
SIZES = '"data.train": 400, "data.validation": 60, "data.test": 100'
SMALL = '"data.train": 40, "data.validation": 8, "data.test": 16, "grounding.dimension": 32, "sgg.training.epochs": 1'


def test_it_is_small_and_what_it_printed_is_no_error():
    assert FILE.stat().st_size < 200_000 and NOTEBOOK["nbformat"] == 4
    cells = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] for cell in cells[1:]) and [cell["execution_count"] for cell in cells] == [
        *range(1, len(cells) + 1)
    ]
    assert not [o for cell in cells for o in cell["outputs"] if o["output_type"] == "error"]
    text = "".join("".join(c["source"]) for c in NOTEBOOK["cells"] if c["cell_type"] == "markdown")
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    assert links and all((DOCS / link).is_file() for link in links)


@pytest.mark.slow
def test_its_cells_run(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # where it makes its folder
    assert sum(SIZES in source for source in CODE) == 1
    names, printed = {"__name__": "notebook"}, io.StringIO()
    with contextlib.redirect_stdout(printed):
        for source in CODE:
            exec(compile(source.replace(SIZES, SMALL), "cell", "exec"), names)
    assert "man - ride - horse" in printed.getvalue() and "'images': 16" in printed.getvalue()
    assert (names["folder"] / "graph.png").is_file()
