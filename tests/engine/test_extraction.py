"""Stages that write as they go: broken off anywhere, they go on, with the same digits, counts and skips."""

from types import SimpleNamespace

import numpy as np
import pytest

from groundgraph.data.store import Ragged, RaggedWriter, RegionsWriter, StoredRegions
from groundgraph.data.types import Regions
from groundgraph.engine import extraction as streaming
from groundgraph.engine.execute import execute
from groundgraph.engine.extraction import Extraction, TruncationCounter, fill
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.stages import stages
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.vision.torchvision_detector import TorchvisionDetector

NAMES = [f"image-{i}" for i in range(23)]
SIZE = 5  # images a slice
SLICES = Extraction(None, "", None, SIZE).slices(len(NAMES))


class Killed(BaseException):
    """What no stage catches."""


def regions(i, batch):
    """Three regions whose features tell which batch they were found in; image 7 has none."""
    if i == 7:
        return None
    features = np.full((3, 4), i + batch / 100, np.float32)
    return Regions(np.tile(np.float32([0, 0, 2, 2]), (3, 1)), np.arange(3), np.ones(3, np.float32), features, (4, 4))


def stage(slices, stop_at=None, shard=1 << 20):
    """A stage like find_regions over NAMES; raises when it would append image `stop_at`."""

    def work(run, folder):
        def make(part):
            slices.append(part)
            rows = range(len(NAMES))[part]
            for i in rows:
                if i == 7:
                    run.skipped.add(NAMES[i], "broken")
            return [regions(i, part.start) for i in rows]

        with RegionsWriter(folder / "train", shard=shard) as writer:
            if stop_at is not None:
                append = writer.append

                def counted(name, value):
                    if name == NAMES[stop_at]:
                        raise Killed
                    append(name, value)

                writer.append = counted
            fill(run, "finding", NAMES, writer, make, SLICES)
        return {"images": len(NAMES)}

    return Stage("regions", (), "settings", work)


def new_run(folder):
    return Run(load_recipe(find_recipe("demo")), folder)


@pytest.mark.parametrize("stop_at", [0, 3, 8, 12, 22])
def test_a_broken_off_stage_goes_on_with_the_same_batches_and_skips(tmp_path, stop_at):
    whole = new_run(tmp_path / "whole")
    execute(whole, [stage([])])
    run, first, second = new_run(tmp_path / "broken"), [], []
    with pytest.raises(Killed):
        execute(run, [stage(first, stop_at)])
    assert not (run.folder / "regions").exists()
    run = new_run(run.folder)  # as another process
    assert execute(run, [stage(second)]) == ["regions"]
    assert second == [slice(s, min(s + SIZE, 23)) for s in range(stop_at // SIZE * SIZE, 23, SIZE)]
    assert run.record("regions")["skipped"] == whole.record("regions")["skipped"] == [[NAMES[7], "broken"]]
    assert run.skipped.items == [(NAMES[7], "broken")] and not (run.folder / "regions" / "scratch").exists()
    pairs = zip(*(StoredRegions(r.folder / "regions" / "train", NAMES) for r in (run, whole)), strict=True)
    for one, two in pairs:
        np.testing.assert_array_equal(one.features, two.features)


def test_the_bar_counts_what_was_there(tmp_path, monkeypatch):
    run, told = new_run(tmp_path), []

    class Bar:
        def __enter__(self):
            return told.append

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(Run, "progress", lambda self, what, total: told.append(total) or Bar())
    with RaggedWriter(tmp_path / "s", "x") as writer:
        for name in NAMES[:12]:
            writer.append(name, {"x": np.zeros(1)})
    made = []
    with RaggedWriter(tmp_path / "s", "x") as writer:
        fill(run, "", NAMES, writer, lambda part: made.append(part) or [{"x": np.ones(1)}] * len(NAMES[part]), SLICES)
    assert told == [23, 5, 5, 5, 5, 3] and made == [slice(10, 15), slice(15, 20), slice(20, 23)]
    assert sum(Ragged(tmp_path / "s")[name]["x"][0] for name in NAMES) == 11


def test_a_truncations_counts_each_slice_once_however_often_it_is_made(tmp_path):
    run, worker = new_run(tmp_path), SimpleNamespace(beyond=0)

    def make(part):
        worker.beyond += part.start  # the first slice counts nothing
        return [{"x": np.zeros(1)}] * len(NAMES[part])

    def attempt(stop_at=None, mark=""):
        worker.beyond = 100  # of the process, not of the stage
        truncations = TruncationCounter(tmp_path, "s", worker, mark)
        with RaggedWriter(tmp_path / "s", "x") as writer:
            if stop_at is not None:
                append = writer.append
                writer.append = lambda name, value: append(name, value) if name != NAMES[stop_at] else 1 / 0
            fill(run, "", NAMES, writer, make, SLICES, truncations)
        return truncations.total()

    with pytest.raises(ZeroDivisionError):
        attempt(stop_at=12)
    with (tmp_path / "s.beyond.jsonl").open("a") as file:
        file.write("\n[15, 1")  # cut off
    assert attempt(mark="-another-process") == 0 + 5 + 10 + 15 + 20


def test_shards_come_by_time_too_and_a_kill_loses_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "FLUSH_SECONDS", 0.0)
    monkeypatch.setattr(streaming, "FLUSH_SHARE", 0.0)
    run = new_run(tmp_path)
    writer = RaggedWriter(tmp_path / "s", "x")
    fill(run, "", NAMES, writer, lambda part: [{"x": np.zeros(1)}] * len(NAMES[part]), SLICES)
    assert len(list((tmp_path / "s").iterdir())) == 5 and len(Ragged(tmp_path / "s")) == 23  # and it was never closed


def test_other_settings_take_nothing_over(tmp_path):
    run, slices = new_run(tmp_path), []
    with pytest.raises(Killed):
        execute(run, [stage([], 12)])
    other = stage(slices)
    assert execute(run, [Stage("regions", (), "other settings", other.work)]) == ["regions"]
    assert len(slices) == 5 and run.skipped.items == [(NAMES[7], "broken")]


def test_no_region_anywhere_says_why(tmp_path, monkeypatch):
    def detect(self, examples, skipped):
        for example in examples:
            skipped.add(example.image_id, "too dark")
        return [None] * len(examples)

    monkeypatch.setattr(TorchvisionDetector, "detect", detect)
    settings = ["data.train=4", "data.validation=2", "data.test=2"]
    run = Run(load_recipe(find_recipe("demo"), settings), tmp_path)
    with pytest.raises(ValueError, match=r"no train image gave a region: .*too dark"):
        execute(run, [s for s in stages(run.recipe) if s.name in ("examples", "regions")])
