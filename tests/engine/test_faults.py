"""What a run survives: kills, signals, damaged files, a full disk, a second run, a move, no way to write."""

import errno
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from nearly import assert_same_json
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine import lock
from groundgraph.engine import record as manifest
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.signals import Stopped
from groundgraph.engine.stage import Stage
from groundgraph.engine.status import states
from groundgraph.stages import stages
from groundgraph.stages.examples import image_counts
from groundgraph.stages.recipe import find_recipe, load_recipe

SMALL = [
    "data.train=40", "data.validation=8", "data.test=16", "grounding.dimension=32",
    "grounding.epochs=2", "sgg.training.epochs=1", "grounder=[sgnls, mil]",
]  # fmt: skip
WORDS = [w for s in SMALL for w in ("--set", s)]


def invoke(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert invoke("demo", "--out", folder, *WORDS).exit_code == 0
    return folder


@pytest.fixture
def copy(whole, tmp_path):
    """A run that was moved: other place, other times."""
    return Path(shutil.copytree(whole, tmp_path / "elsewhere", copy_function=shutil.copyfile))


def new_run(folder):
    return Run(load_recipe(find_recipe("demo")), folder)


def states_of(folder):
    run = Run(load_recipe(folder / "recipe.yaml"), folder)
    return states(folder, stages(run.recipe), image_counts(run))


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-9])


SHARD = "regions/train/*.safetensors"


@pytest.mark.parametrize("damage", [flip, cut, Path.unlink])
@pytest.mark.parametrize(
    "file", [SHARD, "examples/test.jsonl", "sgg-mil/model.safetensors", "text/test/*", "evaluation/metrics.json"]
)
def test_a_damaged_file_is_named_and_made_anew(whole, copy, file, damage):
    (path,) = copy.glob(file)
    damage(path)
    stage = path.relative_to(copy).parts[0]
    shown = invoke("status", copy)
    assert shown.exit_code == 1 and f"{len(list(copy.glob('*/stage.json'))) - 1} of" in shown.output
    damaged = [s for s in states_of(copy) if s.state == "damaged"]
    assert [s.stage for s in damaged] == [stage] and str(path) in damaged[0].detail
    result = invoke("run", copy / "recipe.yaml", "--out", copy)
    assert result.exit_code == 0 and path.name in result.output.replace("\n", "")
    assert "1 stages run" in result.output and f"done {stage} " in result.output
    assert_same_json(copy / "metrics.json", whole / "metrics.json")
    assert invoke("status", copy, "--verify").exit_code == 0


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_record_is_named_and_its_stage_runs_again(copy, damage):
    damage(copy / "matches" / "stage.json")
    result = invoke("run", copy / "recipe.yaml", "--out", copy)
    assert result.exit_code == 0 and "1 stages run" in result.output
    assert "stage.json: damaged" in result.output.replace("\n", " ")


