"""Two processes that share a grounder's batches compute what one does; checkpoints, accumulation, half precision."""

import numpy as np
import pytest
import torch
from nearly import assert_same_values, assert_same_weights
from others import world as world_of_triplets
from several import several
from world import world

from groundgraph.grounding import GROUNDERS, build_grounder
from groundgraph.grounding.batches import batches
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import pad
from groundgraph.training.processes import ALONE, Ranks

LEARNED = [name for name, method in GROUNDERS.items() if method.learns and name != "ours"]
KINDS = {
    "average": ("two-teachers", {"fusing": "average"}),
    "product": ("two-teachers", {"fusing": "product"}),
    "self": ("two-teachers", {"fusing": "self"}),
    # The last batch of entities has 1, so that a process has none; 19 images leave a batch of 1 to validation.
    "official": (
        "two-teachers",
        {"official": True, "entity_batch_size": 28, "entities": 2, "least_entities": 2, "validate_every": 2},
    ),
    "mil": ("mil", {}),
    "pairs": ("pairs", {"pairs": {"contrast_triplets": 5, "predicate_contrast_weight": 0.3, "settle_after": 0.5}}),
    "wsgm": ("wsgm", {}),
    "lsws": ("lsws", {"lsws": {"context_dropout": 0}}),
    "vspnet": ("vspnet", {"vspnet": {"states": 8, "predicates": 4, "guided": 0.5}}),
}


class Stopped(Exception):
    pass


def train(ranks, kind="self", stop=None, checkpoint=None, **options):
    """The curves, and the weights."""
    name, own = KINDS[kind]
    config = GroundingConfig(**({"dimension": 16, "dropout": 0.0, "epochs": 2, "batch_size": 6} | own | options))
    images = (world if name in ("two-teachers", "mil") else world_of_triplets)(19, 0)[0]

    def progress(done, total, losses):
        if done == stop:
            raise Stopped

    grounder = build_grounder(name, config)
    try:
        curves = grounder.train(images, images[:13], 3, progress, checkpoint=checkpoint, interval=1, ranks=ranks)
    except Stopped:
        ranks.wait()
        return None
    return curves, grounder.model.state_dict()


def all_of_it(ranks, folder):
    """Everything that two processes are tried on, in one start of them."""
    found = {kind: train(ranks, kind) for kind in KINDS}
    found["clipped"] = train(ranks, accumulate_grad_batches=2, max_grad_norm=0.1)
    train(ranks, stop=5, checkpoint=folder / "two.pt")
    found["on from one"] = train(ranks, checkpoint=folder / "one.pt")
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    train(ALONE, stop=5, checkpoint=folder / "one.pt")
    return folder, several(2, all_of_it, folder)


def close(found, one):
    assert found[0].keys() == one[0].keys()
    for name, values in one[0].items():
        np.testing.assert_allclose(found[0][name], values, rtol=0, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_losses_equal_one_processs(found, kind):
    one = train(ALONE, kind)
    for several_ in found[1]:
        close(several_[kind], one)
    first, second = (several_[kind][1] for several_ in found[1])
    assert_same_weights(first, second)


@pytest.mark.slow
def test_accumulated_and_clipped_gradients_too(found):
    close(found[1][1]["clipped"], train(ALONE, accumulate_grad_batches=2, max_grad_norm=0.1))


@pytest.mark.slow
def test_a_checkpoint_goes_on_in_another_layout(found):
    close(found[1][1]["on from one"], train(ALONE))
    close(train(ALONE, checkpoint=found[0] / "two.pt"), train(ALONE))


@pytest.mark.parametrize("scheme", ["images", "entities"])
def test_no_example_is_repeated_or_lost(scheme):
    data = pad(world(19, 0)[0])
    config = GroundingConfig(scheme=scheme, batch_size=5, entities=2, entity_batch_size=20, least_entities=2)

    def steps(ranks):
        return list(batches(data, config, 0, torch.Generator().manual_seed(0), ranks=ranks))

    whole, shared = steps(ALONE), [steps(Ranks(rank, 3)) for rank in range(3)]
    for step, *parts in zip(whole, *shared, strict=True):
        for kind in ("images", "entities"):
            batch, found = getattr(step, kind), [getattr(part, kind) for part in parts]
            for field in ("embeddings", "entities", "features", "triplets", "object"):
                assert torch.equal(torch.cat([getattr(part, field) for part in found]), getattr(batch, field))


@pytest.mark.parametrize("kind", ["self", "official"])
@pytest.mark.parametrize("stop", [1, 3, 4, 5])  # within an epoch, at its end (3 batches), and past it
def test_a_killed_training_goes_on_with_the_same_losses(tmp_path, kind, stop):
    whole = train(ALONE, kind, dropout=0.2)
    assert train(ALONE, kind, stop, tmp_path / "training.pt", dropout=0.2) is None
    curves, weights = train(ALONE, kind, checkpoint=tmp_path / "training.pt", dropout=0.2)
    assert_same_values(curves, whole[0])
    assert_same_weights(weights, whole[1])
    with pytest.raises(ValueError, match=r"training\.pt is of a training with other settings \(batches, config\)"):
        train(ALONE, kind, checkpoint=tmp_path / "training.pt", dropout=0.2, epochs=3)


def test_accumulated_batches_make_one_step():
    looks = {
        accumulate: train(ALONE, epochs=1, accumulate_grad_batches=accumulate, validate_every=1)[0]["validation"]
        for accumulate in (1, 2, 100)
    }
    start = looks[100][0]
    assert looks[100][:2] == [start, start] and looks[100][2] < start  # three batches, one step at the end
    assert looks[2][0] == start and looks[2][1] not in looks[1]
    assert len({start, *looks[1]}) == 4


@pytest.mark.parametrize("name", LEARNED)
def test_half_precision_is_near(name):
    kind = "self" if name == "two-teachers" else name
    (full, _), (half, _) = train(ALONE, kind), train(ALONE, kind, precision="bf16")
    assert full.keys() == half.keys() and full != half
    for term, values in full.items():
        np.testing.assert_allclose(half[term], values, rtol=0.1, atol=0.02)
