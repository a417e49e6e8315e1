"""Grounders that learn, the batches they are given, and their storing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from nearly import assert_same_weights
from torch.utils._python_dispatch import TorchDispatchMode
from world import accuracy, world

from groundgraph.grounding import GROUNDERS, build_grounder
from groundgraph.grounding.batches import Step, batches, steps_an_epoch
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.paging import PagedSet, gather
from groundgraph.grounding.two_teachers import TwoTeachers
from groundgraph.training.trainer import autocast

SHORT = {"dimension": 32, "dropout": 0.0, "batch_size": 16, "learning_rate": 5e-3}
LEARNED = [name for name, method in GROUNDERS.items() if method.learns]
CONFIG = GroundingConfig(**SHORT, epochs=30, fusing="average")


def silent(image):
    return GroundingImage(image.embeddings, image.features, image.object, image.object)


def test_teachers_are_learnt_and_carried_to_new_images():
    train, _ = world(120, 0)
    grounder = build_grounder("two-teachers", CONFIG)
    curves = grounder.train(train, train[:20], seed=1)
    data, answers = world(40, 9)
    assert accuracy(grounder, data, answers) > 0.9
    assert curves["kd"][-1] < curves["kd"][0] / 2 and len(curves["validation"]) == 30


def test_mil_alone_learns_from_which_caption_goes_with_which_image():
    train, _ = world(200, 0, nouns=24)
    grounder = build_grounder("mil", GroundingConfig(**SHORT, epochs=40))
    curves = grounder.train(train, [], seed=1)
    data, answers = world(40, 9, nouns=24)
    assert accuracy(grounder, data, answers) > 0.6  # chance is 0.2
    assert "kd" not in curves


def one_wrong(images, seed):
    """The object-aware teacher points anywhere, the interaction-aware one is right."""
    rng = np.random.default_rng(seed)
    return [
        GroundingImage(i.embeddings, i.features, np.eye(5, dtype=np.float32)[rng.integers(0, 5, 3)], i.interaction)
        for i in images
    ]


def test_the_weights_decide_which_teacher_is_followed():
    train, _ = world(120, 0)
    train = one_wrong(train, 3)
    data, answers = world(40, 9)
    found = {}
    for name, weights in (("right", [0.0, 1.0]), ("wrong", [1.0, 0.0])):
        told = [
            GroundingImage(i.embeddings, i.features, i.object, i.interaction, np.tile(np.float32(weights), (3, 1)))
            for i in train
        ]
        grounder = build_grounder("two-teachers", GroundingConfig(**SHORT, epochs=15, fusing="expert"))
        grounder.train(told, told[:20], seed=1)
        found[name] = accuracy(grounder, data, answers)
    assert found["right"] > 0.9 and found["wrong"] < 0.8  # MIL still pulls the right way


def test_a_product_is_averaged_with_the_interaction_aware_target():
    model = TwoTeachers(8, 8, GroundingConfig(dimension=8, fusing="product", product_temperature=0.5))
    both = torch.tensor([[[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]]]), torch.tensor([[[0.2, 0.6, 0.2], [0.1, 0.2, 0.7]]])
    fused = model.fused(torch.stack(both, -2), torch.zeros(1, 2, 2))
    floor = 0.001 * 0.04
    product = torch.tensor([0.04 * 0.501, 0.36 * 0.501, floor]) / (0.4 * 0.501 + floor)
    assert torch.allclose(fused, torch.stack([0.5 * product + 0.5 * both[1][0, 0], both[1][0, 1]])[None], atol=1e-6)


def test_a_product_is_learnt():
    grounder = build_grounder("two-teachers", GroundingConfig(**SHORT, epochs=15, fusing="product"))
    train, _ = world(120, 0)
    data, answers = world(40, 9)
    grounder.train(one_wrong(train, 3), train[:20], seed=1)
    assert accuracy(grounder, data, answers) > 0.8


def test_self_guided_prefers_the_teacher_whose_regions_fit():
    train, _ = world(200, 0)
    train = one_wrong(train, 3)
    grounder = build_grounder("two-teachers", GroundingConfig(**SHORT, epochs=25, fusing="self"))
    curves = grounder.train(train, train[:20], seed=1)
    assert curves["adaptor"][-1] < curves["adaptor"][0]
    batch = pad(train)
    with torch.no_grad():
        h, v = grounder.model.encode_text(batch.embeddings), grounder.model.encode_regions(batch.features)
        both = [grounder.model.reliability(t, h, v) for t in (batch.object, batch.interaction)]
        weights = torch.stack(both, -1).softmax(-1)
    disagree = (batch.object != batch.interaction).any(-1)
    assert weights[..., 1][disagree].mean() > 0.55


@pytest.mark.parametrize("fusing", ["average", "expert", "self", "product"])
@pytest.mark.parametrize("name", ["two-teachers", "pairs"])
def test_a_third_teacher_is_followed_by_every_rule(name, fusing):
    """It alone is right; the object-aware one is silent, the interaction-aware one points anywhere, or everywhere."""
    if name == "pairs" and fusing == "self":
        pytest.skip("pairs have no adaptor")
    train, _ = world(120, 0)
    data, answers = world(40, 9)
    wrong = one_wrong(train, 3)
    weights = np.tile(np.float32([0, 0, 1]), (3, 1)) if fusing == "expert" else None
    taught = [
        GroundingImage(i.embeddings, i.features, i.object * 0, w.object, weights, phrase=i.object)
        for i, w in zip(train, wrong, strict=True)
    ]
    if fusing == "product":  # in which a sure wrong one would have its way
        taught = [replace(image, interaction=np.full((3, 5), 0.2, np.float32)) for image in taught]
    assert taught[0].targets.shape == (3, 3, 5) and pad(taught).targets.shape == (120, 3, 3, 5)
    own = {"pairs": {"fusing": fusing, "unknown_weight": 1.0}} if name == "pairs" else {"fusing": fusing}
    grounder = build_grounder(name, GroundingConfig(**SHORT, epochs=12, official=False, **own))
    curves = grounder.train(taught, taught[:20], seed=1)
    assert curves["kd"][-1] < curves["kd"][0] and accuracy(grounder, data, answers) > 0.6  # chance is 0.2


def test_official_runs_with_batches_of_entities():
    train, _ = world(60, 0)
    config = GroundingConfig(
        official=True, dimension=16, epochs=8, entity_batch_size=50, batch_size=8, entities=3, least_entities=2
    )
    grounder = build_grounder("two-teachers", config)
    curves = grounder.train(train, train[:10], seed=1)
    assert {"mil", "kd", "adaptor"} < set(curves) and len(curves["kd"]) == 8
    assert curves["kd"][-1] < curves["kd"][0]
    # MIL's released decay: gone from epoch 9 on, still .4 in epoch 7
    assert curves["mil"][7] < curves["mil"][4]


def test_average_in_the_first_epochs():
    train, _ = world(20, 0)
    torch.manual_seed(0)
    batch = pad(one_wrong(train, 3))
    learnt = TwoTeachers(8, 8, GroundingConfig(**SHORT, fusing="self", average_epochs=2)).eval()
    averaged = TwoTeachers(8, 8, GroundingConfig(**SHORT, fusing="average")).eval()
    averaged.load_state_dict(learnt.state_dict(), strict=False)
    kd = [learnt.losses(Step(batch, batch, epoch))["kd"] for epoch in (1, 2)]
    plain = averaged.losses(Step(batch, batch, 1))["kd"]
    assert torch.allclose(kd[0], plain) and not torch.allclose(kd[1], plain)


def test_an_epoch_holds_every_image_or_every_entity_once():
    data = pad(world(21, 0)[0])
    generator = torch.Generator().manual_seed(0)
    config = GroundingConfig(batch_size=8)
    steps = list(batches(data, config, 0, generator))
    assert len(steps) == steps_an_epoch(data, config) == 2 and sum(len(s.images) for s in steps) == 21
    config = GroundingConfig(batch_size=2)  # 21 / 2 = 10 steps, of which one takes three
    assert sorted(len(s.images) for s in batches(data, config, 0, generator)) == [2] * 9 + [3]
    assert all(s.images is s.entities for s in steps)
    config = GroundingConfig(scheme="entities", entity_batch_size=20, batch_size=4, entities=2, least_entities=3)
    steps = list(batches(data, config, 0, generator))
    assert len(steps) == steps_an_epoch(data, config) == 4  # 63 entities
    assert sum(int(s.entities.entities.sum()) for s in steps) == 63
    assert all(len(s.images) == 4 and int(s.images.entities.sum()) == 8 for s in steps)


def test_same_seed_same_grounder():
    train, _ = world(30, 0)
    states = []
    for _ in range(2):
        grounder = build_grounder("two-teachers", GroundingConfig(dimension=32, epochs=2, batch_size=8, fusing="self"))
        grounder.train(train, train, seed=3)
        states.append(grounder.model.state_dict())
    assert_same_weights(*states)


def test_padding_changes_nothing():
    data, _ = world(2, 0)
    more = GroundingImage(np.ones((4, 8), np.float32), np.ones((7, 8), np.float32), np.zeros((4, 7), np.float32))
    torch.manual_seed(0)
    grounder = build_grounder("two-teachers", CONFIG)
    grounder.model = TwoTeachers(8, 8, CONFIG).eval()
    for a, b in zip(grounder.scores(data), grounder.scores([*data, more]), strict=False):
        np.testing.assert_allclose(a, b, atol=1e-5)
    small, wide = pad(data), pad([*data, more])
    both = torch.arange(2)
    values = []
    for padded in (small, wide):
        batch = padded.sample(both, 10, None)
        values.append(torch.stack(list(grounder.model.losses(Step(batch, batch, 0)).values())))
    assert torch.allclose(*values, atol=1e-5)


class Read:
    """Images that are read one by one, and how often."""

    def __init__(self, images):
        self.images, self.read = images, 0
        self.lengths = [[len(i.embeddings) for i in images], [len(i.features) for i in images]]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, place):
        self.read += 1
        return self.images[place]


@pytest.mark.parametrize("scheme", ["images", "entities"])
def test_a_set_that_does_not_fit_into_memory_gives_the_same_batches(scheme):
    images, _ = world(20, 0)
    images.insert(3, GroundingImage(np.zeros((0, 8), np.float32), np.ones((3, 8), np.float32), np.zeros((0, 3))))
    images.append(GroundingImage(*(np.ones(shape, np.float32) for shape in ((5, 8), (7, 8), (5, 7)))))
    config = GroundingConfig(scheme=scheme, batch_size=6, entities=2, entity_batch_size=15, least_entities=2)
    listed = Read(images)
    sets = gather(images), gather(listed, limit=0)
    assert isinstance(sets[1], PagedSet) and listed.read <= 2 and len(sets[0]) == len(sets[1]) == 21
    assert steps_an_epoch(sets[0], config) == steps_an_epoch(sets[1], config)
    steps = [list(batches(s, config, 0, torch.Generator().manual_seed(1))) for s in sets]
    for one, two in zip(*steps, strict=True):
        for a, b in ((one.images, two.images), (one.entities, two.entities)):
            for field in ("entities", "features", "regions", "triplet_mask"):
                assert torch.equal(getattr(a, field), getattr(b, field))
            assert torch.equal(a.embeddings * a.entities[..., None], b.embeddings * b.entities[..., None])
            assert torch.equal(a.object * a.entities[..., None], b.object * b.entities[..., None])


def test_images_without_entities_or_regions_are_left_out_and_get_no_scores():
    data, _ = world(1, 0)
    nothing = GroundingImage(np.zeros((0, 8), np.float32), np.ones((3, 8), np.float32), np.zeros((0, 3), np.float32))
    blind = GroundingImage(np.ones((2, 8), np.float32), np.zeros((0, 8), np.float32), np.zeros((2, 0), np.float32))
    grounder = build_grounder("two-teachers", CONFIG)
    grounder.model = TwoTeachers(8, 8, CONFIG)
    assert [f.shape for f in grounder.scores([nothing, data[0], blind])] == [(0, 3), (3, 5), (2, 0)]
    assert len(pad([nothing, data[0], blind])) == 1
    with pytest.raises(ValueError, match="no image has both"):
        pad([nothing, blind])


def test_every_learned_grounder_is_stored_and_read_again(tmp_path):
    train, _ = world(24, 0)
    for name in LEARNED:
        grounder = build_grounder(name, GroundingConfig(dimension=16, epochs=1, batch_size=8))
        grounder.train(train, [], seed=0)
        (tmp_path / name).mkdir()
        grounder.save(tmp_path / name)
        again = build_grounder(name).load(tmp_path / name)
        for a, b in zip(grounder.scores(train), again.scores(train), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    (tmp_path / "two-teachers" / "model.safetensors").write_bytes(b"cut off")
    with pytest.raises(ValueError, match=r"model\.safetensors"):
        build_grounder("two-teachers").load(tmp_path / "two-teachers")


def test_an_unknown_grounder_is_refused():
    with pytest.raises(ValueError, match="sgnls"):
        build_grounder("magic")


def test_a_loss_that_is_no_number_is_an_error():
    train, _ = world(24, 0)
    bad = [GroundingImage(i.embeddings * np.float32(np.nan), i.features, i.object) for i in train]
    with pytest.raises(ValueError, match="learning_rate"):
        build_grounder("mil", GroundingConfig(dimension=8, epochs=1)).train(bad, [], 0)


def test_sgnls_prefers_no_match_to_another():
    image = GroundingImage(np.ones((2, 1)), np.ones((3, 1)), np.array([[0.5, 0, 0.5], [0, 0, 0]]))
    assert build_grounder("sgnls").scores([image])[0].tolist() == [[1, 0, 1], [0, 0, 0]]


def test_the_detector_prefers_the_surest_match():
    match, sure = np.array([[0.5, 0, 0.5], [0, 0, 0]]), np.array([0.25, 1, 0.75], np.float32)
    image = GroundingImage(np.ones((2, 1)), np.ones((3, 1)), match, confidences=sure)
    assert build_grounder("detector").scores([image])[0].tolist() == [[0.25, 0, 0.75], [0, 0, 0]]


@pytest.mark.parametrize(("name", "given"), [("two-teachers", {"fusing": "self", "average_epochs": 3}), ("mil", {})])
def test_looks_are_of_one_definition_whatever_changes_over_the_epochs(name, given):
    """A model that stays as it is has one validation loss, and the first look is the best there is."""
    train, _ = world(24, 0)
    config = GroundingConfig(dimension=8, batch_size=8, epochs=11, learning_rate=1e-30, mil_decay=True, **given)
    curves = build_grounder(name, config).train(train, train[:8], 0)
    assert max(curves["validation"]) - min(curves["validation"]) < 1e-6 < curves["validation"][0]
    assert curves["mil"][-1] == 0 < curves["mil"][0]  # the training's own weight does fall


class Losses(TorchDispatchMode):
    """Notes the dtypes of what goes into a loss's operations."""

    def __init__(self):
        super().__init__()
        self.dtypes = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function._schema.name.removeprefix("aten::")
        if name in {"sigmoid", "amax", "_log_softmax", "logsumexp", "softplus", "xlogy", "sum", "mean", "log_sigmoid"}:
            self.dtypes.setdefault(name, set()).update(x.dtype for x in args if isinstance(x, torch.Tensor))
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("dropout_on", ["text", "product"])
@pytest.mark.parametrize("name", [*LEARNED, "self", "released"])
def test_losses_are_computed_in_fp32_whatever_the_model_runs_in(name, dropout_on):
    config = GroundingConfig(
        dimension=8, precision="bf16", dropout_on=dropout_on, fusing="self" if name == "self" else "average",
        official=name == "released",
    )  # fmt: skip
    model = GROUNDERS[name if name in LEARNED else "two-teachers"].grounder(8, 8, config)
    batch, noted = pad(world(4, 0)[0]), Losses()
    with noted, autocast(config, torch.device("cpu")):
        terms = model.losses(Step(batch, batch, 0), torch.Generator().manual_seed(0))
    assert noted.dtypes and {d for dtypes in noted.dtypes.values() for d in dtypes if d.is_floating_point} == {
        torch.float32
    }, noted.dtypes
    assert {term.dtype for term in terms.values()} == {torch.float32}
