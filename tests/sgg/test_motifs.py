"""Neural Motifs: shapes, padding, order, teacher forcing, labels with suppression."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_regions import SIZES, some_regions

from groundgraph.data.types import Regions
from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import collate, ordered_pairs
from groundgraph.sgg.decoding import decode_labels
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.pairs import box_geometry

SMALL = MotifsConfig(hidden=8, pair=12, embedded=4, dropout=0.0)


def model(**options):
    torch.manual_seed(0)
    return Motifs(SIZES, SMALL.model_copy(update=options)).eval()


def with_all_pairs(images):
    batch = collate(images)
    return replace(batch, pairs=ordered_pairs(batch))


def test_shapes_and_the_registry():
    batch = collate([some_regions(3, 0), some_regions(1, 1)])
    batch = replace(batch, pairs=ordered_pairs(batch))
    assert batch.pairs.tolist() == [[0, i, j] for i in range(3) for j in range(3) if i != j]
    outputs = SGG_MODELS["motifs"](SIZES, SMALL)(batch)
    assert outputs.objects.shape == (2, 3, 6)
    assert outputs.predicates.shape == (6, 4)
    assert model()(replace(batch, pairs=None)).predicates.shape == (0, 4)


AS_RELEASED = {
    "features": "raw",
    "geometry": "batch-norm",
    "decoder": "highway",
    "relation": "sum",
    "dropout_on": "decoder",
    "lstm_width": 6,
    "union": "none",
    "order": "right-left",
}
FORMS = [
    *({"order": order} for order in ("confidence", "left-right", "right-left", "size", "random")),
    {"lstm_width": 6},
    {"relation": "sum"},
    AS_RELEASED,
]


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("known", [False, True])
def test_padding_and_company_change_nothing(options, known):
    images = [some_regions(n, n) for n in (4, 1, 7)]
    targets = [np.arange(len(r)) % 6 for r in images] if known else None
    motifs = model(**options)
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


def test_the_released_decoder_reads_a_background_regions_best_category():
    motifs, batch = model(**AS_RELEASED), collate([some_regions(5, 4)])
    nothing = motifs(replace(batch, targets=torch.zeros(1, 5, dtype=torch.int64))).objects
    best = nothing[..., 1:].argmax(-1) + 1
    torch.testing.assert_close(motifs(batch).objects, nothing)
    torch.testing.assert_close(motifs(replace(batch, targets=best)).objects, nothing)
    assert not torch.allclose(motifs(replace(batch, targets=best % 5 + 1)).objects, nothing)


def test_the_released_decoder_drops_the_same_entries_at_every_step():
    motifs = Motifs(SIZES, SMALL.model_copy(update=AS_RELEASED | {"dropout": 0.5}))
    batch, read = collate([some_regions(6, 4)]), []
    batch = replace(batch, targets=torch.ones(1, 6, dtype=torch.int64))
    motifs.objects.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0][0] == 0))
    motifs(batch)
    dropped = torch.stack(read)
    assert 0 < dropped[0].sum() < 8 and torch.equal(dropped, dropped[:1].expand_as(dropped))
    first = motifs(batch).objects
    assert not torch.allclose(first, motifs(batch).objects)
    motifs.eval()
    torch.testing.assert_close(motifs(batch).objects, motifs(batch).objects)


@pytest.mark.parametrize("text", [0, 5])
def test_a_sum_of_two_layers_is_one_layer_on_the_concatenation(text):
    torch.manual_seed(0)
    motifs = Motifs(replace(SIZES, text=text), SMALL.model_copy(update={"relation": "sum", "union": "none"})).eval()
    batch = with_all_pairs([some_regions(4, 2)])
    if text:
        motifs.predicates.set_names(torch.randn(3, text))
        motifs.predicates.bonus += 0.5
    hidden = {}
    motifs.edge_context.register_forward_hook(lambda _, __, output: hidden.update(edges=output))
    predicates = motifs(batch).predicates
    states = hidden["edges"][0, motifs._order(batch)[0].argsort()]
    subject, object_ = motifs.ends(states).split(8, -1)
    weight = torch.cat([motifs.subject.weight, motifs.object.weight], 1)
    _, i, j = batch.pairs.unbind(1)
    joined = torch.cat([subject[i], object_[j]], 1) @ weight.T + motifs.object.bias
    torch.testing.assert_close(predicates, motifs.predicates(joined))


@pytest.mark.parametrize("relation", ["product", "sum"])
def test_pairs_in_parts_are_pairs_at_once(relation, monkeypatch):
    motifs, batch = model(relation=relation), with_all_pairs([some_regions(5, 1), some_regions(3, 2)])
    expected = motifs(batch).predicates  # with gradients: all at once
    monkeypatch.setattr(Motifs, "pairs_at_once", 4)
    with torch.no_grad():
        torch.testing.assert_close(motifs(batch).predicates, expected)


def test_what_the_batch_norm_learns_of_boxes_is_not_of_padding():
    means = []
    for images in ([some_regions(6, 1), some_regions(2, 2)], [some_regions(2, 2), some_regions(6, 1)]):
        motifs = model(**AS_RELEASED).train()
        motifs(collate(images, [np.zeros(len(r), int) for r in images]))
        means.append(motifs.geometry[1].running_mean.clone())
    motifs = model(**AS_RELEASED).train()
    regions = [some_regions(6, 1), some_regions(2, 2)]
    boxes = torch.cat([box_geometry(collate([r]))[0] for r in regions])
    motifs.geometry(boxes)
    for mean in means:
        torch.testing.assert_close(mean, motifs.geometry[1].running_mean)


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


def test_sequences_are_ordered_as_asked():
    # Scores .2, .9, .5; centres 30, 20, 10; areas 100, 400, 900.
    boxes = np.array([[25, 0, 35, 10], [10, 0, 30, 20], [-5, 0, 25, 30]], np.float32)
    regions = Regions(boxes, np.zeros(3, int), np.array([0.2, 0.9, 0.5]), np.zeros((3, 6)), (50, 50))
    batch = collate([regions])
    orders = {"confidence": [1, 2, 0], "left-right": [2, 1, 0], "right-left": [0, 1, 2], "size": [2, 1, 0]}
    assert {order: model(order=order)._order(batch)[0].tolist() for order in orders} == orders
    random = model(order="random")
    assert random._order(batch).tolist() == random._order(batch).tolist()
    random.train()
    assert len({tuple(random._order(batch)[0].tolist()) for _ in range(40)}) == 6


def test_the_edge_context_reads_suppressed_labels_at_inference_only():
    regions = some_regions(6, 8)
    regions = replace(regions, boxes=np.repeat(regions.boxes[:2], 3, 0))  # three boxes a place
    batch, heard = collate([regions]), {}
    motifs = model(nms_threshold=0.5)
    motifs.label.register_forward_hook(lambda _, given, __: heard.update(labels=given[0]))
    logits = motifs(batch).objects
    order = motifs._order(batch)[0]
    decoded = decode_labels(logits.softmax(-1), batch.boxes, batch.mask, 0.5)[0, order]
    assert heard["labels"][0].tolist() == decoded.tolist()
    assert decoded.tolist() != (logits[..., 1:].argmax(-1) + 1)[0, order].tolist()
    motifs(replace(batch, targets=torch.full((1, 6), 3)))
    assert heard["labels"][0].tolist() == [3] * 6


@pytest.mark.parametrize("seen", [False, True])
def test_the_decoder_sees_the_regions_where_asked(seen):
    # With its weights on the context silenced, only the region beside it can make two images differ.
    motifs = model(decoder_features=seen)
    motifs.decoder.weight_ih_l0.data[:, :8] = 0
    told, logits = torch.full((1, 4), 2), []
    for seed in (9, 10):
        batch = replace(collate([some_regions(4, seed)]), targets=told)
        logits.append(motifs(batch).objects[0, motifs._order(batch)[0]])
    assert torch.allclose(*logits) is not seen


@pytest.mark.parametrize("union", ["none", "spatial"])
def test_only_the_union_knows_where_boxes_lie_to_each_other(union):
    # The same regions, the second moved: with all geometry of single boxes silenced, only the union may notice.
    motifs = model(union=union)
    torch.nn.init.zeros_(motifs.geometry[0].weight)
    regions = some_regions(2, 11)
    moved = regions.boxes.copy()
    moved[1] += 30
    pairs = torch.tensor([[0, 0, 1], [0, 1, 0]])
    outputs = [
        motifs(replace(collate([replace(regions, boxes=b)]), pairs=pairs)).predicates for b in (regions.boxes, moved)
    ]
    assert torch.allclose(*outputs) is (union == "none")


def test_an_unknown_key_is_named():
    with pytest.raises(ValidationError):
        MotifsConfig(hiden=3)


def test_dropout_of_the_highway_decoder_needs_one():
    with pytest.raises(ValidationError, match="set decoder to highway"):
        MotifsConfig(dropout_on="decoder")
