"""What all systems do: learn a small world, go on from a checkpoint, share batches, and are stored."""

import numpy as np
import pytest
import torch
from several import several
from system_world import CATEGORIES, EVEN, NAMES, PREDICATES, SMALL, scene, step, untrained

from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import GroundTruth, Regions
from groundgraph.errors import InputError
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.sgg.inference import InferenceConfig, predict
from groundgraph.sgg.storing import load_sgg, save_sgg
from groundgraph.systems import SYSTEMS, stored_models
from groundgraph.systems.text_graphs import TextGraph, system_batch
from groundgraph.systems.training import train_system
from groundgraph.training.processes import Share

pytestmark = pytest.mark.usefixtures("one_thread")
NAMED = [f"c{i}" for i in range(CATEGORIES)], [f"p{i}" for i in range(PREDICATES)]
ALL = pytest.mark.parametrize("name", SYSTEMS)


def trained(name, images=80, epochs=20, **options):
    scenes = [scene(seed) for seed in range(images)]
    training = {"epochs": epochs, "batch_size": 8, "learning_rate": 1e-2} | options.pop("training", {})
    model = untrained(name, training=training)
    curves = train_system(model, [s[0] for s in scenes], [s[1] for s in scenes], NAMES, seed=1, **options)
    return model, curves


def recall(model):
    scenes = [scene(1000 + i) for i in range(30)]
    truths = [
        GroundTruth(
            regions.boxes[:4],
            tuple(f"c{c - 1}" for c in labels),
            tuple((s, f"p{p}", o) for s, o, p in relations),
        )
        for regions, _, labels, relations in scenes
    ]
    graphs = predict(model, [s[0] for s in scenes])
    return sgdet_recall(truth_arrays(truths, *NAMED), prediction_arrays(graphs), (50,))["R@50"]


@ALL
def test_learns_scene_graphs_from_text_alone(name):
    before = recall(untrained(name))
    model, curves = trained(name)
    assert all(np.isfinite(values).all() for values in curves.values())
    assert recall(model) > max(0.5, before + 0.3)


@ALL
def test_goes_on_from_a_checkpoint_and_is_stored(name, tmp_path):
    def stop(done, total, losses):
        if done == 3:
            raise KeyboardInterrupt

    options = {"images": 16, "epochs": 3}
    curves = trained(name, **options)[1]
    file = tmp_path / "training.pt"
    with pytest.raises(KeyboardInterrupt):
        trained(name, **options, checkpoint=file, progress=stop)
    model, again = trained(name, **options, checkpoint=file)
    for key, values in curves.items():
        np.testing.assert_allclose(again[key], values, rtol=1e-4, atol=1e-6)
    save_sgg(tmp_path, model, {"x": 1})
    loaded, extra = load_sgg(tmp_path, "cpu", stored_models())
    assert extra == {"x": 1} and loaded.config == model.config
    for one, other in zip(*(predict(m, [scene(3)[0], scene(4)[0]]) for m in (model, loaded)), strict=True):
        assert one.pairs.tolist() == other.pairs.tolist() and np.allclose(one.scores, other.scores, atol=1e-5)
    with pytest.raises(InputError, match="no stored scene-graph model"):
        load_sgg(tmp_path, "cpu")


def shared_losses(ranks, name):
    """A process's share of the losses of a step, and its gradient's sum."""
    model, scenes = untrained(name), [scene(seed) for seed in range(5)]
    share = Share(ranks, 5)
    own = [s[0] for s in scenes[share.rows]]
    batch = system_batch(own, [s[1] for s in scenes], CATEGORIES, EVEN, share)
    losses = model.losses(batch)
    torch.stack(list(losses.values())).sum().backward()
    ranks.add_gradients(model.parameters())
    gradient = model.categories.weight.grad
    return {key: ranks.sum(value.detach()) for key, value in losses.items()}, gradient


@pytest.mark.slow
@ALL
def test_two_processes_learn_what_one_does(name):
    model = untrained(name)
    alone = model.losses(step(range(5)))
    torch.stack(list(alone.values())).sum().backward()
    for losses, gradient in several(2, shared_losses, name):
        assert losses.keys() == alone.keys()
        for key, value in losses.items():
            assert torch.allclose(value, alone[key].detach(), atol=1e-4), key
        assert torch.allclose(gradient, model.categories.weight.grad, atol=1e-4)


@ALL
def test_reweighting_multiplies_the_predicates_losses(name):
    """By 3 of the first predicate, by 1 of the second: what a step of one triplet loses says so by itself."""
    model, (regions, whole, *_) = untrained(name, contrast_weight=0.0), scene(1)
    for predicate, factor in ((0, 3.0), (1, 1.0)):
        graph = TextGraph(whole.categories, np.array([[0, 1, predicate]]))
        even, weighted = (
            model.losses(system_batch([regions], [graph], CATEGORIES, weights))
            for weights in (EVEN, torch.tensor([3.0, 1.0]))
        )
        if name == "vspnet":
            assert torch.isclose(weighted.pop("predicate"), factor * even["predicate"])
        else:  # the background of the relation heads, and the names of the sequence, stay as they are
            for term in ("relation", "sequence"):
                value = weighted.pop(term)
                assert value > even[term] * 1.01 if factor > 1 else torch.isclose(value, even[term])
        assert all(torch.isclose(value, even[key]) for key, value in weighted.items())
    model, curves = trained(name, images=8, epochs=1, reweight=True)
    assert all(np.isfinite(values).all() for values in curves.values())


@ALL
def test_padding_changes_nothing(name):
    model = untrained(name, contrast_weight=0.0)
    wide = TextGraph(np.arange(6), np.array([[0, 1, 0], [2, 3, 1], [4, 5, 0]]))
    regions, graph, *_ = scene(1)
    alone = model.losses(system_batch([regions], [graph], CATEGORIES, EVEN))
    padded = system_batch([regions, scene(2)[0]], [graph, wide], CATEGORIES, EVEN)
    padded.entities[1], padded.triplet_mask[1], padded.images.mask[1] = False, False, False
    for key, value in model.losses(padded).items():
        if "predicate_confidence" not in key:  # predicate nodes are an image's, whatever it shows
            assert torch.allclose(value, alone[key], atol=1e-4), key


@ALL
def test_a_lone_region_has_no_relation_and_boxes_apart_have_none_where_that_is_asked_for(name):
    model, regions = untrained(name), scene(1)[0]
    lone = Regions(*(getattr(regions, f)[:1] for f in ("boxes", "labels", "scores", "features")), regions.size)
    for listing in ([lone], [lone, regions]):
        graphs = predict(model, listing)
        assert len(graphs[0].boxes) == 1 and not len(graphs[0].pairs)
    assert len(graphs[1].pairs)
    (apart,) = predict(model, [regions], InferenceConfig(overlapping=True))  # things in a row touch nothing
    assert not len(apart.pairs)


@ALL
def test_bad_input_is_named(name):
    model, empty = untrained(name), TextGraph(np.zeros(0, np.int64), np.zeros((0, 3), np.int64))
    with pytest.raises(InputError, match="both a region and an entity"):
        train_system(model, [scene(0)[0]], [empty], NAMES)
    kind = SYSTEMS[name].model
    with pytest.raises(InputError, match="validation figure"):
        trained(name, images=4, training={"patience": 1})
    assert set(SMALL[name]) <= set(kind.Config.model_fields)
