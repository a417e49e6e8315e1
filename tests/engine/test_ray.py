"""Extraction by Ray: what the actors write is what one process writes, whoever dies on the way."""

import os
import signal
import sys
import threading
import time
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.store import Ragged, RaggedWriter, StoredRegions
from groundgraph.engine.execute import execute
from groundgraph.engine.executors import open_executor
from groundgraph.engine.executors import ray as executor_module
from groundgraph.engine.executors import tasks as tasks_module
from groundgraph.engine.executors.tasks import Due, tasks_of
from groundgraph.engine.extraction import Columns, Extraction, extract
from groundgraph.engine.run import Run
from groundgraph.engine.signals import Stopped
from groundgraph.engine.stage import Stage
from groundgraph.stages import artifacts, stages
from groundgraph.stages.recipe import find_recipe, load_recipe

SETTINGS = ["data.train=150", "data.validation=20", "data.test=30", "grounder=two-teachers"]


def new_run(folder, engine=None):
    return Run(load_recipe(find_recipe("demo"), SETTINGS), folder, Console(file=StringIO()), executor=engine)


def first_stages(run):
    listing = stages(run.recipe)
    return [s for s in listing if s.spread or s.name in ("examples", "parsed", "vocabulary")]


@pytest.fixture(scope="module")
def engine():
    with executor_module.RayExecutor(workers=2) as engine:
        import ray

        ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])  # actors cannot import a test
        yield engine


def drawn(folder, engine=None):
    """A run whose examples are there, with one picture that cannot be read."""
    run = new_run(folder, engine)
    execute(run, first_stages(run)[:1])
    listed = artifacts.examples(run, "train")
    Path(listed[70].path).write_bytes(b"no picture")
    return run


def equal(one, two):
    """Whether two folders of shards hold the same ids and, but for the last digits, the same arrays."""
    one, two = Ragged(one), Ragged(two)
    assert set(one) == set(two) and len(one)
    return all(np.allclose(one[i][c], two[i][c], rtol=1e-4, atol=1e-5) for i in one for c in one.columns)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")  # as each worker has
def test_two_workers_write_what_one_process_writes(tmp_path, engine):
    alone, many = drawn(tmp_path / "alone"), drawn(tmp_path / "many", engine)
    for run in (alone, many):
        execute(run, first_stages(run))
    for stage in [s.name for s in stages(alone.recipe) if s.spread]:
        one, two = alone.record(stage), many.record(stage)
        assert one["counts"] == two["counts"] and one["fingerprint"] == two["fingerprint"]
        places = [p for p in (alone.folder / stage).iterdir() if p.is_dir()]
        assert len(places) == (3 if stage in ("regions", "text") else 2)
        assert all(equal(place, many.folder / stage / place.name) for place in places)
    named = Path(artifacts.examples(many, "train")[70].path).name
    (what, why), *others = many.record("regions")["skipped"]
    assert named in why and not others and [[what, why.replace("many", "alone")]] == alone.record("regions")["skipped"]
    assert StoredRegions(many.folder / "regions" / "train").counts().tolist().count(0) == 1
    # Three slices of 64 images and less, each a task of its own: more than one process wrote.
    assert len(list((many.folder / "regions" / "train").glob("*.safetensors"))) >= 3
    assert execute(new_run(many.folder), first_stages(many)) == []  # the engine is no part of a fingerprint


class Numbers:
    """A worker that counts what it did in files, and dies, fails or dawdles where the run's folder says so."""

    def __init__(self, run, folder):
        self.run, self.folder, self.beyond = run, folder, 0
        if (run.folder / "fail").exists():
            raise ValueError("model.safetensors: missing; fetch it")

    def __call__(self, split, part):
        (self.run.folder / f"seen-{part.start}-{time.time_ns()}-{os.getpid()}").touch()
        for name in (f"die-{part.start}", f"die-always-{part.start}"):
            if (place := self.run.folder / name).exists():
                if name == f"die-{part.start}":
                    place.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
        if (self.run.folder / "dawdle").exists():
            time.sleep(600)
            (self.run.folder / "dawdled").touch()
        self.beyond += 2
        for i in range(part.start, part.stop):
            if i == 9:
                self.run.skipped.add(str(i), "odd")
            yield {"x": np.full((i % 3, 2), i, np.float32), "y": np.arange(i)}


COUNT = 30


@pytest.fixture
def numbered(tmp_path, engine, monkeypatch):
    """A run whose split has COUNT images, for slices of 4; tasks are of two slices."""
    monkeypatch.setattr(tasks_module, "ROUNDS", 2)
    run = new_run(tmp_path / "run", engine)
    run.folder.mkdir()
    return run


@pytest.fixture
def work():
    """The stage that counts; gives how many entities were beyond a model's length."""

    what = Extraction(Numbers, "counting {} images", Columns("x", "y"), 4)
    return Stage(
        "counts",
        (),
        "settings",
        lambda run, folder: {"beyond": extract(run, folder, what, {"train": list(map(str, range(COUNT)))})},
    )


def whole(folder, stage="counts"):
    store = Ragged(folder / stage / "train")
    assert sorted(store, key=int) == [str(i) for i in range(COUNT)]
    for i in range(COUNT):
        np.testing.assert_array_equal(store[str(i)]["x"], np.full((i % 3, 2), i, np.float32))
        assert len(store[str(i)]["y"]) == i
    return True


def seen(folder):
    return sorted(int(p.name.split("-")[1]) for p in folder.glob("seen-*"))


