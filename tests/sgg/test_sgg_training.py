"""Training on a small world whose rule is learnable, checkpoints, and bad input."""

import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from nearly import assert_same_values, assert_same_weights

import groundgraph.sgg.training as sgg_training
from groundgraph.data.graph_arrays import prediction_arrays, truth_arrays
from groundgraph.data.types import GroundTruth, Regions, SoftLabels
from groundgraph.evaluation.recall import sgdet_recall
from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.examples import Examples
from groundgraph.sgg.inference import predict
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.storing import load_sgg, save_sgg
from groundgraph.sgg.training import TrainingConfig, train_sgg
from groundgraph.sgg.uniter import Uniter, UniterConfig

CATEGORIES, PREDICATES = ("man", "woman", "dog", "tree", "car", "hat"), ("left of", "right of", "touches")
pytestmark = pytest.mark.usefixtures("one_thread")
SIZES = Sizes(features=8, detector_categories=4, categories=6, predicates=3)
SMALL = MotifsConfig(hidden=32, pair=32, embedded=16, dropout=0.0)
TINY = UniterConfig(hidden=32, heads=2, intermediate=32, positions=16, dropout=0.0)
PROTOTYPES = np.random.default_rng(99).normal(size=(6, 8))


def scene(seed):
    """Four things in a row, and two background regions. Men and women relate to dogs and hats, by which side they are
    on.

    The detector knows the first four categories; the others show in the features alone.
    """
    rng = np.random.default_rng(seed)
    category = np.concatenate([rng.permutation(6)[:4], [-1, -1]])
    left = np.concatenate([rng.permutation(4) * 25.0, rng.uniform(0, 70, 2)])
    boxes = np.stack([left, np.where(category < 0, 60, 10), left + 20, np.where(category < 0, 90, 40)], 1)
    features = np.where(category[:, None] < 0, 0, PROTOTYPES[category]) + rng.normal(0, 0.2, (6, 8))
    regions = Regions(
        boxes.astype(np.float32),
        np.where(category < 4, category, -1),
        rng.random(6).astype(np.float32),
        features.astype(np.float32),
        (100, 100),
    )
    relations = [
        (s, o, 1 if left[s] < left[o] else 2)
        for s in range(4)
        for o in range(4)
        if category[s] in (0, 1) and category[o] in (2, 5)
    ]
    names = tuple(CATEGORIES[c] for c in category[:4])
    truth = GroundTruth(boxes[:4].astype(np.float32), names, tuple((s, PREDICATES[p - 1], o) for s, o, p in relations))
    return regions, category + 1, np.array(relations, np.int64).reshape(-1, 3), truth


def recall(model, k):
    """R@k on new images."""
    held_out = [scene(1000 + i) for i in range(40)]
    truth = truth_arrays([s[3] for s in held_out], CATEGORIES, PREDICATES)
    return sgdet_recall(truth, prediction_arrays(predict(model, [s[0] for s in held_out])), ks=(k,))[f"R@{k}"]


def train(images, model=None, **options):
    torch.manual_seed(0)
    model = model or Motifs(SIZES, SMALL)
    scenes = [scene(i) for i in range(images)]
    validate = options.pop("validate", None)
    progress = options.pop("progress", None)
    kept = {k: options.pop(k) for k in ("checkpoint", "interval") if k in options}
    config = TrainingConfig(**({"batch_size": 8, "learning_rate": 1e-2} | options))
    regions = [s[0] for s in scenes]
    history = train_sgg(model, regions, lambda i, _: scenes[i][1:3], config, validate, progress, **kept)
    return model, history


def total(curves):
    """Eq. 16 of every epoch."""
    return [sum(terms) for terms in zip(curves["objects"], curves["predicates"], strict=True)]


def test_the_rule_is_learnt_and_holds_on_new_images():
    model, curves = train(64, epochs=14)
    assert recall(model, 20) > 0.9
    # Right pairs and right sides come first: four things have twelve ordered pairs and at most four relations.
    assert recall(model, 4) > 0.85
    assert total(curves)[-1] < 0.2 * total(curves)[0]


