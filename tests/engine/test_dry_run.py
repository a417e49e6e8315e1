"""What a dry run says of time, memory and disk before a run, and that it leaves nothing behind."""

import io
import json
import re
import shutil
import time
from types import SimpleNamespace

import huggingface_hub
import pytest
import torch
from captioned import captioned_photos
from rich.console import Console
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.cli import dry_run as show
from groundgraph.engine.dry_run import Try, Usage, estimates, sentence, try_stages
from groundgraph.engine.execute import execute
from groundgraph.engine.extraction import in_process
from groundgraph.engine.run import Run
from groundgraph.stages import dry_run as sampling
from groundgraph.stages import stages
from groundgraph.stages.dry_run import estimate
from groundgraph.stages.recipe import find_recipe, load_recipe

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = ["data.train=30", "data.validation=4", "data.test=8", "grounding.dimension=16", "grounding.epochs=3"]
RICH = [
    "grounder=[full, lsws, two-teachers, sgnls]",
    "pseudo_labels.kind=soft",
    "grounding.official=true",
    "sgg.model=uniter",
]
RICH += ["sgg.tasks=[predcls]", "sgg.training.patience=1", "vocabulary.name=induced"]
EXTRACTION = ("examples", "parsed", "regions", "text", "teachers", "crops", "reliability")


def run_of(name, folder, *settings):
    return Run(load_recipe(find_recipe(name), list(settings)), folder, Console(quiet=True))


def content(folder):
    return {p.relative_to(folder): (p.stat().st_mtime_ns, p.is_file() and p.read_bytes()) for p in folder.rglob("*")}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A dozen pictures with captions as a recipe's settings, all of whose models are here."""
    folder = tmp_path_factory.mktemp("photos")
    captioned_photos(folder, 12)
    data = {"source": "jsonl", "images": str(folder), "captions": str(folder / "captions.jsonl")}
    detector = "detector={kind: torchvision, model: 'bundled:detector'}"
    own = ["text.model=bundled:text", "grounder=two-teachers", "teachers.interaction=null"]
    return folder, [f"data={json.dumps(data)}", detector, *own]


def test_costs_are_images_of_the_splits_that_a_stage_works_on_and_epochs_of_train_images():
    settings = ["sgg.training.epochs=8", "grounding.epochs=15", "grounder=[two-teachers, mil, sgnls]"]
    images = {"train": 1500, "validation": 200, "test": 500}
    costs = {s.name: s.cost for s in stages(load_recipe(find_recipe("demo"), settings))}
    counts = {name: cost.images(images) for name, cost in costs.items()}
    assert all(counts[stage] == 2200 for stage in ("examples", "parsed", "regions", "text"))
    assert counts["crops"] == counts["reliability"] == 1700  # what is measured is not taught
    assert counts["sgg-mil"] == 8 * 1500 + 200 + 500 and counts["pseudo-mil"] == 1500 and counts["evaluation"] == 2000
    words = {name: cost.words(images) for name, cost in costs.items()}
    assert words["regions"] == "find regions: 2,200 images"
    assert words["sgg-mil"] == "train motifs: 752 steps of 16 images"  # 8 epochs of 94, the last of 12 images
    assert words["grounding-mil"] == "train mil: 15 epochs of 1,500 images"
    assert words["grounding-sgnls"] == "match regions: 2,000 images"
    own = {s.name: s.cost for s in stages(load_recipe(find_recipe("own-photos")))}
    assert own["regions"].images({"train": 7}) == own["evaluation"].images({"train": 7}) == 7


def usage(seconds, memory=0, **files):
    return Usage(seconds, memory, files)


def a_try(recipe, images, **taken):
    return Try(recipe, stages(recipe), images, {name.replace("_", "-"): one for name, one in taken.items()})


def test_rows_are_images_times_the_seconds_of_one_in_the_last_try(tmp_path):
    run = run_of("demo", tmp_path / "run", "data.train=1000", "grounding.epochs=10", "grounder=two-teachers")
    recipe = sampling._shortened(run.recipe, {"train": 4, "validation": 2, "test": 2})
    assert recipe.grounding.epochs == sampling.EPOCHS == 2 and recipe.data.train == 4
    few, many = {"train": 4, "validation": 2, "test": 2}, {"train": 100, "validation": 20, "test": 50}
    images = {"train": 1000, "validation": 200, "test": 500}
    tries = [
        a_try(recipe, few, regions=usage(9.0, shard=800), grounding_two_teachers=usage(1.0, model=60, scores=1)),
        a_try(recipe, many, regions=usage(17, 5, shard=17000), grounding_two_teachers=usage(3, 9, model=61, scores=20)),
    ]
    rows = {row.stage: row for row in estimates(run, stages(run.recipe), images, tries)}
    regions, grounding = rows["regions"], rows["grounding-two-teachers"]
    assert (regions.images, regions.seconds, regions.memory, regions.disk) == (1700, pytest.approx(170), 5, 170_000)
    # 2 epochs of 100 images and 50 measured took 3; 10 epochs of 1,000 and 500 measured come.
    cost = {s.name: s.cost for s in stages(recipe)}["grounding-two-teachers"]
    assert grounding.seconds == pytest.approx(3 * grounding.images / cost.images(many))
    assert (grounding.memory, grounding.disk) == (9, 61 + 20 * 10)  # the model's file does not grow
    assert rows["text"].seconds is None and rows["text"].what  # it came to nothing
    assert not {row.what for row in estimates(run, stages(run.recipe), {}, [])} - {""}


