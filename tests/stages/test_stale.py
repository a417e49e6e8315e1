"""What is stale is not called done: code, photos, every file that a stage reads. What nobody asks for is not done."""

import json
import shutil
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from captioned import captioned_photos
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.engine import code
from groundgraph.engine import record as manifest
from groundgraph.engine.execute import execute
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.engine.run import Run
from groundgraph.engine.stage import Stage
from groundgraph.stages import artifacts, stages
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.teachers.interaction import InteractionTeacher

SMALL = [
    "data.train=24", "data.validation=6", "data.test=8", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1",
]  # fmt: skip


def invoke(*words):
    return CliRunner().invoke(app, [str(w) for w in words])


def demo(folder, *settings):
    result = invoke("demo", "--out", folder, *(w for s in [*SMALL, *settings] for w in ("--set", s)))
    assert result.exit_code == 0, result.output
    return result.output


def marks(*settings, recipe="demo"):
    return fingerprints(stages(load_recipe(find_recipe(recipe), settings)))


def due(before, after):
    return {name for name in after if before.get(name) != after[name]}


# Code


def forget():
    for name in ("files_of", "_hash", "_place", "_data", "_imported", "_referred", "_definitions"):
        getattr(code, name).cache_clear()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package's source that fingerprints are made of; gives what to call after a change."""
    weights = shutil.ignore_patterns("__pycache__", "*.safetensors")
    shutil.copytree(code.ROOT, tmp_path / "groundgraph", ignore=weights)
    monkeypatch.setattr(code, "ROOT", tmp_path / "groundgraph")

    def again(*settings):
        forget()
        return marks(*settings)

    yield again
    monkeypatch.undo()
    forget()


@pytest.mark.parametrize(
    "file, first, untouched",
    [
        ("language/lemmas.py", {"parsed"}, {"examples"}),
        ("language/synonyms.json", {"concepts"}, {"examples"}),
        ("data/vg150_objects.txt", {"vocabulary"}, set()),
        ("data/minigenome/drawing.py", {"examples"}, set()),
        ("vision/small_faster_rcnn.py", {"regions"}, {"parsed", "text"}),
        ("vision/backbone.py", {"regions"}, {"parsed", "text"}),  # imported where it is asked for
        ("language/encoder.py", {"text"}, {"examples", "regions"}),
        ("teachers/gradcam.py", {"teachers"}, {"regions", "text", "crops", "grounding-sgnls"}),
        ("teachers/expert.py", {"crops", "reliability"}, {"teachers", "text"}),
        ("grounding/two_teachers.py", {"grounding-two-teachers"}, {"teachers", "reliability"}),
        ("grounding/pseudo_labels.py", {"pseudo-two-teachers"}, {"grounding-two-teachers"}),
        ("sgg/uniter_checkpoint.py", {"sgg-two-teachers"}, {"pseudo-two-teachers"}),
        ("evaluation/matching.py", {"evaluation"}, {"pseudo-two-teachers", "grounding-two-teachers"}),
        ("stages/evaluation.py", {"evaluation"}, {"sgg-two-teachers"}),
        ("report/html.py", {"report"}, {"evaluation", "sgg-two-teachers"}),
        ("report/report.js", {"report"}, {"evaluation", "sgg-two-teachers"}),
    ],
)
def test_a_stage_is_due_when_the_code_that_it_runs_has_changed(package, file, first, untouched):
    before = package()
    with (code.ROOT / file).open("a") as opened:
        opened.write("\n")
    changed = due(before, package())
    assert first <= changed and not untouched & changed and "report" in changed


# Photos


SETTINGS = (
    "detector.kind=torchvision", "detector.model=bundled:detector", "text.model=bundled:text", "vocabulary.minimum=1",
    "grounding.dimension=16", "grounding.epochs=1", "sgg.training.epochs=1", "grounder=sgnls",
)  # fmt: skip


def make_photos(folder, first=0, count=6):
    captioned_photos(folder, count, first)
    return sorted(folder.glob("*.png"))


def run_photos(folder, *words):
    return invoke("run", folder, *words, *(w for s in SETTINGS for w in ("--set", s)))


