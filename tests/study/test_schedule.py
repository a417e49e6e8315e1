"""Tasks in the order of their needs, what a failure takes with it, and processes that work side by side."""

import os
from functools import partial

import pytest
from rich.console import Console

from groundgraph.study.schedule import StudyTask, perform


def write(folder, name):
    """A task's work: its process, and which were there before it."""
    earlier = sorted(p.name for p in folder.iterdir())
    (folder / name).write_text(f"{os.getpid()} {' '.join(earlier)}")


def fail(error):
    raise error


def stop():
    raise KeyboardInterrupt


def task(folder, name, *needs, work=None):
    return StudyTask(name, frozenset(needs), 1.0, name, work or partial(write, folder, name))


def test_an_earlier_task_goes_first_and_none_before_its_needs(tmp_path):
    order = [
        task(tmp_path, "d", "b", "c"), task(tmp_path, "c", "a"), task(tmp_path, "b", "a"), task(tmp_path, "a", "done"),
    ]  # fmt: skip
    assert perform(order, 1, Console(quiet=True)) == {}
    earlier = {p.name: p.read_text().split()[1:] for p in tmp_path.iterdir()}
    assert earlier == {"a": [], "c": ["a"], "b": ["a", "c"], "d": ["a", "b", "c"]}


def test_a_failure_takes_what_needs_it_and_nothing_else(tmp_path):
    tasks = [
        task(tmp_path, "a", work=partial(fail, ValueError("no luck"))),
        task(tmp_path, "b", "a"),
        task(tmp_path, "c", "b"),
        task(tmp_path, "d"),
    ]
    failed = perform(tasks, 1, Console(quiet=True))
    assert failed == {"a": "ValueError: no luck (2 steps that need it are left out)"}
    assert [p.name for p in tmp_path.iterdir()] == ["d"]


def test_an_interruption_stops_all(tmp_path):
    tasks = [task(tmp_path, "a"), task(tmp_path, "b", work=stop), task(tmp_path, "c")]
    with pytest.raises(KeyboardInterrupt):
        perform(tasks, 1, Console(quiet=True))
    assert [p.name for p in tmp_path.iterdir()] == ["a"]


@pytest.mark.slow
def test_several_processes(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    tasks = [task(out, "d", "a", "b", "c"), *(task(out, name) for name in "abc")]
    failing = task(out, "e", work=partial(fail, RuntimeError("broken")))
    assert perform([*tasks, failing], 2, Console(quiet=True)) == {"e": "RuntimeError: broken"}
    written = {p.name: p.read_text().split() for p in out.iterdir()}
    assert written["d"][1:] == ["a", "b", "c"] and str(os.getpid()) not in {words[0] for words in written.values()}
    with pytest.raises(ValueError, match="--jobs"):
        perform([task(out, "f", work=partial(os._exit, 1))], 2, Console(quiet=True))