@pytest.mark.slow
def test_an_actor_that_dies_is_replaced_and_its_task_done_again(numbered, work):
    (numbered.folder / "die-12").touch()
    assert execute(numbered, [work]) == ["counts"] and whole(numbered.folder)
    assert not (numbered.folder / "die-12").exists()
    # The second slice of its task: the first had been computed, and was not written.
    assert seen(numbered.folder) == [0, 4, 8, 8, 12, 12, 16, 20, 24, 28]
    record = numbered.record("counts")
    assert record["counts"] == {"beyond": 2 * 8} and record["skipped"] == [["9", "odd"]]


@pytest.mark.slow
def test_images_that_kill_every_reader_are_named_and_the_rest_is_done(numbered, work):
    (numbered.folder / "die-always-12").touch()
    with pytest.raises(
        ValueError, match=r"^train images 8 to 15: workers died 4 times .* the next run tries these again"
    ):
        execute(numbered, [work])
    assert set(Ragged(numbered.folder / "counts.part" / "train")) == {str(i) for i in [*range(8), *range(16, COUNT)]}
    assert seen(numbered.folder).count(12) == 4
    (numbered.folder / "die-always-12").unlink()
    assert execute(numbered, [work]) == ["counts"] and whole(numbered.folder)


def processes(folder):
    return {p.name.split("-")[3] for p in folder.glob("seen-*")}


@pytest.mark.slow
def test_actors_stay_for_the_next_stage_and_end_before_a_training(numbered, work, engine):
    def stage(name):
        for place in numbered.folder.glob("seen-*"):
            place.unlink()
        assert execute(numbered, [replace(work, name=name)]) == [name] and whole(numbered.folder, name)
        return processes(numbered.folder)

    first = stage("one")
    assert 1 <= len(first) <= 2
    actors = list(engine.actors)
    stage("two")
    assert engine.actors == actors
    execute(numbered, [Stage("training", (), 0, lambda run, folder: {"actors": len(engine.actors)}, shared=True)])
    assert numbered.record("training")["counts"] == {"actors": 0}
    assert not stage("three") & first


@pytest.mark.slow
def test_it_goes_on_with_what_another_attempt_left(numbered, work):
    part = numbered.folder / "counts.part"
    with pytest.raises(ZeroDivisionError):
        execute(numbered, [Stage("counts", (), "settings", lambda run, folder: 1 / 0)])
    with RaggedWriter(part / "train", "x", "y") as writer:  # in one process: two slices and a half
        for i in range(10):
            writer.append(str(i), {"x": np.full((i % 3, 2), i, np.float32), "y": np.arange(i)})
    execute(numbered, [work])
    assert whole(numbered.folder) and seen(numbered.folder) == [8, 12, 16, 20, 24, 28]


@pytest.mark.slow
def test_what_an_actor_raises_is_told_as_the_local_run_tells_it(numbered, work):
    (numbered.folder / "fail").touch()
    with pytest.raises(ValueError, match=r"^model\.safetensors: missing; fetch it$"):
        execute(numbered, [work])


@pytest.mark.slow
def test_a_signal_ends_it_while_actors_are_at_work(numbered, work):
    (numbered.folder / "dawdle").touch()

    def interrupt():
        while not seen(numbered.folder):
            time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped):
        execute(numbered, [work])
    assert not (numbered.folder / "dawdled").exists()


def test_tasks_are_few_and_large_but_enough_for_all(tmp_path):
    def sizes(images, workers, size=64, splits=("train",)):
        what = Extraction(None, "", None, size)
        missing = {s: [Due(p, {}) for p in what.slices(images)] for s in splits}
        tasks = tasks_of(new_run(tmp_path), tmp_path, what, missing, workers)
        assert sum(task.images for task in tasks) == len(splits) * images
        return [len(task.slices) for task in tasks]

    assert sizes(100_000, 2) == [8] * 195 + [3]  # 1,563 slices, 512 images a task
    assert sizes(640, 2) == [2] * 5  # 10 slices for 8 tasks
    assert sizes(300, 2) == [1] * 5
    assert sizes(5000, 1, size=1024) == [1] * 5  # a slice larger than a task
    assert sizes(640, 2, splits=("train", "test")) == [3, 3, 3, 1] * 2  # 20 slices: no task has two splits


def test_engines_are_known_by_name(tmp_path):
    with open_executor(None) as engine:
        assert engine is None
    with pytest.raises(ValueError, match="no engine 'spark': choose one of ray"):
        open_executor("spark")
    with pytest.raises(ValueError, match="add --engine ray"):
        open_executor(None, "auto")
    told = CliRunner().invoke(app, ["run", "demo", "--out", str(tmp_path), "--engine", "spark"])
    assert told.exit_code == 2 and "spark" in told.output


def test_without_ray_it_says_what_to_install(monkeypatch):
    monkeypatch.delitem(sys.modules, "groundgraph.engine.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match=r"pip install 'groundgraph\[ray\]'"):
        open_executor("ray")


def test_workers_have_a_gpu_each_unless_the_recipe_asks_for_the_cpu(monkeypatch, tmp_path):
    monkeypatch.setattr(executor_module, "_resource", {"GPU": 2, "CPU": 16}.get)
    monkeypatch.setattr(executor_module.RayExecutor, "_start", lambda self: None)
    recipe = load_recipe(find_recipe("demo"))

    def places(device, workers=None):
        executor = executor_module.RayExecutor(workers=workers)
        return executor.begin(Run(recipe.model_copy(update={"device": device}), tmp_path)), executor.on_gpus

    assert places("auto") == (2, True) and places("cpu") == (16, False) and places("auto", 4) == (4, False)
