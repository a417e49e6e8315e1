"""What grounders read, centred and scaled: by hand, and that no offset or scale of the inputs traps one of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from others import LENGTH, NOUNS, world
from world import accuracy

from groundgraph.grounding import GROUNDERS, build_grounder
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.data import GroundingImage, pad
from groundgraph.grounding.inputs import Inputs, Standardise
from groundgraph.grounding.paging import PagedSet, lengths_of

SMALL = {"dimension": 32, "dropout": 0.0, "batch_size": 16, "learning_rate": 5e-3}
LEARNED = [name for name, method in GROUNDERS.items() if method.learns]


def test_the_mean_is_a_vector_and_the_scale_one_number():
    standardise = Standardise(2)
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
    assert torch.equal(standardise(x), x)  # nothing is known of the data yet
    standardise.fit(x)  # mean (2, 4); deviations of 1 and 2, whose mean square is 2.5
    assert torch.allclose(standardise(x), torch.tensor([[-1.0, -2.0], [1.0, 2.0]]) / 2.5**0.5)
    standardise.fit(torch.ones(3, 2))
    assert torch.equal(standardise(torch.ones(1, 2)), torch.zeros(1, 2))


def test_only_what_is_real_counts_in_memory_and_in_pages():
    images, _ = world(5, 3)
    images[0] = GroundingImage(images[0].embeddings, images[0].features[:3], images[0].object[:, :3])
    features = torch.from_numpy(np.concatenate([image.features for image in images]))
    words = torch.from_numpy(np.concatenate([image.embeddings for image in images]))
    for data in (pad(images), PagedSet(images, *lengths_of(images))):
        inputs = Inputs(NOUNS, NOUNS, standardise=True)
        inputs.fit(data)
        assert torch.allclose(inputs.regions.mean, features.mean(0), atol=1e-5)
        assert torch.allclose(inputs.regions.scale, (features - features.mean(0)).square().mean().sqrt())
        assert torch.allclose(inputs.text.mean, words.mean(0), atol=1e-5)


def moved(images):
    """The same images as a text model and a detector might have said them: far from zero and three times as long."""
    rng = np.random.default_rng(5)
    word, feature = (rng.normal(0, 2 * LENGTH, NOUNS).astype(np.float32) for _ in range(2))
    return [
        replace(
            image,
            embeddings=3 * image.embeddings + word,
            predicates=3 * image.predicates + word,
            features=3 * image.features + feature,
        )
        for image in images
    ]


@pytest.mark.parametrize("name", [name for name in LEARNED if not GROUNDERS[name].taught])
def test_neither_offset_nor_scale_of_the_inputs_changes_what_is_learnt(name):
    (train, _), (held_out, _) = world(60, 0), world(20, 9)
    scores = []
    for change in (list, moved):
        grounder = build_grounder(name, GroundingConfig(**SMALL, epochs=1, standardise=True))
        grounder.train(change(train), [], seed=1)
        scores.append(grounder.scores(change(held_out))[0])
    assert np.allclose(*scores, atol=0.02 * np.abs(scores[0]).max())


@pytest.mark.parametrize("seed", [0, 1])
def test_mil_is_not_trapped_by_inputs_far_from_zero(seed):
    train, (held_out, answers) = moved(world(200, 0)[0]), world(40, 9)
    found = {}
    for standardise in (True, False):
        grounder = build_grounder(
            "mil", GroundingConfig(**SMALL, epochs=12, standardise=standardise, contrast_weight=0)
        )
        grounder.train(train, [], seed=seed)
        found[standardise] = accuracy(grounder, moved(held_out), answers)
    assert found[True] > 0.55 and found[False] < 0.3  # chance is .2


@pytest.mark.parametrize("name", LEARNED)
def test_mean_and_scale_are_stored_with_the_grounder(name, tmp_path):
    train, _ = world(20, 0)
    grounder = build_grounder(name, GroundingConfig(**SMALL, epochs=1, standardise=True))
    grounder.train(moved(train), [], seed=0)
    grounder.save(tmp_path)
    again = build_grounder(name).load(tmp_path)
    assert np.allclose(again.scores(moved(train))[0], grounder.scores(moved(train))[0])


def test_the_publications_forms_read_their_inputs_as_they_are(tmp_path):
    defaults = {}
    for name in ("mil", "wsgm", "lsws", "vspnet", "two-teachers", "pairs"):
        config = build_grounder(name).config
        defaults[name] = (config.standardise, config.contrast_weight)
    taught = {"two-teachers": (False, 0.0), "pairs": (True, 0.0)}
    assert defaults == dict.fromkeys(("mil", "wsgm", "lsws", "vspnet"), (True, 4.0)) | taught
    official = build_grounder("mil", GroundingConfig(official=True)).config
    assert (official.standardise, official.contrast_weight) == (False, 0.0)
    for name in defaults:
        for config in (GroundingConfig(official=True, dimension=4), GroundingConfig(standardise=False, dimension=4)):
            model = build_grounder(name, config).kind(3, 2, config)
            assert not [key for key in model.state_dict() if key.startswith("inputs")]
    train, _ = world(20, 0)
    grounder = build_grounder("mil", GroundingConfig(**SMALL, epochs=1, standardise=False))
    grounder.train(train, [], seed=0)
    grounder.save(tmp_path)
    record = json.loads((tmp_path / "grounder.json").read_text())
    del record["config"]["standardise"]  # as stored before there was such a key
    (tmp_path / "grounder.json").write_text(json.dumps(record))
    again = build_grounder("mil").load(tmp_path)
    np.testing.assert_allclose(again.scores(train)[0], grounder.scores(train)[0], rtol=1e-5, atol=1e-6)