def test_mended_replaced_and_deleted_photos_are_looked_at_again(tmp_path):
    photos, out = make_photos(tmp_path / "photos"), tmp_path / "run"
    whole = [photo.read_bytes() for photo in photos[:2]]
    photos[0].write_bytes(whole[0][:900])
    photos[1].unlink()
    result = run_photos(tmp_path / "photos", "--out", out)
    assert result.exit_code == 0 and "2 things skipped" in result.output, result.output

    def found():
        run = Run(load_recipe(out / "recipe.yaml"), out)
        return {
            name: r for name, r in zip(artifacts.image_ids(run, "train"), artifacts.regions(run, "train"), strict=True)
        }

    assert sum(len(r) > 0 for r in found().values()) == 4
    assert "nothing had changed" in run_photos(tmp_path / "photos", "--out", out).output
    for photo, content in zip(photos, whole, strict=False):
        photo.write_bytes(content)
    result = run_photos(tmp_path / "photos", "--out", out)
    assert result.exit_code == 0 and "skipped" not in result.output
    before = found()
    assert len(before) == 6 and all(map(len, before.values()))
    shutil.copyfile(photos[2], photos[3])
    assert "done regions" in run_photos(tmp_path / "photos", "--out", out).output
    np.testing.assert_array_equal(found()[photos[3].name].boxes, before[photos[2].name].boxes)
    photos[4].unlink()
    result = run_photos(tmp_path / "photos", "--out", out)
    assert "1 things skipped" in result.output and len(found()) == 5


@pytest.mark.parametrize("source", ["jsonl", "coco"])
def test_sizes_and_times_of_the_photos_that_captions_name_and_of_no_other_file(tmp_path, source):
    photos = make_photos(tmp_path / "photos", count=3)
    captions = tmp_path / "photos" / "captions.jsonl"
    if source == "coco":
        listed = [json.loads(line) for line in captions.read_text().splitlines()]
        images = [{"id": i, "file_name": entry["image"]} for i, entry in enumerate(listed)]
        notes = [{"image_id": i, "caption": c} for i, entry in enumerate(listed) for c in entry["captions"]]
        captions = captions.with_name("captions.json")
        captions.write_text(json.dumps({"images": images, "annotations": notes}))
    given = [*SETTINGS, f"data.source={source}", f"data.images={tmp_path / 'photos'}", f"data.captions={captions}"]

    def changed(change):
        before = marks(*given, recipe="own-photos")
        change()
        return due(before, marks(*given, recipe="own-photos"))

    assert not changed(lambda: (tmp_path / "photos" / "drawn by predict.png").write_bytes(b"x"))
    assert "regions" in changed(photos[0].touch) and "evaluation" in changed(photos[1].unlink)
    text = captions.read_text()
    assert "parsed" in changed(lambda: captions.write_text(text.replace("a ", "A ", 1)))  # of equal size
    assert "examples" in changed(lambda: captions.write_text("[")) and "examples" in changed(captions.unlink)


# Files


def test_every_file_that_a_stage_reads_counts(tmp_path):
    model, words, table = tmp_path / "model.pt", tmp_path / "words", tmp_path / "all.h5"
    for path in (model, table, tmp_path / "objects_vocab.txt", tmp_path / "all_imgid2idx.pkl"):
        path.write_bytes(b"1")
    (words / "deep").mkdir(parents=True)
    (words / "deep" / "vocab.txt").write_text("1")
    uniter = ("sgg.model=uniter", f"sgg.uniter.checkpoint={model}", f"sgg.uniter.tokenizer={words}", "grounder=sgnls")
    released = (f"sgg.motifs.checkpoint={model}", "grounder=sgnls")
    looker = (f"teachers.interaction.model={model}", f"teachers.interaction.tokenizer={words}", "grounder=two-teachers")
    regions = ("detector.kind=bottom-up-h5", f"detector.model={table}", f"detector.features={words}", "grounder=sgnls")
    for settings, path, first, before in (
        (uniter, model, "sgg-sgnls", "pseudo-sgnls"),
        (released, model, "sgg-sgnls", "pseudo-sgnls"),
        (uniter, words / "deep" / "vocab.txt", "sgg-sgnls", "pseudo-sgnls"),
        (looker, model, "teachers", "regions"),
        (looker, words / "deep" / "vocab.txt", "teachers", "regions"),
        (regions, table, "regions", "parsed"),
        (regions, tmp_path / "objects_vocab.txt", "regions", "parsed"),
        (regions, tmp_path / "all_imgid2idx.pkl", "regions", "parsed"),
        (regions, words / "deep" / "vocab.txt", "regions", "parsed"),
    ):
        old = marks(*settings)
        path.write_text("another")
        changed = due(old, marks(*settings))
        assert first in changed and before not in changed and "evaluation" in changed, path
        path.write_text("1")