def test_a_bit_that_turned_over_on_the_disk_is_found_by_its_checksum(copy):
    assert invoke("run", copy / "recipe.yaml", "--out", copy).exit_code == 0  # takes the copies' times
    (shard,) = copy.glob(SHARD)
    times = shard.stat()
    flip(shard)
    os.utime(shard, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert invoke("status", copy).exit_code == 0
    result = invoke("status", copy, "--verify")
    assert result.exit_code == 1 and "delete it" in result.output.replace("\n", " ")
    shard.unlink()
    result = invoke("run", copy / "recipe.yaml", "--out", copy)
    assert "1 stages run" in result.output and invoke("status", copy, "--verify").exit_code == 0


@pytest.mark.parametrize("named", [True, False])
def test_a_stage_that_fails_over_a_damaged_file_names_it(tmp_path, named):
    """Where its error names the file or, without that, where the file's time has changed."""
    run = new_run(tmp_path)
    first = Stage("first", (), 0, lambda run, folder: (folder / "a.txt").write_text("12") and {"files": 1})
    execute(run, [first])
    place, times = tmp_path / "first" / "a.txt", (tmp_path / "first" / "a.txt").stat()

    def damage(run, folder):
        place.write_text("1x")
        if named:
            os.utime(place, ns=(times.st_atime_ns, times.st_mtime_ns))
        return {}

    def read(run, folder):
        try:
            return {"read": int(place.read_text())}
        except ValueError as error:
            raise ValueError(f"{place}: {error}" if named else str(error)) from error

    second = Stage("second", ("first",), 0, read)
    with pytest.raises(ValueError, match=r"first/a\.txt: not what first wrote.*Delete it"):
        execute(run, [first, Stage("between", (), 0, damage), second])
    place.unlink()
    assert execute(run, [first, second]) == ["first", "second"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_between_two_batches_and_says_how_to_go_on(tmp_path, number, capsys):
    done = []

    def work(run, folder):
        with run.progress("working", 10) as advance:
            for i in range(len(done), 10):
                if i == 4:
                    signal.raise_signal(number)  # is only noted here
                done.append(i)
                advance(1)
        return {"items": len(done)}

    run, stage = new_run(tmp_path), Stage("one", (), 0, work)
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as stopped:
        execute(run, [stage])
    assert done == [0, 1, 2, 3, 4] and stopped.value.number == number and signal.getsignal(number) is before
    said = capsys.readouterr().out.replace("\n", "")
    assert f"stopped by {number.name}" in said and f"groundgraph run {tmp_path}/recipe.yaml --out {tmp_path}" in said
    assert manifest.read_record(tmp_path / "one.part")["stopped"] and lock.holder(tmp_path) is None
    assert execute(run, [stage]) == ["one"] and done == list(range(10))


def test_the_command_line_stops_with_the_signals_exit_code(tmp_path, monkeypatch):
    def interrupted(run, stages):
        def work(run, folder):
            signal.raise_signal(signal.SIGTERM)
            with run.progress("", 1) as advance:
                advance(1)

        return execute(run, [Stage("one", (), 0, work)])

    monkeypatch.setattr("groundgraph.api.execute", interrupted)
    result = invoke("demo", "--out", tmp_path, *WORDS)
    assert result.exit_code == 128 + signal.SIGTERM and "Go on with: groundgraph run" in result.output


def test_the_second_signal_stops_at_once(tmp_path):
    def work(run, folder):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("not here")

    with pytest.raises(Stopped):
        execute(new_run(tmp_path), [Stage("one", (), 0, work)])


def test_a_full_disk_is_said_and_the_stage_goes_on_when_there_is_room(tmp_path):
    room = []

    def work(run, folder):
        if not room:
            (folder / "half").write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")
        return {"found": int((folder / "half").exists())}

    run, stage = new_run(tmp_path), Stage("one", (), 0, work)
    with pytest.raises(ValueError, match=r"the disk is full, and one could not be written .* make room"):
        execute(run, [stage])
    assert not (tmp_path / "one").exists() and "disk is full" in manifest.read_record(tmp_path / "one.part")["ended"]
    room.append(True)
    assert execute(run, [stage]) == ["one"] and run.record("one")["counts"] == {"found": 1}


DAWDLE = """
import sys, time
from pathlib import Path
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.stages.recipe import find_recipe, load_recipe

def work(run, folder):
    (folder / "begun").touch()
    time.sleep(600)

execute(Run(load_recipe(find_recipe("demo")), Path(sys.argv[1])), [Stage("one", (), 0, work)])
"""


def test_a_second_run_is_refused_and_a_killed_ones_lock_is_recognised(tmp_path, capsys):
    child = subprocess.Popen([sys.executable, "-c", DAWDLE, str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        while not (tmp_path / "one.part" / "begun").exists():
            assert child.poll() is None
            time.sleep(0.01)
        with pytest.raises(ValueError, match=rf"process {child.pid} on .*, since .* is at work in this folder"):
            execute(new_run(tmp_path), [Stage("one", (), 0, lambda run, folder: {})])
        assert str(child.pid) in lock.holder(tmp_path)
    finally:
        child.kill()
        child.wait()
    assert lock.holder(tmp_path) is None
    assert execute(new_run(tmp_path), [Stage("one", (), 0, lambda run, folder: {})]) == ["one"]
    assert f"broken off (process {child.pid}" in capsys.readouterr().out.replace("\n", " ")


@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_holds_nobody_up(tmp_path, monkeypatch, number):
    fcntl = pytest.importorskip("fcntl")

    def refused(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    for _ in range(2):
        with lock.held(tmp_path) as left:
            assert left == ""
        assert lock.holder(tmp_path) is None


def test_status_says_what_is_running_stopped_failed_and_due(copy):
    run = Run(load_recipe(copy / "recipe.yaml"), copy)
    assert {s.state for s in states_of(copy)} == {"done"}
    mark = run.record("sgg-mil")["fingerprint"]
    shutil.rmtree(copy / "sgg-mil")
    part = copy / "sgg-mil.part"
    shutil.copytree(copy / "regions" / "test", part / "test")
    begun = {"fingerprint": mark, "seconds": 1.0}
    manifest.write_record(part, begun)
    with lock.held(copy):
        assert ("sgg-mil", "running", "16 of 16 test images") in states_of(copy)
        assert "is at work here" in invoke("status", copy).output
    assert ("sgg-mil", "stopped", "16 of 16 test images") in states_of(copy)
    manifest.write_record(part, begun | {"ended": "SIGINT", "stopped": True})
    assert ("sgg-mil", "stopped", "SIGINT; 16 of 16 test images") in states_of(copy)
    manifest.write_record(part, begun | {"ended": "no sense", "stopped": False})
    assert ("sgg-mil", "failed", "no sense; 16 of 16 test images") in states_of(copy)
    shutil.rmtree(part)
    assert ("sgg-mil", "due", "") in states_of(copy)
    output = invoke("status", copy).output
    assert shlex.join(["groundgraph", "run", str(copy / "recipe.yaml"), "--out", str(copy)]) in output
    assert invoke("status", copy / "regions").exit_code == 2


def test_a_run_that_was_moved_still_predicts_evaluates_and_needs_nothing_done(whole, copy, tmp_path):
    assert "nothing had changed" in invoke("run", copy / "recipe.yaml", "--out", copy).output
    image = next((copy / "images").glob("test-*.png"))
    assert invoke("predict", copy, image, "--out", tmp_path / "drawn").exit_code == 0
    outs = [tmp_path / "a.json", tmp_path / "b.json"]
    for folder, out in zip((whole, copy), outs, strict=True):
        result = invoke("evaluate", folder / "sgg-mil" / "graphs.safetensors", "--json", out)
        assert result.exit_code == 0, result.output
    assert json.loads(outs[0].read_text())["images"] == json.loads(outs[1].read_text())["images"]
