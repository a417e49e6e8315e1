"""`--jobs`: stages side by side in processes do what one process does, whoever fails, dies or is stopped."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

from groundgraph import api
from groundgraph.data.store import Ragged
from groundgraph.engine import room
from groundgraph.engine.execute import execute
from groundgraph.engine.extraction import Columns, Extraction, extract
from groundgraph.engine.run import Run
from groundgraph.engine.signals import Stopped
from groundgraph.engine.stage import Stage
from groundgraph.errors import InputError
from groundgraph.stages import stages
from groundgraph.stages.recipe import find_recipe, load_recipe

COUNT = 30


def new_run(folder, jobs=2, settings=()):
    return Run(load_recipe(find_recipe("demo"), settings), folder, Console(file=StringIO(), width=200), jobs=jobs)


def note(run, folder):
    """A stage that says where and how it was done, and skips something."""
    run.skipped.add(folder.stem, "odd")
    with run.progress("noting", 2) as advance:
        advance(2)
    (folder / "process").write_text(f"{os.getpid()} {torch.get_num_threads()}")
    return {"notes": 1}


def meet(run, folder, other):
    """A stage that ends when another has begun."""
    (run.folder / f"begun-{folder.stem}").touch()
    for _ in range(600):
        if (run.folder / f"begun-{other}.part").exists() or (run.folder / f"begun-{other}").exists():
            return {}
        time.sleep(0.1)
    raise TimeoutError(other)


def fail(run, folder):
    """A stage that waits for another to begin, and fails."""
    while not (run.folder / "begun").exists():
        time.sleep(0.05)
    raise InputError("photos.json: broken; mend it")


def dawdle(run, folder):
    """A stage of many steps, which writes how far it is when it is stopped."""
    (run.folder / "begun").touch()
    (folder / "begun").touch()
    with run.progress("dawdling", 6000) as advance:
        for step in range(6000):
            try:
                advance(1)
            except KeyboardInterrupt:
                (folder / "steps").write_text(str(step))
                raise
            time.sleep(0.02)
    return {}


def die(run, folder):
    """A stage whose process is killed."""
    os.kill(os.getpid(), signal.SIGKILL)


class Numbers:
    """Computes numbers of an image; where the run's folder says so, a slice kills who computes it, once or always."""

    def __init__(self, run, folder):
        self.run, self.beyond = run, 0

    def __call__(self, split, part):
        for name in (f"die-{part.start}", f"die-always-{part.start}"):
            if (place := self.run.folder / name).exists():
                if name == f"die-{part.start}":
                    place.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        self.beyond += 2
        for i in range(part.start, part.stop):
            if i == 9:
                self.run.skipped.add(str(i), "odd")
            yield {"x": np.full((i % 3, 2), i, np.float32), "y": np.arange(i)}


NUMBERS = Extraction(Numbers, "counting {} images", Columns("x", "y"), 4)


def count(run, folder):
    """A stage of slices."""
    return {"beyond": extract(run, folder, NUMBERS, {"train": list(map(str, range(COUNT)))})}


def stage(name, work, *needs, spread=False):
    return Stage(name, needs, 0, work, spread=spread)


def test_independent_stages_are_done_side_by_side_on_one_thread_each(tmp_path):
    run = new_run(tmp_path / "run")
    listing = [
        stage("first", note),
        stage("left", partial(meet, other="right"), "first"),
        stage("right", partial(meet, other="left"), "first"),
        stage("numbers", count, spread=True),
        stage("last", note, "left", "right"),
    ]
    assert execute(run, listing) == ["first", "left", "right", "numbers", "last"]
    assert run.skipped.items == [("first", "odd"), ("9", "odd"), ("last", "odd")]
    assert run.record("numbers")["counts"] == {"beyond": 16}
    store = Ragged(run.folder / "numbers" / "train")
    assert sorted(store, key=int) == [str(i) for i in range(COUNT)]
    for i in range(COUNT):
        np.testing.assert_array_equal(store[str(i)]["x"], np.full((i % 3, 2), i, np.float32))
    for name in ("first", "last"):
        process, threads = (run.folder / name / "process").read_text().split()
        assert int(process) != os.getpid() and threads == "1"
    assert execute(new_run(run.folder), listing) == execute(new_run(run.folder, 1), listing) == []


def test_where_one_fails_the_others_end_at_their_next_step(tmp_path):
    run = new_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"^photos\.json: broken; mend it$"):
        execute(run, [stage("long", dawdle), stage("bad", fail)])
    assert "failed bad" in run.console.file.getvalue()
    assert int((run.folder / "long.part" / "steps").read_text()) < 6000
    assert "bad failed" in (run.folder / "long.part" / "stage.json").read_text()


@pytest.mark.slow
def test_a_signal_ends_all_at_their_next_step(tmp_path):
    run = new_run(tmp_path / "run")

    def interrupt():
        while len(list(run.folder.glob("*.part/begun"))) < 2:
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped):
        execute(run, [stage("long", dawdle), stage("longer", dawdle)])
    for name in ("long", "longer"):
        assert '"SIGINT"' in (run.folder / f"{name}.part" / "stage.json").read_text()