def test_same_seed_same_weights_and_the_global_generator_is_left_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        model = Motifs(SIZES, SMALL.model_copy(update={"dropout": 0.3}))
        torch.manual_seed(5)
        scenes = [scene(i) for i in range(10)]
        train_sgg(
            model, [s[0] for s in scenes], lambda i, _, s=scenes: s[i][1:3], TrainingConfig(epochs=2, batch_size=4)
        )
        assert torch.equal(torch.rand(1), expected)
        results.append(model.state_dict())
    assert_same_weights(*results)


def test_the_best_epoch_stays_and_progress_counts_steps():
    figures, weights, steps = iter([0.1, 0.9, 0.3]), [], []

    def validate(model):
        weights.append({k: v.clone() for k, v in model.state_dict().items()})
        return next(figures)

    model, curves = train(10, epochs=3, validate=validate, progress=lambda done, total, _: steps.append((done, total)))
    assert curves["validation"] == [0.1, 0.9, 0.3]
    assert all(torch.equal(v, weights[1][k]) for k, v in model.state_dict().items())
    assert steps == [(i + 1, 6) for i in range(6)]
    assert not model.training


@pytest.mark.parametrize("options", [{"optimizer": "sgd"}, {"schedule": "multistep"}, {"warmup": 0.0}])
def test_other_optimisers_and_schedules_learn_too(options):
    losses = total(train(16, epochs=6, **options)[1])
    assert losses[-1] < losses[0]


def test_labels_are_drawn_anew_and_images_without_a_relation_or_a_region_are_no_obstacle():
    none = Regions(np.zeros((0, 4)), np.zeros(0, int), np.zeros(0), np.zeros((0, 8)), (100, 100))
    single = scene(0)[0]
    single = Regions(single.boxes[:1], single.labels[:1], single.scores[:1], single.features[:1], single.size)
    calls = []

    def draw(i, rng):
        calls.append((i, int(rng.integers(1000))))
        return np.array([1]), np.zeros((0, 3), np.int64)

    model = Motifs(SIZES, SMALL)
    curves = train_sgg(model, [none, single, none], draw, TrainingConfig(epochs=5))
    assert [i for i, _ in calls] == [1] * 5
    assert len({number for _, number in calls}) > 1
    assert curves["predicates"][-1] == 0
    with pytest.raises(ValueError, match="no training image has a region"):
        train_sgg(model, [none], draw)


def test_the_frequency_bias_is_counted_on_the_drawn_labels():
    scenes = [scene(i) for i in range(12)]
    examples = Examples([s[0] for s in scenes], lambda i, _: scenes[i][1:3], SIZES)
    counts = examples.predicate_counts(range(12), np.random.default_rng(0))
    assert counts[:, :, 1:].sum() == sum(len(s[2]) for s in scenes)
    assert counts.sum() == 12 * 4 * 3  # every ordered pair of labelled regions once
    assert counts[0].sum() == counts[:, 0].sum() == 0
    model, _ = train(12, Motifs(SIZES, SMALL.model_copy(update={"frequency_bias": True})), epochs=1)
    assert model.frequency.table[1, 2, 0] > -0.1  # men and women never relate


def test_a_stored_model_is_the_same_model(tmp_path):
    model, _ = train(8, epochs=1)
    save_sgg(tmp_path / "sgg", model, {"predicates": PREDICATES})
    assert sorted(p.name for p in (tmp_path / "sgg").iterdir()) == ["config.json", "model.safetensors"]
    loaded, extra = load_sgg(tmp_path / "sgg")
    assert extra == {"predicates": list(PREDICATES)}
    assert loaded.config == model.config
    images = [scene(50)[0]]
    np.testing.assert_array_equal(
        predict(loaded, images)[0].predicate_scores, predict(model, images)[0].predicate_scores
    )
    (tmp_path / "sgg" / "model.safetensors").write_bytes(b"broken")
    with pytest.raises(ValueError, match=r"model\.safetensors does not fit"):
        load_sgg(tmp_path / "sgg")
    with pytest.raises(ValueError, match=r"config\.json is no stored"):
        load_sgg(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("labels", "relations", "message"),
    [
        ([7] + [0] * 5, [], "labels must lie"),
        ([1] * 5, [], "differ in number"),
        ([1] * 6, [(0, 6, 1)], "names a region"),
        ([1] * 6, [(0, 1, 0)], "predicates must lie"),
    ],
)
def test_wrong_labels_are_named(labels, relations, message):
    with pytest.raises(ValueError, match=message):
        train_sgg(Motifs(SIZES, SMALL), [scene(0)[0]], lambda i, rng: (np.array(labels), np.array(relations)))


