"""A small world for grounders: entities are one-hot nouns, regions show one-hot nouns with noise, answers are known."""

import numpy as np

from groundgraph.grounding.data import GroundingImage


def world(images, seed, nouns=8):
    """Images of five regions and three entities, with targets that are right; and the right regions."""
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


def accuracy(grounder, data, answers):
    found = grounder.scores(data)
    return np.mean([f.argmax(1) == a for f, a in zip(found, answers, strict=True)])
