"""Features of the boxes around pairs: pooled by hand, through a small run with `union: visual`, and refused early."""

import json

import numpy as np
import pytest
from PIL import Image

from groundgraph.data.types import Example, Regions
from groundgraph.engine.execute import execute
from groundgraph.engine.run import Run
from groundgraph.pretrained.model import SceneGraphModel
from groundgraph.sgg.motifs import MotifsConfig
from groundgraph.sgg.unions import UnionFeatures, union_features
from groundgraph.sgg.uniter import UniterConfig
from groundgraph.stages import stages
from groundgraph.stages.examples import examples
from groundgraph.stages.recipe import RecipeError, find_recipe, load_recipe

SMALL = ["data.train=10", "data.validation=4", "data.test=4", "sgg.training.epochs=1", "detector.regions=6"]
VISUAL = [*SMALL, "grounder=full", "sgg.motifs.union=visual"]


class BoxDetector:
    """Its features are the boxes themselves and the picture's grey."""

    def __init__(self):
        self.pooled = []

    def pool(self, images, boxes):
        self.pooled += boxes
        parts = zip(images, boxes, strict=True)
        features = [np.column_stack([own, np.full(len(own), image.getpixel((0, 0))[0])]) for image, own in parts]
        return [regions(own, row) for own, row in zip(boxes, features, strict=True)]


def regions(boxes, features=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    features = np.zeros((len(boxes), 3), np.float32) if features is None else features
    return Regions(boxes, np.zeros(len(boxes), np.int64), np.ones(len(boxes), np.float32), features, (60, 60))


@pytest.fixture
def images(tmp_path):
    for grey in (10, 20, 30):
        Image.new("RGB", (60, 60), (grey,) * 3).save(tmp_path / f"{grey}.png")
    return [Example(str(grey), str(tmp_path / f"{grey}.png")) for grey in (10, 20, 30)]


def test_the_box_around_both_is_pooled_once_for_both_directions(images):
    boxes = [[[0, 0, 9, 9], [5, 20, 30, 25], [2, 2, 4, 4]], [], [[1, 1, 5, 5], [8, 0, 9, 3]]]
    detector = BoxDetector()
    unions = UnionFeatures(detector, images, [regions(own) for own in boxes])
    first, third = unions([0, 2], [np.array([[1, 0], [0, 1], [2, 0]]), np.array([[0, 1]])])
    assert first.tolist() == [[0, 0, 30, 25, 10], [0, 0, 30, 25, 10], [0, 0, 9, 9, 10]]
    assert third.tolist() == [[1, 0, 9, 5, 30]]
    assert [len(own) for own in detector.pooled] == [2, 1]
    assert unions.width == 5
    assert UnionFeatures(detector, images, [regions([])] * 3).width == 0


def test_a_model_without_the_feature_loads_no_detector(images):
    def load():
        raise AssertionError("not needed")

    assert union_features(MotifsConfig(), load)(images, []) is None
    assert union_features(UniterConfig(union="none"), load)(images, []) is None


def test_a_run_trains_and_predicts_with_the_detectors_features(tmp_path):
    run = Run(
        load_recipe(find_recipe("demo"), [*VISUAL, "sgg.tasks=[sgcls]", "sgg.training.patience=1"]), tmp_path / "run"
    )
    execute(run, stages(run.recipe))
    model = json.loads((run.folder / "sgg-full" / "config.json").read_text())
    assert model["sizes"]["unions"] == model["sizes"]["features"] > 0  # one detector describes both
    predictor = SceneGraphModel.from_run(run.folder)
    paths = [example.path for example in examples(run, "test")]
    graphs = list(predictor.graphs(paths))
    assert len(graphs) == len(paths) == 4 and all(len(graph.pairs) for _, graph in graphs)
    weight = predictor.model.union.visual[1].weight
    before = graphs[0][1].predicate_scores
    weight.data.zero_()
    assert not np.allclose(next(iter(predictor.graphs(paths[:1])))[1].predicate_scores, before, atol=1e-6)


@pytest.mark.parametrize("setting", ["sgg.motifs.union=visual", "sgg.tasks=[predcls]"])
def test_a_detector_that_cannot_pool_is_refused_before_anything_runs(setting):
    stored = ["detector.kind=precomputed", "detector.model=regions.npz"]
    with pytest.raises(RecipeError, match=r"detector that can pool given boxes, and kind precomputed.*a backbone"):
        load_recipe(find_recipe("demo"), [*stored, setting])
    load_recipe(find_recipe("demo"), [*stored, setting, "detector.features=torchvision:resnet50"])
    # The other model's settings count for nothing.
    load_recipe(find_recipe("demo"), [*stored, "sgg.model=uniter", "sgg.motifs.union=visual"])
