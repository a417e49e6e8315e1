"""Two processes that share a training's batches compute what one does."""

import numpy as np
import pytest
import torch
from nearly import assert_same_weights
from several import several
from test_sgg_training import SIZES, SMALL, TINY, scene

from groundgraph.data.types import SoftLabels
from groundgraph.sgg.examples import Examples
from groundgraph.sgg.losses import LossConfig
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.training import TrainingConfig, train_sgg
from groundgraph.sgg.uniter import Uniter
from groundgraph.training.processes import ALONE, Ranks

SCENES = [scene(i) for i in range(15)]


class Stopped(Exception):
    pass


def draw(i, rng):
    """Other labels each time, so that it shows whether processes draw the same."""
    keep = rng.random(len(SCENES[i][2])) < 0.7
    return SCENES[i][1], SCENES[i][2][keep]


def draw_soft(i, rng):
    _, labels, relations, _ = SCENES[i]
    share = rng.random()
    objects = np.eye(7)[labels] * (1 - share) + share / 7
    return SoftLabels(objects, relations[:, :2], np.eye(4)[relations[:, 2]] * 0.9 + 0.025)


def train(ranks, kind="motifs", labels=draw, stop=None, checkpoint=None, **options):
    """The losses of every step, and the weights.

    Of these only the losses are compared: where a gradient is 0 but for rounding, Adam makes full steps of it.
    """
    seen = []

    def progress(done, total, losses):
        seen.append(list(losses.values()))
        if done == stop:
            raise Stopped

    torch.manual_seed(ranks.rank)  # the first one's start counts
    model = (
        Motifs(SIZES, SMALL.model_copy(update={"frequency_bias": True})) if kind == "motifs" else Uniter(SIZES, TINY)
    )
    config = TrainingConfig(**({"epochs": 2, "batch_size": 5, "learning_rate": 1e-2} | options))
    try:
        train_sgg(
            model,
            [s[0] for s in SCENES],
            labels,
            config,
            lambda m: float(sum(p.detach().sum() for p in m.parameters())),
            progress,
            checkpoint=checkpoint,
            interval=1,
            ranks=ranks,
        )
    except Stopped:
        ranks.wait()
    return np.array(seen), model.state_dict()


def all_of_it(ranks, folder):
    """Everything that two processes are tried on, in one start of them."""
    found = {kind: train(ranks, kind) for kind in ("motifs", "uniter")}
    found["soft"] = train(ranks, labels=draw_soft)
    found["accumulated"] = train(ranks, micro_batches=2)
    found["bf16"] = train(ranks, precision="bf16")
    train(ranks, stop=4, checkpoint=folder / "two.pt")
    found["on from one"] = train(ranks, checkpoint=folder / "one.pt")
    with pytest.raises(ValueError, match="raise batch_size"):
        train(ranks, batch_size=1)
    return found


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    train(ALONE, stop=4, checkpoint=folder / "one.pt")
    return folder, several(2, all_of_it, folder)


def close(losses, others, tolerance=1e-5):
    np.testing.assert_allclose(losses, others, rtol=0, atol=tolerance)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["motifs", "uniter"])
def test_losses_equal_one_processs(found, kind):
    losses, _ = train(ALONE, kind)
    assert len(losses) == 6 and losses[-1, 0] < losses[0, 0]
    for several_ in found[1]:
        close(several_[kind][0], losses)
    first, second = (several_[kind][1] for several_ in found[1])
    assert_same_weights(first, second)


@pytest.mark.slow
def test_soft_labels_and_accumulated_gradients_too(found):
    close(found[1][1]["soft"][0], train(ALONE, labels=draw_soft)[0])
    close(found[1][1]["accumulated"][0], train(ALONE)[0])
    close(train(ALONE, micro_batches=3)[0], train(ALONE)[0])


@pytest.mark.slow
def test_half_precision_is_near(found):
    close(found[1][0]["bf16"][0], train(ALONE)[0], 0.1)


@pytest.mark.slow
def test_a_checkpoint_goes_on_in_another_layout(found):
    losses, _ = train(ALONE)
    close(found[1][1]["on from one"][0], losses[4:])
    close(train(ALONE, checkpoint=found[0] / "two.pt")[0], losses[4:])


@pytest.mark.parametrize("labels", [draw, draw_soft])
@pytest.mark.parametrize("world", [2, 4])
def test_no_image_or_pair_is_repeated_or_lost(labels, world):
    examples = Examples([s[0] for s in SCENES], labels, SIZES)
    chosen = np.random.default_rng(1).permutation(15)[:7]

    def drawn():
        return LossConfig(), np.random.default_rng(0), torch.Generator().manual_seed(0)

    ((whole, predicates),), _ = examples.parts(chosen, *drawn(), [slice(0, 7)])
    rows = [Ranks(rank, world).part(7) for rank in range(world)]
    assert [r.stop for r in rows[:-1]] == [r.start for r in rows[1:]] and rows[-1].stop == 7
    found, weights = [], None
    for part in rows:
        own, of_all = examples.parts(chosen, *drawn(), [part])
        assert weights in (None, of_all)
        weights = of_all
        found += own
    assert weights.predicates == len(whole.pairs)
    for name in ("features", "boxes", "targets", *(["soft"] if whole.soft is not None else [])):
        assert torch.equal(torch.cat([getattr(batch, name) for batch, _ in found]), getattr(whole, name))
    pairs = [b.pairs + torch.tensor([part.start, 0, 0]) for (b, _), part in zip(found, rows, strict=True)]
    named = torch.column_stack([torch.cat(pairs), torch.cat([p for _, p in found])])
    assert sorted(named.tolist()) == sorted(torch.column_stack([whole.pairs, predicates]).tolist())
