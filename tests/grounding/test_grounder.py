"""Eq. 1-3 by hand, and a grounder that learns."""

import numpy as np
import pytest
import torch

from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.grounder import Grounder, GrounderConfig
from groundgraph.grounding.sgnls import sgnls_scores
from groundgraph.grounding.training import GrounderTraining, grounder_scores, losses, train_grounder


def test_scores_are_fc_att_of_the_product():
    model = Grounder(3, 2, GrounderConfig(dimension=4, dropout=0.0))
    torch.nn.init.constant_(model.attend.bias, 0.25)
    e, x = torch.randn(5, 3), torch.randn(6, 2)

    def mlp(net, value):  # written out: W2 max(0, W1 x + b1) + b2
        return torch.relu(value @ net[0].weight.T + net[0].bias) @ net[2].weight.T + net[2].bias

    h, v = mlp(model.text, e), mlp(model.visual, x)
    naive = torch.stack([torch.stack([model.attend(hi * vj)[0] for vj in v]) for hi in h])
    assert torch.allclose(model(e, x), naive, atol=1e-5)


def test_dropout_is_one_mask_an_entity():
    torch.manual_seed(0)
    model = Grounder(3, 2, GrounderConfig(dimension=50, dropout=0.5)).train()
    h, v = torch.randn(1, 50), torch.ones(2, 50)
    same = model.scores(h, v)
    assert torch.allclose(same[0, 0], same[0, 1])  # both regions saw the same mask
    assert not torch.allclose(same, model.scores(h, v))


def world(images, seed, nouns=8):
    """Entities are one-hot nouns; each image's region j shows noun labels[j]; the right region is known."""
    rng = np.random.default_rng(seed)
    data, answers = [], []
    for _ in range(images):
        labels = rng.permutation(nouns)[:5]
        entities = rng.choice(5, 3, replace=False)
        features = np.eye(nouns, dtype=np.float32)[labels] + rng.normal(0, 0.05, (5, nouns)).astype(np.float32)
        target = np.eye(5, dtype=np.float32)[entities]
        data.append(GroundingImage(np.eye(nouns, dtype=np.float32)[labels[entities]], features, target, target))
        answers.append(entities)
    return data, answers


def accuracy(model, data, answers):
    found = grounder_scores(model, data)
    return np.mean([f.argmax(1) == a for f, a in zip(found, answers, strict=True)])


CONFIG, TRAINING = GrounderConfig(dimension=32, dropout=0.0), GrounderTraining(epochs=30, images=16, learning_rate=5e-3)


def test_teachers_are_learnt_and_carried_to_new_images():
    train, _ = world(120, 0)
    model, curves = train_grounder(train, train[:20], CONFIG, TRAINING, seed=1)
    data, answers = world(40, 9)
    assert accuracy(model, data, answers) > 0.9
    assert curves["kd"][-1] < curves["kd"][0] / 2 and len(curves["validation"]) == 30


def test_mil_alone_learns_from_which_caption_goes_with_which_image():
    train, _ = world(200, 0, nouns=24)
    silent = [GroundingImage(i.embeddings, i.features, i.object, np.zeros_like(i.target)) for i in train]
    model, curves = train_grounder(
        silent, [], CONFIG, GrounderTraining(epochs=40, images=16, learning_rate=5e-3), seed=1
    )
    data, answers = world(40, 9, nouns=24)
    assert accuracy(model, data, answers) > 0.6  # chance is 0.2
    assert curves["kd"] == [0.0] * 40


def test_same_seed_same_grounder():
    train, _ = world(30, 0)
    short = GrounderTraining(epochs=2, images=8)
    first, second = (train_grounder(train, train, CONFIG, short, seed=3)[0] for _ in range(2))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_padding_changes_nothing():
    data, _ = world(2, 0)
    more = GroundingImage(
        np.ones((4, 8), np.float32),
        np.ones((7, 8), np.float32),
        np.zeros((4, 7), np.float32),
        np.zeros((4, 7), np.float32),
    )
    torch.manual_seed(0)
    model = Grounder(8, 8, CONFIG).eval()
    alone = grounder_scores(model, data)
    among = grounder_scores(model, [*data, more])
    for a, b in zip(alone, among, strict=False):
        np.testing.assert_allclose(a, b, atol=1e-5)
    small, wide = pad(data), pad([*data, more])
    both = torch.arange(2)
    values = [losses(model, batch.sample(both, 10, None), 0.2) for batch in (small, wide)]
    assert torch.allclose(torch.stack(values[0]), torch.stack(values[1]), atol=1e-5)


def test_images_without_entities_or_regions_are_left_out_and_get_no_scores():
    data, _ = world(1, 0)
    nothing = GroundingImage(
        np.zeros((0, 8), np.float32),
        np.ones((3, 8), np.float32),
        np.zeros((0, 3), np.float32),
        np.zeros((0, 3), np.float32),
    )
    blind = GroundingImage(
        np.ones((2, 8), np.float32),
        np.zeros((0, 8), np.float32),
        np.zeros((2, 0), np.float32),
        np.zeros((2, 0), np.float32),
    )
    assert [f.shape for f in grounder_scores(Grounder(8, 8, CONFIG), [nothing, data[0], blind])] == [
        (0, 3),
        (3, 5),
        (2, 0),
    ]
    assert len(pad([nothing, data[0], blind])) == 1
    with pytest.raises(ValueError, match="no image has both"):
        pad([nothing, blind])


def test_targets_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="target is"):
        GroundingImage(np.ones((2, 8)), np.ones((3, 8)), np.ones((2, 3)), np.ones((3, 2)))


def test_sgnls_prefers_no_match_to_another():
    image = GroundingImage(np.ones((2, 1)), np.ones((3, 1)), np.array([[0.5, 0, 0.5], [0, 0, 0]]), np.zeros((2, 3)))
    assert sgnls_scores([image])[0].tolist() == [[1, 0, 1], [0, 0, 0]]
