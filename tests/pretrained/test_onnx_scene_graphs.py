"""Scene-graph models as ONNX: what ONNX Runtime gives of one image is what the model itself gives in PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from groundgraph.data.types import Regions
from groundgraph.errors import InputError
from groundgraph.pretrained.onnx.graph_file import OneImage, session_of, write_graph
from groundgraph.pretrained.onnx.scene_graphs import SceneGraph, example_inputs, vocabulary_of
from groundgraph.sgg.batch import SggModel, Sizes, collate, ordered_pairs
from groundgraph.sgg.heads import names_kept, set_names
from groundgraph.sgg.inference import InferenceConfig, predict
from groundgraph.sgg.merging import Merging
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.uniter import Uniter, UniterConfig

SMALL = {
    Motifs: MotifsConfig(hidden=8, pair=12, embedded=4),
    Uniter: UniterConfig(hidden=8, heads=2, intermediate=8),
}
AS_RELEASED = {
    **{"features": "raw", "geometry": "batch-norm", "decoder": "highway", "relation": "sum"},
    **{"dropout_on": "decoder", "lstm_width": 6, "union": "none", "order": "right-left"},
}
OPEN = {"text": 7}
CASES = {
    "motifs": (Motifs, {}, {}),
    "motifs, open heads": (Motifs, OPEN, {}),
    "motifs, from the detector": (Motifs, {"start": True}, {}),
    "motifs, open heads from the detector": (Motifs, OPEN | {"start": True, "prior": True}, {}),
    "motifs, as released": (Motifs, {}, AS_RELEASED),
    "motifs, suppressed labels": (Motifs, {}, {"nms_threshold": 0.3, "layers": 2, "order": "random"}),
    "motifs, counted and visual": (Motifs, {"unions": 5}, {"frequency_bias": True, "union": "visual"}),
    "uniter": (Uniter, {}, {}),
    "uniter, open heads from the detector": (Uniter, OPEN | {"start": True}, {}),
    "uniter, a sequence a pair": (Uniter, {}, {"sequence": "pair"}),
}


def a_model(kind, sizes, options):
    torch.manual_seed(0)
    model = kind(Sizes(features=6, detector_categories=4, categories=5, predicates=3, **sizes), replaced(kind, options))
    with torch.no_grad():
        for values in model.parameters():
            values.add_(0.3 * torch.randn_like(values))
    tell(model, 5, 3)
    return model.eval()


def replaced(kind, options):
    return SMALL[kind].model_copy(update=options)


def tell(model, categories, predicates, seed=0):
    """So many names, at random, of a model with open heads; of all that start from the detector what it means."""
    random = np.random.default_rng(seed)
    means = random.random((4, categories)) < 0.4, random.integers(0, 3, (4, categories))
    features = [random.normal(size=(n, 7)).astype(np.float32) for n in (categories, predicates)]
    ratios = random.normal(size=(categories, categories, predicates)).astype(np.float32)
    if model.sizes.text:
        unseen = random.random(predicates) < 0.5, 0.7
        set_names(model, *features, means, unseen=unseen, log_ratios=ratios)
    else:
        set_names(model, means=means)


def written(model, folder, config=None, merging=None):
    network = SceneGraph(model, config or InferenceConfig(), merging or Merging())
    with names_kept(network.model):
        part = write_graph(network, folder / "m.onnx", [example_inputs(network, 4)])
    assert set(part["inputs"]) == set(network.inputs) and tuple(part["outputs"]) == network.outputs
    return network, session_of(folder / "m.onnx", 1)


def run(network, session, inputs):
    values = session.run(None, {name: value.numpy() for name, value in zip(network.inputs, inputs, strict=True)})
    return dict(zip(network.outputs, values, strict=True))


def regions_of(named):
    arrays = (named[name].numpy() for name in ("boxes", "labels", "scores", "features"))
    return Regions(*arrays, size=tuple(named["size"].int().tolist()))


def logits_of(model, named):
    """The model's own, of a batch of one image."""
    batch = collate([regions_of(named)])
    batch = replace(batch, pairs=ordered_pairs(batch), unions=named.get("unions"))
    with torch.no_grad():
        outputs = model(batch)
    return outputs.objects[0].numpy(), outputs.predicates.numpy()


