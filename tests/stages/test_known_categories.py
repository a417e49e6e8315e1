"""A run whose detector knows less and errs more: the same regions, and all that reads labels follows."""

import json

import numpy as np
import pytest
from demo_runs import run_demo
from typer.testing import CliRunner

from groundgraph.cli import app
from groundgraph.data.store import StoredRegions
from groundgraph.engine.fingerprints import fingerprints
from groundgraph.language.concepts import same_concept
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.stages import artifacts, stages
from groundgraph.stages.evaluation import grounded
from groundgraph.stages.recipe import find_recipe, load_recipe
from groundgraph.vision.label_coverage import category_order

SMALL = [
    "data.train=12", "data.validation=4", "data.test=6", "grounding.dimension=16", "grounding.epochs=1",
    "sgg.training.epochs=1", "grounder=[two-teachers, sgnls, mil]", "grounding.fusing=average",
]  # fmt: skip
LESS = ["detector.known_categories=10", "detector.label_noise=0.4"]


def demo(out, *settings):
    return run_demo(out, *SMALL, *settings)


def test_what_reads_labels_is_due_and_no_region_is_found_again(tmp_path):
    whole, _ = demo(tmp_path / "run")
    found = {split: list(artifacts.regions(whole, split)) for split in ("train", "test")}
    before = artifacts.metrics(whole)["counts"]["unseen entities measured"]
    run, done = demo(tmp_path / "run", *LESS, "sgg.tasks=[sgcls]")
    methods = ("two-teachers", "sgnls")
    assert {"matches", *(f"{s}-{m}" for s in ("grounding", "pseudo", "sgg") for m in methods)} <= done
    assert "sgg-mil" in done and not {"regions", "text", "teachers", "grounding-mil", "pseudo-mil"} & done

    names = artifacts.detector_categories(whole)
    kept = artifacts.detector_categories(run)
    assert set(kept) == set(category_order(names)[:10]) and list(kept) == [name for name in names if name in kept]
    wrong = []
    for split, regions in found.items():
        for one, other in zip(regions, artifacts.regions(run, split), strict=True):
            assert np.array_equal(one.boxes, other.boxes) and np.array_equal(one.features, other.features)
            told = [names[label] if label >= 0 and names[label] in kept else None for label in one.labels]
            now = [kept[label] if label >= 0 else None for label in other.labels]
            assert [name is None for name in told] == [name is None for name in now]
            wrong += [a != b for a, b in zip(told, now, strict=True) if a]
    assert 0.2 < np.mean(wrong) < 0.6

    # The teacher and the rule go by these labels; "unseen" is what the ten leave out.
    for (object_, _), own in zip(artifacts.targets(run, "train"), artifacts.regions(run, "train"), strict=True):
        assert not object_[:, own.labels < 0].any()
    after = artifacts.metrics(run)["counts"]["unseen entities measured"]
    assert after > before
    unseen = [group for image in grounded(run, "mil") for group in image.groups["unseen"]]
    assert sum(unseen) == after
    categories = json.loads((run.folder / "matches" / "matches.json").read_text())["categories"]
    assert [category["category"] for category in categories] == list(kept)
    assert not any(same_concept("man", name) for name in kept)

    # A new image's regions have the same names, and the model takes them.
    image = next((run.folder / "images").glob("test-*.png"))
    model = SceneGraphModel.from_run(run.folder)
    assert model.detector.categories == kept
    ((_, graph),) = model.graphs([image])
    assert len(graph.boxes)


def test_what_is_stored_stays_what_the_detector_said(tmp_path):
    run, _ = demo(tmp_path / "run", *LESS, "grounder=sgnls")
    stored = np.concatenate([own.labels for own in StoredRegions(run.folder / "regions" / "train")])
    assert stored.max() > 10
    read = artifacts.regions(run, "train")
    assert max(labels.max() for labels in read.labels()) < 10
    for labels, own in zip(read.labels(), read, strict=True):
        assert np.array_equal(labels, own.labels)


def test_fingerprints():
    def keys(*settings):
        return fingerprints(stages(load_recipe(find_recipe("demo"), [*SMALL, *settings])))

    whole, fewer, noisy = keys(), keys("detector.known_categories=30"), keys("detector.label_noise=0.2")
    assert whole["regions"] == fewer["regions"] == noisy["regions"]
    assert len({whole["sgg-mil"], fewer["sgg-mil"], noisy["sgg-mil"]}) == 3
    # Which labels are wrong is drawn by the seed; where none is, the rule answers alike for every seed.
    assert keys("seed=1")["grounding-sgnls"] == whole["grounding-sgnls"]
    assert keys("seed=1", "detector.label_noise=0.2")["grounding-sgnls"] != noisy["grounding-sgnls"]
    # The vision-language model reads no labels, and what is taught by it alone does not either.
    alone = [keys("teachers.object=false", *more)["grounding-two-teachers"] for more in ((), LESS)]
    assert alone[0] == alone[1] and whole["teachers"] == noisy["teachers"] == fewer["teachers"]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ("known_categories=60", "60, but the detector has 42"),
        ("known_categories=[cow, mammoth]", "no category 'mammoth'"),
    ],
)
def test_more_than_the_detector_has(tmp_path, setting, why):
    words = [w for s in [*SMALL, f"detector.{setting}"] for w in ("--set", s)]
    result = CliRunner().invoke(app, ["demo", "--out", str(tmp_path / "run"), *words])
    assert result.exit_code != 0 and why in " ".join(result.output.split())
