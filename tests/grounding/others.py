"""What the tests of the other systems' grounders share: a small world with triplets, and checks they all pass."""

from dataclasses import replace

import numpy as np
import torch
from world import accuracy
from world import world as plain_world

from groundgraph.grounding import GroundingConfig, build_grounder
from groundgraph.grounding.batches import Step
from groundgraph.grounding.data import GroundingImage, pad

NOUNS, PREDICATES, LENGTH = 24, 3, 8.0


def world(images, seed):
    """`world.world` without targets, entity 0 in a triplet with entity 1; lengths are nearer to a text model's."""
    data, answers = plain_world(images, seed, NOUNS)
    words = np.eye(NOUNS, dtype=np.float32) * LENGTH
    rng = np.random.default_rng(seed)
    return [
        GroundingImage(
            image.embeddings * LENGTH,
            image.features * LENGTH,
            np.zeros_like(image.object),
            triplets=np.array([[0, 1]]),
            predicates=words[rng.integers(PREDICATES, size=1)],
        )
        for image in data
    ], answers


def learnt(name, epochs):
    """The accuracy of a grounder trained on one world and tried on another; chance is .2."""
    config = GroundingConfig(dimension=32, dropout=0.0, epochs=epochs, batch_size=16, learning_rate=5e-3)
    grounder = build_grounder(name, config)
    curves = grounder.train(world(200, 0)[0], [], seed=1)
    assert all(np.isfinite(value).all() for value in curves.values())
    return accuracy(grounder, *world(40, 9))


def built(kind, **config):
    torch.manual_seed(0)
    return kind(NOUNS, NOUNS, GroundingConfig(dimension=8, **config)).eval()


def check_padding_and_order(kind, **config):
    """Neither wider padding nor the order of regions and images changes scores or losses."""
    model = built(kind, **config)
    data, _ = world(3, 4)
    wide = GroundingImage(*(np.ones((n, NOUNS), np.float32) for n in (4, 7)), np.zeros((4, 7), np.float32))
    small, padded = pad(data), pad([*data, wide])
    padded = padded.take(torch.arange(3), torch.arange(4).expand(3, -1), padded.entities[:3])
    scores = model.score(small)
    assert torch.allclose(model.score(padded)[:, :3, :5], scores, atol=1e-5)
    losses, others = (model.losses(Step(batch, batch, 0)) for batch in (small, padded))
    assert all(torch.allclose(losses[name], others[name], atol=1e-5) for name in losses)

    order = torch.tensor([3, 1, 4, 0, 2])
    turned = replace(small, features=small.features[:, order])
    assert torch.allclose(model.score(turned), scores[:, :, order], atol=1e-5)
    images = torch.tensor([2, 0, 1])
    assert torch.allclose(
        model.score(small.take(images, torch.arange(3).expand(3, -1), small.entities)), scores[images], atol=1e-5
    )


def check_without_triplets(kind, **config):
    """A batch that has no triplet, and one of a single image, give finite losses and gradients."""
    model = built(kind, **config)
    data, _ = world(3, 4)
    bare = [GroundingImage(i.embeddings, i.features, i.object) for i in data]
    for batch in (pad(bare), pad(data[:1])):
        model.zero_grad()
        torch.stack(list(model.losses(Step(batch, batch, 0)).values())).sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
        assert torch.isfinite(model.score(batch)).all()