# Declared, and asked for


OPENED, RECORDING = [], []
sys.addaudithook(lambda event, arguments: OPENED.append(str(arguments[0])) if event == "open" and RECORDING else None)
# What carries out any stage: see `code.BOOKKEEPING`, and what only `Run` uses.
BOOKKEEPING = {
    "engine/run.py", "engine/stage.py", "engine/signals.py", "engine/record.py", "engine/folder.py",
    "engine/progress.py", "engine/skips.py", "training/processes.py", "models/device.py",
    "stages/recipe.py", "stages/config.py", "stages/teacher_config.py", "stages/strict.py",
    "grounding/__init__.py", "grounding/method.py",
    "registry.py", "systems/model.py",
}  # fmt: skip


@contextmanager
def recording():
    """The files that are opened in the block, and the package's files whose functions are called."""
    ran, importing = set(), []

    def called(frame, event, _):
        if frame.f_code.co_name == "<module>":
            importing.append(1) if event == "call" else importing.pop()
        elif event == "call" and not importing:
            ran.add(frame.f_code.co_filename)

    OPENED.clear()
    RECORDING.append(True)
    sys.setprofile(
        lambda frame, event, argument: called(frame, event, argument) if event in ("call", "return") else None
    )
    try:
        yield OPENED, ran
    finally:
        sys.setprofile(None)
        RECORDING.clear()


@pytest.mark.parametrize(
    "settings",
    [
        ["grounder=[two-teachers, sgnls]"],
        ["grounder=full", "sgg.training.patience=1", "sgg.tasks=[predcls, sgcls]", "sgg.motifs.union=visual"],
        ["grounder=[wsgm, detector, full]"],
        ["grounder=[mil, lsws, vspnet]"],
        ["system=[lsws, vspnet]", "sgg.tasks=[predcls, sgcls]"],
        ["grounder=two-teachers", "grounding.fusing=self", "teachers.expert=null"],
        ["grounder=two-teachers", "teachers.interaction=null"],
        ["grounder=two-teachers", "teachers.object=false"],
    ],
    ids=lambda settings: settings[0] + settings[-1],
)
def test_stages_read_what_they_declare_and_run_the_code_that_counts(tmp_path, settings):
    run = Run(load_recipe(find_recipe("demo"), [*SMALL, "detector.regions=8", *settings]), tmp_path / "run")
    listing, read = stages(run.recipe), {}
    names = {stage.name for stage in listing}

    def watched(stage):
        def work(run, folder):
            run.cache.clear()  # what is kept in memory is read again, so that it is seen
            with recording() as (opened, ran):
                counts = stage.work(run, folder)
            work = getattr(stage.work, "func", stage.work)
            known = code.files_of(work.__module__, work.__qualname__)
            package = {path for path in map(Path, ran) if path.is_relative_to(code.ROOT)} - set(known)
            assert {path.relative_to(code.ROOT).as_posix() for path in package} <= BOOKKEEPING, stage.name
            inside = [Path(p).relative_to(run.folder).parts[:1] for p in opened if Path(p).is_relative_to(run.folder)]
            read[stage.name] = {name.removesuffix(".part") for (name,) in filter(None, inside)} & names
            return counts

        return replace(stage, work=work)

    execute(run, [watched(stage) for stage in listing])
    for stage in listing:
        assert read[stage.name] <= {stage.name, *stage.needs}, stage.name
    assert read["report"] >= {"evaluation", "matches", "examples"} and "concepts" in read["evaluation"]


