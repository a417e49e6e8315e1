"""Systems as ONNX: the file's objects and relations are those that the system generates in PyTorch."""

import numpy as np
import pytest
import torch
from test_onnx_scene_graphs import run

from groundgraph.data.types import Regions
from groundgraph.pretrained.onnx.graph_file import session_of, write_graph
from groundgraph.pretrained.onnx.scene_graphs import example_inputs
from groundgraph.pretrained.onnx.system_graphs import SystemGraph
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.inference import InferenceConfig, predict
from groundgraph.sgg.merging import Merging
from groundgraph.systems.lsws import LswsSystem, LswsSystemConfig
from groundgraph.systems.vspnet import VspnetSystem, VspnetSystemConfig

SYSTEMS = {
    "vspnet": (VspnetSystem, VspnetSystemConfig(states=8, predicates=12, overlap=1)),
    "lsws": (LswsSystem, LswsSystemConfig(refinements=2, candidates=20, beam_size=3)),
}
SIZES = Sizes(features=6, detector_categories=4, categories=5, predicates=3, words=7)


def untrained(name, sizes=SIZES):
    kind, config = SYSTEMS[name]
    torch.manual_seed(0)
    model = kind(sizes, config)
    with torch.no_grad():
        for values in model.parameters():
            values.add_(0.5 * torch.randn_like(values))
    return model.eval()


def rows_of(boxes, labels, pairs, scores):
    """Relations by what they join: a region that has two names is two objects."""
    ends = [(*np.round(box, 1).tolist(), int(label)) for box, label in zip(boxes, labels, strict=True)]
    return {(ends[s], ends[o]): score for (s, o), score in zip(pairs.tolist(), scores, strict=True)}


@pytest.mark.parametrize("merging", [Merging(bias=-100.0), Merging(bias=-3.0)])
@pytest.mark.parametrize("config", [InferenceConfig(nms_threshold=0.3), InferenceConfig(overlapping=True, pairs=6)])
@pytest.mark.parametrize("name", SYSTEMS)
def test_the_graphs_are_the_systems(name, config, merging, tmp_path):
    model = untrained(name)
    network = SystemGraph(model, config, merging)
    write_graph(network, tmp_path / "m.onnx", [example_inputs(network, 4)])
    session = session_of(tmp_path / "m.onnx", 1)
    for count in (1, 2, 7, 15):
        inputs = example_inputs(network, count, seed=count)
        outputs = run(network, session, inputs)
        features, boxes = (values.numpy() for values in inputs[:2])
        regions = Regions(boxes, np.zeros(count, np.int64), np.ones(count, np.float32), features, size=(480, 440))
        (graph,) = predict(model, [regions], config)
        graph = merging.merged(graph)
        kept, rows = outputs["object_kept"], outputs["relation_kept"]
        assert kept.sum() == len(graph.boxes) and rows.sum() == len(graph.pairs)
        assert np.allclose(np.sort(outputs["object_scores"][kept]), np.sort(graph.scores), atol=1e-5)
        places = (np.cumsum(kept) - 1)[outputs["relation_pairs"][rows]]
        objects = outputs["object_boxes"][kept], outputs["object_labels"][kept]
        scores = rows_of(*objects, places, outputs["relation_scores"][rows])
        expected = rows_of(graph.boxes, graph.labels, graph.pairs, graph.relation_scores)
        assert scores.keys() == expected.keys()
        assert all(abs(scores[key] - expected[key]) < 1e-5 for key in expected)


def test_pairs_that_weigh_alike_are_all_kept(tmp_path):
    """With VSPNet's regions of one thing, whose roles are the same sum; which of them counts would be chance."""
    model = untrained("vspnet")
    model.config = model.config.model_copy(update={"overlap": 0.3})
    network = SystemGraph(model, InferenceConfig(), Merging(bias=-100.0))
    part = write_graph(network, tmp_path / "m.onnx", [example_inputs(network, count, count) for count in (5, 1, 12)])
    assert part["largest difference"] < 1e-4