def test_the_sentence_says_of_how_many_images_the_figures_are():
    def of(*sizes, failed=""):
        return [Try(None, (), {"train": n, "test": 2}, failed=failed) for n in sizes]

    assert sentence(of(4, 100), 900, 12.4).startswith("tried on 4 and 100 images in 12 s on this machine: what")
    assert "so time is too much" in sentence(of(4), 900, 70)
    assert "too much" not in sentence(of(4, 4), 4, 7)  # these are all there are
    assert sentence(of(4, failed="text failed on 4 images: why"), 9, 7).endswith("; text failed on 4 images: why")


def test_the_second_try_is_smaller_the_longer_the_first_took(tmp_path, monkeypatch):
    def sizes(seconds, images):
        sizes = []
        monkeypatch.setattr(Try, "perform", lambda self, due, place: self.usage.update(text=usage(seconds)))
        small = lambda most: sizes.append(most) or Try(None, (), {"train": most})  # noqa: E731
        try_stages(small, {"text"}, images, tmp_path)
        return sizes

    assert sizes(2.0, 1000) == [4, 100] and sizes(2.0, 30) == [4, 30] and sizes(2.0, 3) == [4, 3]
    assert sizes(12.0, 1000) == [4, 40]  # 120 s for 4 * 120 / 12 images
    assert sizes(80.0, 1000) == [4]  # 6 would tell little more


def test_times_and_sizes_are_said_as_a_person_would():
    told = {0.2: "< 1 s", 12.4: "12 s", 99: "99 s", 240: "4 min", 11520: "3.2 h", 400000: "4.6 days", None: ""}
    assert {s: show._time(s) for s in told} == told
    sizes = {None: "", 300_000: "0.3 MiB", 50 * 2**20: "50 MiB", 3 * 2**29: "1.5 GiB"}
    assert {s: show._size(s) for s in sizes} == sizes


@pytest.mark.slow
def test_a_dry_run_says_all_of_every_stage_and_leaves_nothing(tmp_path):
    words = [w for setting in TINY for w in ("--set", setting)]
    result = CliRunner().invoke(app, ["run", "demo", "--dry-run", "--out", str(tmp_path / "run"), *words])
    assert result.exit_code == 0 and list(tmp_path.iterdir()) == [], result.output
    assert "find regions: 42" in result.output and re.search(r"tried on 4 (and \d+ )?images in", result.output)
    run, offline = run_of("demo", tmp_path / "run", *TINY, *RICH), huggingface_hub.is_offline_mode()
    rows, why = estimate(run)
    assert [row.stage for row in rows] == [stage.name for stage in stages(run.recipe)] and "tried on" in why
    for row in rows:
        assert not row.done and row.what and row.images > 0 and row.seconds > 0 and row.disk > 0, row
        assert 100 * 2**20 < row.memory < 8 * 2**30, row
    assert list(tmp_path.iterdir()) == [] and huggingface_hub.is_offline_mode() == offline


@pytest.mark.slow
def test_the_estimate_is_near_what_the_run_takes(tmp_path, monkeypatch):
    """Disk within a quarter; time, the processor's since others may share it, within a factor of 3."""
    monkeypatch.setattr(time, "perf_counter", time.process_time)
    settings = ("data.train=120", "data.validation=20", "data.test=40", "grounding.dimension=64")
    run = run_of(
        "demo", tmp_path / "run", *settings, "grounding.epochs=4", "sgg.training.epochs=3", "grounder=two-teachers"
    )
    rows = {row.stage: row for row in estimate(run)[0]}
    began = time.perf_counter()
    execute(run, stages(run.recipe))
    took = time.perf_counter() - began
    for stage in EXTRACTION:
        real = sum(size for size, *_ in run.record(stage)["files"].values())
        real += sum(p.stat().st_size for p in (run.folder / "images").iterdir()) if stage == "examples" else 0
        assert 0.75 < rows[stage].disk / real < 1.25, (stage, rows[stage].disk, real)
    assert 1 / 3 < sum(row.seconds for row in rows.values()) / took < 3


