"""Grounders as ONNX: the scores of `Learned`, for any number of words, regions and triplets."""

import numpy as np
import pytest
import torch

from groundgraph.grounding import build_grounder
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage
from groundgraph.pretrained.onnx.graph_file import session_of, write_graph
from groundgraph.pretrained.onnx.grounders import Grounding, example_inputs


def untrained(name, **options):
    grounder = build_grounder(name, GroundingConfig(dimension=16, **options))
    torch.manual_seed(0)
    grounder.sizes = 6, 9
    grounder.model = grounder.kind(6, 9, grounder.config).eval()
    return grounder


def image_of(named):
    """One image as `Learned` reads it; what the grounder does not read is 0."""
    entities, features = named["entities"].numpy(), named["features"].numpy()
    more = {}
    if "triplets" in named:
        triplets = named["triplets"].numpy()
        unread = {"predicates": np.zeros((len(triplets), entities.shape[1]), np.float32)}
        unread["boxes"] = np.zeros((len(features), 4), np.float32)
        more = unread | {name: named[name].numpy() for name in ("triplets", "predicates", "boxes") if name in named}
    return GroundingImage(entities, features, np.zeros((len(entities), len(features)), np.float32), **more)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("two-teachers", {}),
        ("two-teachers", {"normalise": True, "standardise": True}),
        ("mil", {}),
        ("lsws", {}),
        ("pairs", {}),
        ("pairs", {"pairs": {"rounds": 0}}),
        ("wsgm", {}),
        ("vspnet", {}),
    ],
)
def test_the_scores_are_the_grounders(name, options, tmp_path):
    grounder = untrained(name, **options)
    network, file = Grounding(grounder), tmp_path / "g.onnx"
    write_graph(network, file, [example_inputs(network, 3, 5, 2)])
    session = session_of(file, 1)
    for counts in ((1, 1, 0), (4, 36, 0), (2, 12, 1), (7, 9, 6)):
        inputs = dict(zip(network.inputs, example_inputs(network, *counts, seed=counts[0]), strict=True))
        (scores,) = session.run(None, {key: value.numpy() for key, value in inputs.items()})
        (expected,) = grounder.scores([image_of(inputs)])
        assert scores.shape == counts[:2] and np.allclose(scores, expected, atol=1e-4)