def test_only_what_a_grounder_uses_is_asked(tmp_path, monkeypatch):
    names = {
        g: [s.name for s in stages(load_recipe(find_recipe("demo"), [f"grounder={g}"]))] for g in ("wsgm", "sgnls")
    }
    assert "text" in names["wsgm"] and "text" not in names["sgnls"]
    assert not {"teachers", "crops", "reliability"} & {*names["wsgm"], *names["sgnls"]}

    def refuse(*_, **__):
        raise AssertionError("nobody asked for it")

    for place in ("teachers.InteractionTeacher", "cases.InteractionTeacher", "crops.ImageTextModel"):
        monkeypatch.setattr(f"groundgraph.stages.{place}", refuse)
    for grounder in ("wsgm", "sgnls", "full"):  # in one folder: what one made is no other's
        demo(tmp_path / "run", f"grounder={grounder}")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert set(metrics["methods"]) == {"full"} and not any(name.startswith("teachers") for name in metrics["counts"])


def test_another_scale_or_temperature_asks_no_teacher_again(tmp_path):
    demo(tmp_path / "run", "grounder=two-teachers")
    key = "teachers.interaction"
    output = demo(tmp_path / "run", "grounder=two-teachers", f"{key}.temperature=4", f"{key}.area=pixels")
    ran = {line.split()[1] for line in output.splitlines() if line.startswith("done ")}
    assert ran == {
        "reliability",
        "grounding-two-teachers",
        "pseudo-two-teachers",
        "sgg-two-teachers",
        "evaluation",
        "report",
    }
    run = Run(load_recipe(tmp_path / "run" / "recipe.yaml"), tmp_path / "run")
    teacher = InteractionTeacher(area="pixels", temperature=4.0)
    from groundgraph.data.images import open_image

    images = [open_image(e.path) for e in artifacts.examples(run, "train")[:3]]
    told = teacher.targets(images, artifacts.regions(run, "train")[:3], artifacts.parsed(run, "train")[:3])
    for (_, stored), rows in zip(artifacts.targets(run, "train")[:3], told, strict=True):
        np.testing.assert_allclose(stored, np.concatenate(rows), atol=1e-4)


# Errors


def test_an_error_reads_no_input_again(tmp_path, monkeypatch):
    first = Stage("first", (), 0, lambda run, folder: (folder / "a.txt").write_text("12") and {"files": 1})
    second = Stage("second", ("first",), 0, lambda run, folder: 1 / 0)
    run = Run(load_recipe(find_recipe("demo")), tmp_path)
    execute(run, [first])
    monkeypatch.setattr(manifest, "checksum", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(ZeroDivisionError):
        execute(run, [first, second])


# Folders


def test_two_folders_of_one_name_have_two_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_photos(tmp_path / "a" / "images", 0, 4)
    make_photos(tmp_path / "b" / "images", 10, 4)
    for place in ("a", "b", "a", "b"):
        result = run_photos(f"{place}/images")
        assert result.exit_code == 0, result.output
    assert "nothing had changed" in result.output and "runs/b-images/report.html" in result.output
    assert sorted(p.name for p in Path("runs").iterdir()) == ["b-images", "images"]
    before = Path("runs/images/examples/train.jsonl").read_bytes()
    result = run_photos("b/images", "--out", "runs/images")
    said = " ".join(result.output.split())
    assert result.exit_code == 2 and f"holds a run on the photos in {tmp_path}/a/images, not on" in said
    assert "--out" in said and Path("runs/images/examples/train.jsonl").read_bytes() == before
    (tmp_path / "runs" / "images" / "data.json").unlink()  # as an earlier version left it
    assert run_photos("b/images", "--out", "runs/images", "--dry-run").exit_code == 2


@pytest.mark.parametrize("name", ["recipe.yaml", "report.html", "text/mine.txt", "data.json", "images/mine.png"])
def test_a_run_writes_over_nothing_that_no_run_made(tmp_path, name):
    mine = tmp_path / "out" / name
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    result = invoke("demo", "--out", tmp_path / "out", *(w for s in SMALL for w in ("--set", s)))
    assert result.exit_code == 2 and "no run of groundgraph made it" in " ".join(result.output.split())
    assert mine.read_text() == "mine" and [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [mine]


def test_a_report_that_was_deleted_is_put_back(tmp_path):
    demo(tmp_path / "run", "grounder=sgnls")
    for name in ("report.html", "metrics.json"):
        (tmp_path / "run" / name).unlink()
    assert "nothing had changed" in demo(tmp_path / "run", "grounder=sgnls")
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
