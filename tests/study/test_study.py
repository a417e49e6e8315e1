"""A study on a few dozen images, broken off and gone on with: nothing twice, and the figures of a run by hand."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import pytest
from rich.console import Console
from tiny_study import SIZE, tiny_plan
from typer.testing import CliRunner

import groundgraph.study as study
from groundgraph.cli import app
from groundgraph.study.ablations import ABLATIONS, Ablation, ablation_plan
from groundgraph.study.store import StudyStore

QUIET = Console(quiet=True)


@pytest.fixture
def log(monkeypatch):
    """What was computed, in order: each once it is done."""
    done = []
    for name in ("compute_stage", "compute_cell"):

        def logged(real, *arguments):
            real(*arguments)
            cell = next(a for a in arguments if hasattr(a, "row"))
            done.append(f"{arguments[-1]} of {cell.name}" if isinstance(arguments[-1], str) else cell.name)

        monkeypatch.setattr(study, name, partial(logged, getattr(study, name)))
    return done


def test_broken_off_gone_on_with_and_nothing_twice(tmp_path, log, monkeypatch):
    plan = tiny_plan(models=("motifs", "uniter"))
    real = study.compute_cell

    def third(*arguments):
        if sum("of" not in name for name in log) == 3:
            raise KeyboardInterrupt
        real(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(study, "compute_cell", third)
        with pytest.raises(KeyboardInterrupt):
            study.run_study(plan, tmp_path, 1, QUIET)
    assert len(list((tmp_path / "cells").glob("*.json"))) == 3 and not (tmp_path / "study.md").exists()
    assert study.run_study(plan, tmp_path, 1, QUIET) == {}
    cells = [name for name in log if "of" not in name.split()]
    assert sorted(cells) == sorted(cell.name for cell in plan.cells) and len(cells) == 8
    # Shared: the data once; a grounder once a method and seed, for both scene-graph models; the rule draws nothing.
    stages = [name.split()[0] for name in log if "of" in name.split()]
    assert all(stages.count(name) == 1 for name in ("examples", "regions", "teachers", "crops", "reliability"))
    assert stages.count("grounding-two-teachers") == 2 and stages.count("grounding-sgnls") == 1
    assert not list((tmp_path / "store" / "work").iterdir())

    before, text = list(log), (tmp_path / "study.md").read_text()
    assert study.run_study(plan, tmp_path, 1, QUIET) == {} and log == before
    assert (tmp_path / "study.md").read_text() == text
    assert "Table 1" in text and "Grounding accuracy" in text and "| VG Caption | Uniter | SGNLS |" in text
    for name in ("study.csv", "study-cells.csv", "table1.svg", "grounding.svg", "table4.svg"):
        assert (tmp_path / name).stat().st_size > 100
    assert len((tmp_path / "study-cells.csv").read_text().splitlines()) == 9

    # Other code makes other figures: the cells that it made are not taken for done.
    record = json.loads(next((tmp_path / "cells").glob("*.json")).read_text())
    assert re.fullmatch(r"(commit \w+(-dirty)? ?)?(source \w{16})?", record["code"]) and record["code"] in text
    with monkeypatch.context() as patch:
        patch.setattr("groundgraph.study.cells.code_of", lambda work: "other")
        patch.setattr(study, "compute_cell", lambda *_: None)  # so none is made anew
        with pytest.raises(ValueError, match="no cell"):
            study.run_study(plan, tmp_path, 1, QUIET)

    # Another size is another study: every cell is computed anew.
    changed = study.Plan("study", plan.tables, (*SIZE, "data.test=7"), 2)
    study.run_study(changed, tmp_path, 1, QUIET)
    assert len([name for name in log if "of" not in name.split()]) == 16


def test_a_cell_is_what_the_command_line_gives(tmp_path):
    plan = tiny_plan(variants=("two-teachers", "average"))
    study.run_study(plan, tmp_path / "study", 1, QUIET)
    record = json.loads((tmp_path / "study" / "cells" / "vg_caption-motifs-average-1.json").read_text())
    words = shlex.split(record["by hand"])
    assert words[:3] == ["groundgraph", "run", "minigenome"] and "grounding.fusing=average" in words
    result = CliRunner().invoke(app, [*words[1:], "--out", str(tmp_path / "run")])
    assert result.exit_code == 0, result.output
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    told = metrics["methods"]["two-teachers"]
    assert record["figures"]["grounding all"] == told["grounding"]["all"]
    assert record["figures"]["R@100"] == told["sgdet"]["R@100"] and record["figures"]["mAP50"] == told["mAP50"]
    assert record["figures"]["box recall@3"] == told["pseudo labels"]["box recall@3"]


@pytest.mark.slow
def test_killed_outright_with_two_processes(tmp_path):
    script = str(Path(__file__).with_name("tiny_study.py"))
    words = [sys.executable, script, str(tmp_path), "2"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 600
    while not list((tmp_path / "cells").glob("*.json")) and time.monotonic() < until and process.poll() is None:
        time.sleep(0.1)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert psutil.wait_procs(workers, timeout=600)[1] == []  # they see that it is gone
    cells = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cells").glob("*.json")}
    kept = {p.name: p.stat().st_ino for p in (tmp_path / "store").iterdir()}
    assert cells
    second = subprocess.run(words, capture_output=True, text=True, check=False, timeout=600)
    assert second.returncode == 0, second.stdout + second.stderr
    assert "The paper's order" in second.stdout and "Traceback" not in second.stderr
    now = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "cells").glob("*.json")}
    assert len(now) == 4 and {name: now[name] for name in cells} == cells
    inodes = {p.name: p.stat().st_ino for p in (tmp_path / "store").iterdir()}
    assert {name: inodes[name] for name in kept} == kept


def test_an_ablation_measures_grounding_alone(tmp_path, log):
    plan = ablation_plan("alpha", seeds=2)
    two = study.Plan(plan.name, tuple(few(table) for table in plan.tables), SIZE, 2)
    assert study.run_study(two, tmp_path, 1, QUIET) == {}
    assert not any("pseudo" in name or "concepts" in name for name in log)
    text = (tmp_path / "ablation-alpha.md").read_text()
    assert "margin of L_MIL" in text and "| VG Caption | 0.4 |" in text and "R@50" not in text
    assert (tmp_path / "ablation-alpha.svg").exists()
    record = json.loads((tmp_path / "cells" / "vg_caption-none-alpha-0.2-0.json").read_text())
    assert record["figures"]["grounding all"] > 0 and "R@50" not in record["figures"]


def test_coverage_finds_regions_once(tmp_path, log):
    plan = ablation_plan("coverage", seeds=1, quick=True)
    tables = [
        replace(table, rows=tuple(row for row in table.rows if row.variant.name in ("object", "interaction")))
        for table in plan.tables
    ]
    assert study.run_study(study.Plan(plan.name, tuple(tables), SIZE, 1), tmp_path, 1, QUIET) == {}
    stages = [name.split()[0] for name in log]
    assert all(stages.count(name) == 1 for name in ("regions", "text", "teachers"))
    assert stages.count("grounding-two-teachers") == 4 + 1  # the interaction-aware teacher reads no labels
    text = (tmp_path / "ablation-coverage.md").read_text()
    assert text.count("![") == 1 and "(ablation-coverage.svg)" in text and "| 10 kinds | MIL + object-aware |" in text
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == ["ablation-coverage.svg"]
    record = json.loads((tmp_path / "cells" / "vg_caption-motifs-object-10-40-0.json").read_text())
    assert record["condition"] == "10-40" and "detector.label_noise=0.4" in record["by hand"]
    assert {"R@5", "R@10", "triplet precision"} <= set(record["figures"])


def test_each_knowledge_source_teaches_something_else(tmp_path):
    plan = tiny_plan(variants=("mil", "object", "interaction", "average"))
    one = study.Plan("study", plan.tables, (*SIZE, "grounding.epochs=3"), 1)
    study.run_study(one, tmp_path, 1, QUIET)
    scores = {(p / "train.safetensors").read_bytes() for p in (tmp_path / "store").glob("grounding-*")}
    assert len(scores) == 4


def few(table):
    """The reference and one other value."""
    return replace(table, rows=table.rows[2:4])


def test_a_failed_step_is_told_and_the_rest_goes_on(tmp_path, monkeypatch):
    values = {"0.2": "grounding.margin=0.2", "none": "teachers.interaction.model=/nowhere"}
    monkeypatch.setitem(ABLATIONS, "broken", Ablation("a broken one", values, "0.2"))
    plan = ablation_plan("broken", seeds=1)
    failed = study.run_study(study.Plan(plan.name, plan.tables, SIZE, 1), tmp_path, 1, QUIET)
    assert len(failed) == 1 and "/nowhere" in next(iter(failed.values()))
    text = (tmp_path / "ablation-broken.md").read_text()
    assert "Not computed: teachers" in text and "| VG Caption | none | - | - |" in text


def test_one_study_a_folder(tmp_path):
    from groundgraph.engine import lock

    with lock.held(tmp_path), pytest.raises(ValueError, match="at work in this folder"):
        study.run_study(tiny_plan(), tmp_path, 1, QUIET)


def test_the_command(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(study, "run_study", lambda *arguments: asked.append(arguments) or {})
    runner = CliRunner()
    assert runner.invoke(app, ["study", "--quick", "--out", str(tmp_path)]).exit_code == 0
    assert runner.invoke(app, ["study", "--ablate", "K", "--seeds", "3", "--jobs", "4"]).exit_code == 0
    (quick, folder, jobs, _), (ablation, default, four, _) = asked
    assert quick.seeds == 2 and folder == tmp_path and jobs == 2
    assert ablation.seeds == 3 and four == 4 and default == Path("runs/study")
    text = " ".join(runner.invoke(app, ["study", "--help"]).output.split())
    assert all(name in text for name in ABLATIONS)
    result = runner.invoke(app, ["study", "--ablate", "beta"])
    assert result.exit_code == 2 and "temperature" in result.output
    monkeypatch.setattr(study, "run_study", lambda *arguments: {"a step": "ValueError: no luck"})
    result = runner.invoke(app, ["study"])
    assert result.exit_code == 1 and "no luck" in result.output


def test_the_store_keeps_whole_stages_only(tmp_path):
    store = StudyStore(tmp_path)
    assert not store.holds("examples-1")
    (tmp_path / "examples-1").mkdir()
    assert store.holds("examples-1")
