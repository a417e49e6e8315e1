"""`groundgraph data fetch`: a recipe's data come from servers, whole, once; what has to be got by hand is said."""

import hashlib
import io
import json
import zipfile
from pathlib import Path

import pytest
from file_server import serving
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data import fetching
from groundgraph.data.published import PublishedFile
from groundgraph.stages import fetch

NAMES = ("vcoco-train", "vcoco-val", "vcoco-test", "coco-annotations2014", "coco-train2014", "coco-val2014")


def zipped(files):
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return target.getvalue()


@pytest.fixture
def vcoco(tmp_path, monkeypatch):
    """V-COCO and COCO on a server of this machine, and the words of a command for a recipe that reads them."""
    monkeypatch.setattr(fetching, "PAUSE", 0)
    picture = (Path(__file__).parents[2] / "docs" / "graphs.png").read_bytes()
    contents = {
        **{f"vcoco-{part}": json.dumps([part]).encode() for part in ("train", "val", "test")},
        "coco-annotations2014": zipped({f"annotations/instances_{part}2014.json": part for part in ("train", "val")}),
        **{f"coco-{p}": zipped({f"{p}/": "", f"{p}/COCO_{p}_1.jpg": picture}) for p in ("train2014", "val2014")},
    }
    files = {f"/{n.replace('-', '_')}.{'json' if n.startswith('v') else 'zip'}": c for n, c in contents.items()}
    with serving(files) as server:
        table = {
            name: PublishedFile(
                address=server.address + path,
                bytes=None if name == "vcoco-test" else len(content),
                md5=hashlib.md5(content).hexdigest() if name.startswith("coco") else None,
                terms="a test's",
            )
            for name, (path, content) in zip(contents, files.items(), strict=True)
        }
        monkeypatch.setattr(fetch, "catalogue", lambda: table)
        keys = [
            f"data.folder={tmp_path / 'v'}",
            "detector.kind=annotated",
            "sgg.tasks=[predcls]",
            "text.model=bundled:text",
        ]
        server.words = ["data", "fetch", "vcoco-full", *(word for key in keys for word in ("--set", key))]
        yield server


def command(words):
    result = CliRunner().invoke(app, words)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_recipes_data_are_fetched_once(vcoco, tmp_path):
    listed = command([*vcoco.words, "--list"])
    assert listed.exit_code == 0 and vcoco.asked == [] and not (tmp_path / "v").exists()
    assert (
        listed.output.count("to fetch") == 6 and "free here" in listed.output and "(terms: a test's)" in listed.output
    )
    result = command(vcoco.words)
    assert result.exit_code == 0, result.output
    assert result.output.count("fetched") == 6 and "nothing is missing" in result.output
    assert sorted(str(path.relative_to(tmp_path / "v")) for path in (tmp_path / "v").rglob("*.*")) == [
        "annotations/instances_train2014.json",
        "annotations/instances_val2014.json",
        "coco/train2014/COCO_train2014_1.jpg",
        "coco/val2014/COCO_val2014_1.jpg",
        "vcoco_test.json",
        "vcoco_train.json",
        "vcoco_val.json",
    ]
    assert (tmp_path / "v/annotations/instances_val2014.json").read_text() == "val"
    assert len(vcoco.asked) == 6  # both files of annotations are in one
    check = command(["data", "check", *vcoco.words[2:], "--no-count", "--out", str(tmp_path / "run")])
    assert check.exit_code == 0 and "nothing is missing" in check.output and "data fetch" not in check.output
    again = command(vcoco.words)
    assert again.exit_code == 0 and "nothing is missing" in again.output and len(vcoco.asked) == 6


def test_what_one_server_refuses_does_not_keep_the_others(vcoco, tmp_path):
    del vcoco.files["/coco_val2014.zip"]
    vcoco.files["/coco_train2014.zip"] = vcoco.files["/coco_train2014.zip"][::-1]
    result = command(vcoco.words)
    assert result.exit_code == 1 and result.output.count("not fetched") == 2
    assert "the server answers 404" in result.output and "has the md5 sum" in result.output
    assert (tmp_path / "v/vcoco_train.json").exists() and not list((tmp_path / "v/coco").iterdir())
    check = command(["data", "check", *vcoco.words[2:], "--no-count", "--out", str(tmp_path / "run")])
    assert check.exit_code == 1 and "`groundgraph data fetch` gets what servers have" in check.output


def test_an_archive_that_lies_there_is_used_and_stays(vcoco, tmp_path):
    own = tmp_path / "v" / "coco" / "coco_val2014.zip"
    own.parent.mkdir(parents=True)
    own.write_bytes(vcoco.files["/coco_val2014.zip"])
    (own.parent / "coco_train2014.zip").write_bytes(b"half of it")  # no longer wanted than the part that it is
    assert command(vcoco.words).exit_code == 0
    assert ("/coco_val2014.zip", None) not in vcoco.asked and ("/coco_train2014.zip", None) in vcoco.asked
    assert own.exists() and (own.parent / "val2014" / "COCO_val2014_1.jpg").exists()
    assert not [path for path in own.parent.iterdir() if path.name.startswith(".")]


def test_what_has_to_be_got_by_hand_is_said(tmp_path):
    words = ["data", "fetch", "psg-full", "--list", "--set", f"data.folder={tmp_path}", "--set", "data.images=null"]
    result = command([*words, "--set", "detector.kind=annotated", "--set", "sgg.tasks=[predcls]"])
    assert result.exit_code == 0
    assert f"by hand\t{tmp_path}/psg.json" in result.output.replace(" " * 8, "\t").replace("by hand ", "by hand\t")
    assert "README of Jingkang50/OpenPSG" in result.output
