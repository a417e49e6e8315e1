"""Neural Motifs: shapes, padding, order, teacher forcing, geometry by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from groundgraph.data.types import Regions
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import Sizes, box_iou, collate, ordered_pairs
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.pairs import box_geometry, pair_geometry

SIZES = Sizes(features=6, detector_categories=4, categories=5, predicates=3)
SMALL = MotifsConfig(hidden=8, pair=12, embedded=4, dropout=0.0)


def some_regions(count, seed):
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 50, (count, 2))
    return Regions(
        boxes=np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], 1).astype(np.float32),
        labels=rng.integers(-1, 4, count),
        scores=rng.random(count).astype(np.float32),
        features=rng.normal(size=(count, 6)).astype(np.float32),
        size=(100, 80),
    )


def model(**options):
    torch.manual_seed(0)
    return Motifs(SIZES, SMALL.model_copy(update=options)).eval()


def test_shapes_and_the_registry():
    batch = collate([some_regions(3, 0), some_regions(1, 1)])
    batch = replace(batch, pairs=ordered_pairs(batch))
    assert batch.pairs.tolist() == [[0, i, j] for i in range(3) for j in range(3) if i != j]
    outputs = SGG_MODELS["motifs"](SIZES, SMALL)(batch)
    assert outputs.objects.shape == (2, 3, 6)
    assert outputs.predicates.shape == (6, 4)
    assert model()(replace(batch, pairs=None)).predicates.shape == (0, 4)


@pytest.mark.parametrize("order", ["confidence", "left-right", "size", "random"])
@pytest.mark.parametrize("told", [False, True])
def test_padding_and_company_change_nothing(order, told):
    images = [some_regions(n, n) for n in (4, 1, 7)]
    targets = [np.arange(len(r)) % 6 for r in images] if told else None
    motifs = model(order=order)
    together = collate(images, targets)
    together = replace(together, pairs=ordered_pairs(together))
    outputs = motifs(together)
    for i, regions in enumerate(images):
        alone = collate([regions], targets and [targets[i]])
        alone = replace(alone, pairs=ordered_pairs(alone))
        single = motifs(alone)
        torch.testing.assert_close(outputs.objects[i, : len(regions)], single.objects[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            outputs.predicates[together.pairs[:, 0] == i], single.predicates, atol=1e-5, rtol=1e-4
        )


def test_regions_are_put_in_order_whatever_order_they_come_in():
    regions, mixed = some_regions(6, 3), np.array([3, 0, 5, 1, 4, 2])
    shuffled = Regions(
        regions.boxes[mixed], regions.labels[mixed], regions.scores[mixed], regions.features[mixed], regions.size
    )
    for order in ("confidence", "left-right"):
        outputs = [model(order=order)(collate([r])).objects[0] for r in (regions, shuffled)]
        torch.testing.assert_close(outputs[0][mixed], outputs[1])
    assert not torch.allclose(
        model()(collate([regions])).objects, model(order="left-right")(collate([regions])).objects
    )


def test_greedy_decoding_is_teacher_forcing_on_its_own_answers():
    # Told exactly the labels that it would have decoded, the decoder gives the same logits in one call.
    motifs, batch = model(), collate([some_regions(5, 4), some_regions(3, 5)])
    free = motifs(batch)
    told = motifs(replace(batch, targets=free.objects.argmax(-1)))
    torch.testing.assert_close(free.objects[batch.mask], told.objects[batch.mask])
    other = motifs(replace(batch, targets=(free.objects.argmax(-1) + 1) % 6))
    assert not torch.allclose(free.objects[batch.mask], other.objects[batch.mask])


def test_a_told_label_reaches_its_pairs_and_background_goes_on_as_the_best_category():
    motifs, batch = model(), collate([some_regions(2, 6)])
    batch = replace(batch, pairs=torch.tensor([[0, 0, 1]]))
    outputs = [motifs(replace(batch, targets=torch.tensor([[a, 2]]))).predicates for a in (1, 3)]
    assert not torch.allclose(*outputs)
    nothing = motifs(replace(batch, targets=torch.zeros(1, 2, dtype=torch.int64)))
    best = nothing.objects[..., 1:].argmax(-1) + 1
    hidden = {}
    motifs.label.register_forward_hook(lambda _, given, __: hidden.update(labels=given[0]))
    motifs(replace(batch, targets=torch.zeros(1, 2, dtype=torch.int64)))
    assert sorted(hidden["labels"].flatten().tolist()) == sorted(best.flatten().tolist())


def test_the_frequency_bias_is_added_to_the_labels_pair():
    motifs, plain = model(frequency_bias=True), model()
    plain.load_state_dict({k: v for k, v in motifs.state_dict().items() if "frequency" not in k})
    counts = torch.zeros(6, 6, 4)
    counts[1, 2] = torch.tensor([1.0, 2.0, 5.0, 0.0])
    motifs.frequency.count(counts)
    batch = collate([some_regions(2, 7)], [np.array([1, 2])])
    batch = replace(batch, pairs=torch.tensor([[0, 0, 1], [0, 1, 0]]))
    difference = motifs(batch).predicates - plain(batch).predicates
    wanted = torch.tensor([[1 / 8, 2 / 8, 5 / 8, 1e-3 / 8], [0.25] * 4]).log()
    torch.testing.assert_close(difference, wanted, atol=2e-2, rtol=1e-3)


def test_geometry_by_hand():
    subject, object_ = torch.tensor([[0.0, 0, 20, 10]]), torch.tensor([[10.0, 0, 20, 40]])
    row = pair_geometry(subject, object_, torch.tensor([[100.0, 80]]))[0].tolist()
    # Union 20 x 40, shared 10 x 10 = 100, areas 200 and 400.
    wanted = [0.5, 0, 0, 0.75, 1, 0.25, 0.5, 1, np.log(0.5), np.log(4), 0.2, 0.5, 0.25, 0.2, 0.5]
    assert row == pytest.approx(wanted, abs=1e-6)
    batch = collate([Regions(subject.numpy(), np.array([0]), np.ones(1), np.zeros((1, 6)), (100, 80))])
    wanted = [0.1, 0.0625, 0.2, 0.125, 0, 0, 0.2, 0.125, 0.025]
    assert box_geometry(batch)[0, 0].tolist() == pytest.approx(wanted)
    degenerate = pair_geometry(torch.zeros(1, 4), torch.zeros(1, 4), torch.tensor([[100.0, 80]]))
    assert torch.isfinite(degenerate).all()


def test_overlapping_pairs_only():
    boxes = np.array([[0, 0, 10, 10], [5, 5, 15, 15], [30, 30, 40, 40]], np.float32)
    batch = collate([Regions(boxes, np.zeros(3, int), np.ones(3), np.zeros((3, 6)), (50, 50))])
    assert ordered_pairs(batch, overlapping=True).tolist() == [[0, 0, 1], [0, 1, 0]]
    assert box_iou(batch.boxes)[0, 0].tolist() == pytest.approx([1, 25 / 175, 0])


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least one region"):
        collate([some_regions(0, 0)])
    wide = replace(some_regions(2, 0), features=np.zeros((2, 7), np.float32))
    with pytest.raises(ValueError, match="one detector"):
        collate([some_regions(2, 0), wide])
    with pytest.raises(ValueError, match="differ in number"):
        collate([some_regions(2, 0)], [np.zeros(3)])
    with pytest.raises(ValidationError):
        MotifsConfig(hiden=3)