@pytest.mark.slow
def test_a_killed_process_is_told_and_the_next_run_goes_on(tmp_path):
    run = new_run(tmp_path / "run")
    with pytest.raises(InputError, match=r"bad: its process was killed .* go on with fewer --jobs"):
        execute(run, [stage("one", note), stage("bad", die, "one")])
    assert execute(run, [stage("one", note), stage("bad", note, "one")]) == ["bad"]


@pytest.mark.slow
def test_a_program_that_its_processes_would_run_again_is_told_what_to_write(tmp_path):
    (tmp_path / "program.py").write_text("from groundgraph.cli import app\napp()\n")
    words = ["run", "demo", "--out", "run", "--jobs", "2", "--set", "data.train=8", "--set", "data.validation=4"]
    environment = os.environ | {"PYTHONPATH": str(Path(api.__file__).parents[1])}
    ran = subprocess.run(
        [sys.executable, "program.py", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode and 'if __name__ == "__main__":' in " ".join((ran.stdout + ran.stderr).split())


@pytest.mark.slow
def test_slices_of_a_killed_process_are_done_by_another(tmp_path):
    run = new_run(tmp_path / "run")
    run.folder.mkdir()
    (run.folder / "die-12").touch()
    assert execute(run, [stage("numbers", count, spread=True)]) == ["numbers"]
    assert run.record("numbers")["counts"] == {"beyond": 16} and len(Ragged(run.folder / "numbers" / "train")) == COUNT
    (run.folder / "die-always-12").touch()
    with pytest.raises(InputError, match=r"train images 12 to 15: workers died 4 times"):
        execute(run, [stage("again", count, spread=True)])
    assert len(Ragged(run.folder / "again.part" / "train")) == COUNT - 4


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")  # as each process has
def test_figures_and_artifacts_do_not_depend_on_the_number_of_jobs(tmp_path):
    settings = ["data.train=60", "data.validation=12", "data.test=20", "grounder=[two-teachers,sgnls]"]
    settings += ["grounding.epochs=1", "sgg.training.epochs=1"]
    runs = [new_run(tmp_path / str(jobs), jobs, settings) for jobs in (1, 2)]
    for run in runs:
        execute(run, stages(run.recipe))
    one, two = ([run.record(s.name) for s in stages(run.recipe)] for run in runs)
    assert [r["fingerprint"] for r in one] == [r["fingerprint"] for r in two]
    assert [r["counts"] for r in one] == [r["counts"] for r in two]
    for store in (
        "regions/train",
        "text/test",
        "teachers/train",
        "crops/train",
        "grounding-two-teachers/test.safetensors",
    ):
        first, second = (Ragged(run.folder / store) for run in runs)
        assert set(first) == set(second)
        for name in first:
            for column in first.columns:
                np.testing.assert_allclose(first[name][column], second[name][column], rtol=1e-4, atol=1e-5)


def test_another_process_loads_models_only_where_there_is_room(monkeypatch):
    free = [10 << 30]
    monkeypatch.setattr(room.psutil, "virtual_memory", lambda: SimpleNamespace(available=free[0]))
    monkeypatch.setattr(
        room.psutil, "Process", lambda number: SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=number << 30))
    )
    assert room.Room(2).plenty
    places = room.Room(4)
    assert not places.plenty
    assert places.take("text", 0) and not places.take("text", 1)  # nobody knows yet how much it takes
    places.weigh("text", 0, 6)
    assert places.take("text", 1) and places.take("text", 0)
    assert not places.take("text", 2)  # 6 GiB for the one that has begun, and 6 for this one: 10 are free
    free[0] = 20 << 30
    assert places.take("text", 2)
    free[0] = 1 << 30
    places.leave(0), places.leave(1)
    assert not places.take("text", 3)
    places.leave(2)
    assert places.take("text", 3)  # whatever is free: somebody has to


def test_jobs_that_cannot_be_are_refused(tmp_path):
    for options, why in (({"jobs": 0}, "1 or more"), ({"jobs": 2, "engine": "ray"}, "--engine ray")):
        with pytest.raises(InputError, match=why), api.open_run("demo", out=tmp_path, **options):
            pass
    with api.open_run("demo", out=tmp_path, jobs=None, device="cpu") as run:
        assert run.jobs == api.cores()
    assert not list(Path(tmp_path).iterdir())


class Slow(Numbers):
    """The same, of which the second slice fails once the first is begun, and the first takes its time."""

    def __call__(self, split, part):
        if part.start:
            while not (self.run.folder / "begun").exists():
                time.sleep(0.05)
            raise InputError("photo 4: broken")
        (self.run.folder / "begun").touch()
        time.sleep(1)
        return list(super().__call__(split, part))


SLOW = Extraction(Slow, "counting {} images", Columns("x", "y"), 4)


def count_slowly(run, folder):
    """A stage of two slices."""
    return {"beyond": extract(run, folder, SLOW, {"train": list(map(str, range(8)))})}


@pytest.mark.slow
def test_what_other_processes_are_at_when_one_fails_is_kept(tmp_path):
    run = new_run(tmp_path / "run")
    with pytest.raises(InputError, match="photo 4: broken"):
        execute(run, [stage("slow", count_slowly, spread=True)])
    assert sorted(Ragged(run.folder / "slow.part" / "train")) == ["0", "1", "2", "3"]
