"""No command writes over what it reads, or over a file that is none of its own."""

import json

import numpy as np
import pytest
from formats_world import VOCABULARIES, world
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.files import check_output
from groundgraph.errors import InputError
from groundgraph.formats.vg150 import write_vg150
from groundgraph.grounding.annotations import annotations_of

GRAPHS = {"a.jpg": {"objects": [{"category": "dog", "box": [1, 1, 9, 9], "score": 1}], "relations": []}}


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_an_output_is_no_input_and_no_foreign_file(tmp_path):
    (tmp_path / "in.json").write_text("{}")
    (tmp_path / "link.json").symlink_to(tmp_path / "in.json")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    (tmp_path / "own.json").write_text("\n [1]")
    (tmp_path / "empty").touch()
    for name in ("own.json", "empty", "new.json", "new/new.json"):
        check_output(tmp_path / name, [tmp_path / "in.json", "facebook/detr", tmp_path / "absent"])
    for name, why in (("in.json", "read by"), ("link.json", "read by"), ("photo.jpg", "no JSON"), (".", "a folder")):
        with pytest.raises(InputError, match=why):
            check_output(tmp_path / name, [tmp_path / "in.json"])


@pytest.mark.parametrize(
    "words",
    [
        "evaluate graphs.json graphs.json --json graphs.json",
        "evaluate graphs.json truth.json --json truth.json",
        "evaluate graphs.json truth.json --zeroshot zeroshot.json --json ./zeroshot.json",
        "evaluate graphs.json truth.json --json photo.jpg",
        "evaluate-parser gold.csv --json gold.csv",
        "import pseudo-labels results.pkl results.pkl",
        "import pseudo-labels results.pkl photo.jpg",
        "import grounder results.pkl clip",
        "study --quick --out notes",
    ],
)
def test_commands_leave_files_that_they_did_not_make(tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    for name in ("graphs.json", "truth.json", "zeroshot.json"):
        (tmp_path / name).write_text(json.dumps(GRAPHS))
    (tmp_path / "gold.csv").write_text('caption,graph\na dog,"( dog )"\n')
    for folder, name in (
        (".", "results.pkl"),
        (".", "photo.jpg"),
        ("clip", "model.safetensors"),
        ("notes", "paper.md"),
    ):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / name).write_bytes(b"mine")
    from groundgraph.study.plan import paper_plan

    (tmp_path / "notes" / f"{paper_plan(None, True).name}.md").write_text("mine")
    before = contents(tmp_path)
    result = CliRunner().invoke(app, words.split())
    assert result.exit_code == 2, result.output
    assert "written over" in result.output or "write over" in result.output or "be replaced" in result.output
    assert contents(tmp_path) == before


def test_visual_genome_s_own_files_are_not_an_earlier_export(tmp_path):
    images = [annotations_of(name, str(tmp_path / f"{name}.png"), p, r) for name, r, p in world()]
    for name in ("VG-SGG-with-attri.h5", "VG-SGG-dicts-with-attri.json", "image_data.json", "images/12.jpg"):
        folder = tmp_path / name.replace("/", "-")
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_bytes(b"published")
        with pytest.raises(InputError, match=f"{name}: not written by an earlier export"):
            write_vg150(folder, images, VOCABULARIES)
        assert contents(folder) == {(folder / name).relative_to(folder): b"published"}
    # What h5py can open is not for that an export either.
    import h5py

    (tmp_path / "vg").mkdir()
    with h5py.File(tmp_path / "vg" / "VG-SGG-with-attri.h5", "w") as file:
        file["labels"] = np.zeros(3)
    with pytest.raises(InputError, match="name a new folder"):
        write_vg150(tmp_path / "vg", images, VOCABULARIES)