@pytest.mark.parametrize("case", CASES)
def test_the_logits_are_the_models(case, tmp_path):
    model = a_model(*CASES[case])
    network, session = written(model, tmp_path)
    for count in (1, 2, 5, 36):
        inputs = example_inputs(network, count, seed=count)
        outputs = run(network, session, inputs)
        objects, predicates = logits_of(model, dict(zip(network.inputs, inputs, strict=True)))
        assert outputs["predicate_logits"].shape == (count * (count - 1), 4)
        assert np.allclose(outputs["object_logits"], objects, atol=1e-4)
        assert np.allclose(outputs["predicate_logits"], predicates, atol=1e-4)


CONFIGS = {
    "drop": InferenceConfig(nms_threshold=0.2, pairs=1000),
    "drop, best pairs": InferenceConfig(nms_threshold=0.4, pairs=7),
    "drop, overlapping": InferenceConfig(overlapping=True),
    "relabel": InferenceConfig(nms_threshold=0.3, duplicates="relabel"),
}


@pytest.mark.parametrize("merging", [Merging(bias=-100.0), Merging(bias=-3.0)])
@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("case", ["motifs", "motifs, from the detector"])
def test_objects_and_relations_are_those_of_inference(case, config, merging, tmp_path):
    """The file's own answer to what falls as a duplicate, which pairs are best, and which boxes are of one thing."""
    model, config = a_model(*CASES[case]), CONFIGS[config]
    network, session = written(model, tmp_path, config, merging)
    for count in (1, 2, 9):
        inputs = example_inputs(network, count, seed=count)
        outputs, named = run(network, session, inputs), dict(zip(network.inputs, inputs, strict=True))
        (graph,) = predict(model, [regions_of(named)], config)
        graph = merging.merged(graph)
        kept, places = outputs["object_kept"], np.cumsum(outputs["object_kept"]) - 1
        assert np.allclose(outputs["object_boxes"][kept], graph.boxes, atol=1e-4)
        assert np.array_equal(outputs["object_labels"][kept], graph.labels)
        assert np.allclose(outputs["object_scores"][kept], graph.scores, atol=1e-5)
        rows = outputs["relation_kept"]
        pairs = [tuple(pair) for pair in places[outputs["relation_pairs"][rows]].tolist()]
        scores = dict(zip(pairs, outputs["relation_scores"][rows], strict=True))
        expected = dict(zip(map(tuple, graph.pairs.tolist()), graph.relation_scores, strict=True))
        assert scores.keys() == expected.keys()
        assert all(abs(scores[pair] - expected[pair]) < 1e-5 for pair in expected)


@pytest.mark.parametrize("case", ["motifs, open heads from the detector", "uniter, open heads from the detector"])
def test_open_heads_find_other_names(case, tmp_path):
    """The file was written for five categories and three predicates, and is outputs two and seven."""
    model = a_model(*CASES[case])
    network, session = written(model, tmp_path)
    tell(model, 2, 7, seed=1)
    words = {name: torch.from_numpy(array) for name, array in vocabulary_of(model).items()}
    named = dict(zip(network.inputs, example_inputs(network, 6), strict=True)) | words
    outputs = run(network, session, tuple(named[name] for name in network.inputs))
    objects, predicates = logits_of(model, named)
    assert objects.shape == (6, 3) and predicates.shape == (30, 8)
    assert np.allclose(outputs["object_logits"], objects, atol=1e-4)
    assert np.allclose(outputs["predicate_logits"], predicates, atol=1e-4)


def test_the_model_is_as_it_was(tmp_path):
    model = a_model(*CASES["motifs, open heads"])
    before = {name: values.clone() for name, values in model.state_dict().items()}
    written(model, tmp_path)
    assert not model.training and all(torch.equal(values, before[name]) for name, values in model.state_dict().items())


def test_another_model_says_why_not():
    class Other(SggModel):
        name = "other"

    sizes = Sizes(features=6, detector_categories=4, categories=5, predicates=3)
    with pytest.raises(InputError, match="other reads a graph off an image in steps of Python"):
        SceneGraph(Other(sizes, None), InferenceConfig(), Merging())


def test_a_file_that_gives_other_numbers_is_none(tmp_path):
    class Drawing(OneImage):
        inputs, outputs, axes = ("values",), ("numbers",), {}

        def forward(self, values):
            return values * torch.rand(1).item()  # a constant to a trace

    with pytest.raises(InputError, match="differ from PyTorch's"):
        write_graph(Drawing(), tmp_path / "m.onnx", [(torch.ones(2),)])
    assert not list(tmp_path.iterdir())
