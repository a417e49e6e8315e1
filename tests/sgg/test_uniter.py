"""Uniter: shapes, padding, what its tokens are, and a pair's own sequence."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from tiny_regions import SIZES, some_regions

from groundgraph.data.types import Regions
from groundgraph.sgg import SGG_MODELS, new_model
from groundgraph.sgg.batch import collate, ordered_pairs
from groundgraph.sgg.uniter import Uniter, UniterConfig, uniter_geometry

SMALL = UniterConfig(hidden=8, heads=2, intermediate=16, positions=24, dropout=0.0)


def model(**options):
    torch.manual_seed(0)
    return Uniter(SIZES, SMALL.model_copy(update=options)).eval()


def with_all_pairs(regions):
    batch = collate(regions)
    return replace(batch, pairs=ordered_pairs(batch))


def test_shapes_and_the_registry():
    batch = with_all_pairs([some_regions(3, 0), some_regions(1, 1)])
    outputs = SGG_MODELS["uniter"](SIZES, SMALL)(batch)
    assert outputs.objects.shape == (2, 3, 6)
    assert outputs.predicates.shape == (6, 4)
    assert model()(replace(batch, pairs=None)).predicates.shape == (0, 4)
    assert isinstance(new_model(SMALL, SIZES), Uniter)
    assert len(model().encoder.layer) == 2
    assert len(model(layers=3).encoder.layer) == 3


@pytest.mark.parametrize("sequence", ["image", "pair"])
def test_padding_and_company_change_nothing(sequence, monkeypatch):
    monkeypatch.setattr(Uniter, "sequences", 5)  # pairs are read in pieces
    images = [some_regions(n, n) for n in (4, 1, 7)]
    uniter = model(sequence=sequence)
    together = with_all_pairs(images)
    outputs = uniter(together)
    for i, regions in enumerate(images):
        single = uniter(with_all_pairs([regions]))
        torch.testing.assert_close(outputs.objects[i, : len(regions)], single.objects[0], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(
            outputs.predicates[together.pairs[:, 0] == i], single.predicates, atol=1e-5, rtol=1e-4
        )


def test_geometry_by_hand():
    regions = Regions(
        np.array([[10, 20, 60, 40]], np.float32), np.zeros(1, int), np.ones(1), np.zeros((1, 6)), (100, 80)
    )
    wanted = [0.1, 0.25, 0.6, 0.5, 0.5, 0.25, 0.125]
    assert uniter_geometry(collate([regions]))[0, 0].tolist() == pytest.approx(wanted)


def heard(uniter, batch):
    """Every sequence that the encoder reads: its tokens and its mask."""
    read = []
    hook = uniter.encoder.register_forward_pre_hook(
        lambda _, given, named: read.append((given[0], named["attention_mask"][:, 0, 0])), with_kwargs=True
    )
    uniter(batch)
    hook.remove()
    return read


def token(uniter, word, position):
    """A text token made by hand."""
    e = uniter.embeddings
    total = e.word_embeddings.weight[word] + e.position_embeddings.weight[position] + e.token_type_embeddings.weight[0]
    return e.LayerNorm(total)


def region_tokens(uniter, batch, kind):
    """Image tokens made by hand, all of one type."""
    e = uniter.img_embeddings
    seen = e.img_layer_norm(e.img_linear(batch.features)) + e.pos_layer_norm(e.pos_linear(uniter_geometry(batch)))
    return e.LayerNorm(seen + uniter.embeddings.token_type_embeddings.weight[kind])


def test_an_images_sequence_holds_its_names_and_its_regions():
    regions = replace(some_regions(2, 3), labels=np.array([3, -1]))
    batch, uniter = collate([regions, some_regions(3, 4)]), model()
    ((tokens, mask),) = heard(uniter, batch)
    assert mask[0].tolist() == [True, True, True, False, True, True, True, False]
    # 4 categories, then: no category, [CLS], [SEP].
    wanted = [token(uniter, 5, 0), token(uniter, 3, 1), token(uniter, 4, 2), token(uniter, 6, 3)]
    torch.testing.assert_close(tokens[0, [0, 1, 2, 4]], torch.stack(wanted))
    torch.testing.assert_close(tokens[:, 5:], region_tokens(uniter, batch, 1))


def test_a_pairs_sequence_is_subject_mask_object_and_marked_regions():
    regions = replace(some_regions(3, 3), labels=np.array([3, 0, 2]))
    uniter = model(sequence="pair")
    batch = replace(collate([regions]), pairs=torch.tensor([[0, 2, 0]]))
    _, (tokens, mask) = heard(uniter, batch)
    assert mask.tolist() == [[True] * 8]
    wanted = [token(uniter, word, place) for place, word in enumerate([5, 2, 7, 3, 6])]
    torch.testing.assert_close(tokens[0, :5], torch.stack(wanted))
    for place, kind in ((0, 3), (1, 1), (2, 2)):
        torch.testing.assert_close(tokens[0, 5 + place], region_tokens(uniter, batch, kind)[0, place])


def test_a_regions_head_knows_the_name_with_the_detectors_certainty():
    uniter = model()
    table = uniter.embeddings.word_embeddings.weight
    found = uniter._tags(torch.tensor([[1, 4]]), torch.tensor([[0.75, 0.5]]))
    torch.testing.assert_close(found[0], torch.stack([0.75 * table[1] + 0.25 * table[4], table[4]]))


def test_direction_and_the_frequency_bias_reach_the_predicates():
    batch = with_all_pairs([some_regions(2, 5)])
    for sequence in ("image", "pair"):
        forward, backward = model(sequence=sequence, union="none")(batch).predicates
        assert not torch.allclose(forward, backward)
    uniter = model(frequency_bias=True)
    plain = uniter(replace(batch, targets=torch.tensor([[1, 2]]))).predicates
    uniter.frequency.table.data[1, 2, 3] += 2
    biased = uniter(replace(batch, targets=torch.tensor([[1, 2]]))).predicates
    assert (biased - plain).nonzero().tolist() == [[0, 3]]


def test_bad_configurations_and_too_many_regions_are_named():
    for options in ({"hidden": 10}, {"checkpoint": "a.pt"}, {"layer": 2}):
        with pytest.raises(ValidationError):
            UniterConfig(**options)
    with pytest.raises(ValueError, match=r"need 9 positions: set uniter\.positions"):
        model(positions=8)(collate([some_regions(7, 0)]))