def test_what_is_done_is_told_and_not_tried_again(tmp_path, monkeypatch):
    run = run_of("demo", tmp_path / "run", *TINY)
    execute(run, stages(run.recipe)[:3])
    before, asked = content(tmp_path), []
    monkeypatch.setattr(
        sampling, "try_stages", lambda small, due, most, place: asked.append((small, due)) or [small(4)]
    )
    rows, _ = estimate(run)
    record = run.record("parsed")
    assert rows[1].done and rows[1].seconds == record["seconds"] and rows[1].memory is None
    assert rows[1].disk == sum(p.stat().st_size for p in (run.folder / "parsed").glob("*.jsonl"))
    assert "captions" in rows[1].what and [row.done for row in rows[:4]] == [True, True, True, False]
    ((small, due),) = asked
    assert due == {row.stage for row in rows[3:]}
    assert content(tmp_path) == before
    tried = small(4)
    tried.perform({"concepts"}, tmp_path / "trial")
    assert list(tried.usage) == ["examples", "parsed", "vocabulary", "concepts"] and not tried.failed
    lines = (tmp_path / "trial" / "examples" / "test.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["test-vg-00000", "test-vg-00001"]  # the run's own
    monkeypatch.setattr(sampling, "done_stages", lambda run, stages: dict.fromkeys([s.name for s in stages], True))
    assert estimate(run)[1] == "" and len(asked) == 1


def test_without_the_data_or_with_models_to_fetch_nothing_is_estimated(tmp_path, monkeypatch, photos):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sampling, "try_stages", None)
    result = CliRunner().invoke(app, ["run", "own-photos", "--dry-run"])
    assert result.exit_code == 0 and list(tmp_path.iterdir()) == [], result.output
    assert "nothing is estimated before all is here: 2 missing, 3 to fetch" in result.output
    assert "grounding-two-teachers" in result.output and "what it does" not in result.output
    folder, settings = photos
    before = content(folder)
    rows, why = estimate(run_of("own-photos", folder / "run", *settings, "text.model=nobody/nothing"))
    assert why.endswith("here: 1 to fetch") and content(folder) == before
    found = next(row for row in rows if row.stage == "regions")
    assert (found.what, found.images, found.seconds) == ("find regions: 12 images", 12, None)


def test_nothing_is_fetched_while_stages_are_tried(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with sampling._offline():
        assert huggingface_hub.is_offline_mode()
        with pytest.raises(ValueError, match=r"https://example.org/a.pth would have to be fetched"):
            torch.hub.load_state_dict_from_url("https://example.org/a.pth", model_dir=str(tmp_path))
    assert not huggingface_hub.is_offline_mode() and "refuse" not in torch.hub.download_url_to_file.__name__


@pytest.mark.slow
def test_a_stage_that_fails_on_a_few_images_is_named_and_the_rest_is_listed(tmp_path, photos):
    folder, settings = photos
    broken = tmp_path / "photos"
    shutil.copytree(folder, broken)
    for path in broken.glob("*.png"):
        path.write_bytes(b"no image")
    settings = [s.replace(str(folder), str(broken)) for s in settings]
    run = run_of("own-photos", tmp_path / "run", *settings)
    rows, why = estimate(run)
    known = {row.stage for row in rows if row.seconds is not None}
    assert known == {"examples", "parsed"}  # the vocabulary goes by the detector's names
    assert next(row for row in rows if row.stage == "regions").images == 12
    assert "tried on 4 " in why and re.search(r"regions failed on \d+ images: no train image gave a region", why)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photos"]
    (broken / "captions.jsonl").write_text('{"image": "nowhere.png", "captions": ["a dog"]}')
    rows, why = estimate(run)
    assert why.startswith("nothing is estimated: no train image with a caption or triplet is left") and not rows[0].what


@pytest.mark.slow
def test_a_run_that_does_not_fit_the_disk_is_told_so_and_who_shares_the_time(tmp_path, photos, monkeypatch):
    run = run_of("own-photos", tmp_path / "run", *photos[1])
    run.console, run.executor = Console(record=True, width=1000, file=io.StringIO()), in_process
    monkeypatch.setattr(show.shutil, "disk_usage", lambda place: SimpleNamespace(free=1024))
    show.show_dry_run(run.console, run)
    text = run.console.export_text()
    assert f"are needed, and 0.0 MiB are free in {tmp_path}" in text and "in all" in text
    assert "train motifs: 60 steps of 16 images" in text
    assert "the engine's workers share the time of regions, text, and each" in text