class Killed(Exception):
    pass


@pytest.mark.parametrize("kind", ["motifs", "uniter"])
@pytest.mark.parametrize("step", [1, 4, 5, 6, 8])  # within an epoch, at its end (4 steps), and past the best epoch
def test_a_killed_training_goes_on_with_the_same_losses(tmp_path, kind, step):
    scenes = [scene(i) for i in range(14)]

    def draw(i, rng):  # other labels each time, so that the generators' states show
        keep = rng.random(len(scenes[i][2])) < 0.7
        return scenes[i][1], scenes[i][2][keep]

    def run(stop=None, **options):
        seen = []

        def progress(done, total, losses):
            seen.append((done, total, losses))
            if done == stop:
                raise Killed

        def validate(model):  # of the weights alone, so that it is the same in both runs
            return sum(float(p.detach().sum()) for p in model.parameters())

        torch.manual_seed(0)
        config = SMALL.model_copy(update={"dropout": 0.2, "order": "random", "frequency_bias": True})
        model = Motifs(SIZES, config) if kind == "motifs" else Uniter(SIZES, TINY.model_copy(update={"dropout": 0.2}))
        training = TrainingConfig(epochs=3, batch_size=4, learning_rate=1e-2)
        curves = None
        try:
            curves = train_sgg(model, [s[0] for s in scenes], draw, training, validate, progress, **options)
        except Killed:
            pass
        return seen, curves, model

    whole, curves, model = run()
    file = tmp_path / "deep" / "training.pt"
    first, _, _ = run(step, checkpoint=file, interval=1)
    torch.manual_seed(99)  # another process
    second, resumed, again = run(checkpoint=file, interval=1)
    assert_same_values(first + second, whole)
    assert_same_values(resumed, curves)
    assert_same_weights(again.state_dict(), model.state_dict())
    third, finished, same = run(checkpoint=file)
    assert (third, finished) == ([], resumed)
    assert_same_weights(same.state_dict(), model.state_dict())


def test_a_checkpoint_between_two_intervals_repeats_what_was_lost(tmp_path):
    whole, killed, resumed = [], [], []
    train(24, epochs=2, progress=lambda done, _, losses: whole.append((done, losses)))

    def stop(done, _, losses):
        killed.append((done, losses))
        if done == 6:
            raise Killed

    options = {"epochs": 2, "checkpoint": tmp_path / "training.pt", "interval": 5}
    with pytest.raises(Killed):  # stored after epoch 1 (3 steps) and step 5
        train(24, progress=stop, **options)
    train(24, progress=lambda done, _, losses: resumed.append((done, losses)), **options)
    assert_same_values(killed, whole[:6])
    assert_same_values(resumed, whole[5:])


def test_other_trainings_and_damaged_checkpoints_are_refused(tmp_path):
    file = tmp_path / "training.pt"
    train(8, epochs=1, checkpoint=file)
    with pytest.raises(ValueError, match=r"training\.pt is of a training with other settings \(batches, config\)"):
        train(8, epochs=2, checkpoint=file)
    with pytest.raises(ValueError, match=r"other settings \(batches, images\)"):
        train(9, epochs=1, checkpoint=file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ValueError, match=r"training\.pt is no readable checkpoint"):
        train(8, epochs=1, checkpoint=file)
    with file.open("wb") as out:
        pickle.dump({"identity": print}, out, protocol=2)
    with pytest.raises(ValueError, match=r"training\.pt is no readable checkpoint"):
        train(8, epochs=1, checkpoint=file)


def test_training_stops_early_when_validation_no_longer_gets_better(tmp_path):
    figures = iter([0.1, 0.3, 0.2, 0.3, 0.9])
    _, curves = train(8, epochs=8, patience=2, validate=lambda _: next(figures), checkpoint=tmp_path / "t.pt")
    assert curves["validation"] == [0.1, 0.3, 0.2, 0.3]
    # Asked again, it knows that it has stopped.
    assert train(8, epochs=8, patience=2, validate=lambda _: 1 / 0, checkpoint=tmp_path / "t.pt")[1] == curves
    with pytest.raises(ValueError, match="patience needs a validation figure"):
        train(8, patience=2)


@pytest.mark.parametrize("kind", ["motifs", "uniter"])
def test_half_precision(kind):
    def fresh():
        torch.manual_seed(0)
        return Motifs(SIZES, SMALL) if kind == "motifs" else Uniter(SIZES, TINY)

    _, full = train(32, fresh(), epochs=3)
    _, half = train(32, fresh(), epochs=3, precision="bf16")
    assert total(half)[-1] == pytest.approx(total(full)[-1], rel=0.1)
    assert total(half)[-1] != total(full)[-1]
    with pytest.raises(ValueError, match="fp16 needs a GPU"):
        train(8, precision="fp16")


@pytest.mark.parametrize(("sequence", "epochs"), [("image", 14), ("pair", 10)])
def test_uniter_learns_the_rule_too(sequence, epochs):
    torch.manual_seed(0)
    model, _ = train(64, Uniter(SIZES, TINY.model_copy(update={"sequence": sequence})), epochs=epochs)
    assert recall(model, 4) > 0.8


def test_soft_labels_that_are_decided_teach_what_hard_ones_do():
    scenes = [scene(i) for i in range(64)]

    def soft(i, rng):
        _, labels, relations, _ = scenes[i]
        return SoftLabels(np.eye(7)[labels] * 0.9 + 0.1 / 7, relations[:, :2], np.eye(4)[relations[:, 2]] * 0.9 + 0.025)

    torch.manual_seed(0)
    model = Motifs(SIZES, SMALL)
    train_sgg(model, [s[0] for s in scenes], soft, TrainingConfig(epochs=14, batch_size=8, learning_rate=1e-2))
    assert recall(model, 20) > 0.9


def test_the_union_boxes_features_are_asked_for_and_used():
    # The predicate shows nowhere but in the union box.
    scenes = [scene(i) for i in range(48)]
    rng = np.random.default_rng(0)
    kinds = [rng.integers(1, 4, (6, 6)) for _ in scenes]

    def draw(i, _):
        labelled = np.argwhere(~np.eye(4, dtype=bool))
        return scenes[i][1], np.column_stack([labelled, kinds[i][tuple(labelled.T)]])

    def unions(images, pairs):
        return [np.eye(4)[kinds[i][tuple(ends.T)]] for i, ends in zip(images, pairs, strict=True)]

    figures = {}
    regions = [s[0] for s in scenes]
    for union in ("visual", "spatial"):
        torch.manual_seed(0)
        model = Motifs(replace(SIZES, unions=4), SMALL.model_copy(update={"union": union}))
        options = {"unions": unions} if union == "visual" else {}
        config = TrainingConfig(epochs=6, batch_size=8, learning_rate=1e-2)
        figures[union] = train_sgg(model, regions, draw, config, **options)["predicates"][-1]
        graph = predict(model, regions[5:6], unions=(lambda _, pairs: unions([5], pairs)) if options else None)[0]
        assert len(graph.pairs)
    assert figures["visual"] < 0.3 * figures["spatial"]


def test_reweighting_counts_the_drawn_predicates(monkeypatch):
    scenes = [scene(seed) for seed in range(8)]
    labels = [(s[1], s[2]) for s in scenes]
    counts = np.bincount(np.concatenate([relations[:, 2] for _, relations in labels]), minlength=4)[1:]
    loss, weights = sgg_training.sgg_loss, []
    monkeypatch.setattr(sgg_training, "sgg_loss", lambda *terms: weights.append(terms[-1]) or loss(*terms))
    regions, config = [s[0] for s in scenes], TrainingConfig(epochs=1)
    for reweight in (False, True):
        train_sgg(Motifs(SIZES, SMALL), regions, lambda i, rng: labels[i], config, reweight=reweight)
    assert weights[0] is None
    expected = np.where(counts > 0, np.median(counts[counts > 0]) / np.maximum(counts, 1), 1)
    assert weights[-1].tolist() == pytest.approx([1, *expected])
