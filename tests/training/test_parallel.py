"""What processes do together: rows gathered with their gradients, gradients added up, one's answer told to all."""

import sys

import pytest
import torch
from several import several
from torch import distributed, nn

from groundgraph.training.processes import ALONE, WHOLE, Ranks, Share, divide, is_first, launch

VALUES = torch.arange(10.0).view(5, 2)


def together(ranks):
    """Five rows shared by two processes: 2 and 3."""
    share = Share(ranks, 5)
    rows = VALUES[share.rows].clone().requires_grad_()
    everyone = share.gather(rows)
    # Each process squares all rows, and weighs them by its number: the gradient of a row is 2 x (1 + 2).
    (everyone.square() * (ranks.rank + 1)).sum().backward()
    known = share.gather(torch.tensor([True, False, True])[: len(rows)])

    torch.manual_seed(ranks.rank)
    layers = nn.ModuleList(nn.Linear(2, 1) for _ in range(3))
    ranks.same_start(layers)
    # The first layer learns in both, the second in one, the third in none.
    loss = layers[0](rows.detach()).sum()
    (loss + layers[1](rows.detach()).sum() if ranks.first else loss).backward()
    ranks.add_gradients(layers.parameters())

    ranks.wait()
    generator = torch.Generator().manual_seed(0)
    ranks.seed_dropout(3, 7)
    return {
        "gathered": everyone.detach(),
        "gradient": rows.grad,
        "known": known,
        "start": layers.state_dict(),
        "gradients": [p.grad for p in layers.parameters()],
        "sum": ranks.sum(torch.tensor([ranks.rank + 1])),
        "told": ranks.ask(lambda: f"by {ranks.rank}"),
        "drawn": share.draw(torch.rand, (len(rows), 3), generator),
        "dropout": torch.rand(1),
    }


@pytest.mark.slow
def test_two_processes():
    found = several(2, together)
    for one in found:
        assert torch.equal(one["gathered"], VALUES)
        assert one["known"].tolist() == [True, False, True, False, True]
        assert one["sum"].item() == 3 and one["told"] == "by 0"
        weight, bias, second, second_bias, *none = one["gradients"]
        assert weight.tolist() == [VALUES.sum(0).tolist()] and bias.item() == 5
        assert second.tolist() == [VALUES[:2].sum(0).tolist()] and second_bias.item() == 2
        assert none == [None, None]
        assert all(torch.equal(v, found[0]["start"][k]) for k, v in one["start"].items())
    assert torch.equal(torch.cat([one["gradient"] for one in found]), 2 * VALUES * 3)
    whole = torch.rand(5, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(torch.cat([one["drawn"] for one in found]), whole)
    assert found[0]["dropout"] != found[1]["dropout"]


def test_rows_are_divided_without_a_gap():
    assert divide(slice(2, 9), 3) == [slice(2, 4), slice(4, 6), slice(6, 9)]
    assert divide(slice(0, 1), 2) == [slice(0, 0), slice(0, 1)]
    assert [Ranks(rank, 3).part(4) for rank in range(3)] == divide(slice(0, 4), 3)


def test_one_process_alone_changes_nothing():
    rows = VALUES.clone()
    assert WHOLE.gather(rows) is rows and WHOLE.sum(rows) is rows and torch.equal(WHOLE.of_all(rows), rows)
    assert WHOLE.start == 0 and torch.equal(rows[WHOLE.rows], rows)
    before = torch.get_rng_state()
    ALONE.seed_dropout(1, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert ALONE.first and ALONE.ask(lambda: 5) == 5 and launch() is ALONE


def test_torchrun_without_fabric_is_told_what_to_install(monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ValueError, match=r"pip install 'groundgraph\[cluster\]'"):
        launch()
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert launch() is ALONE


def test_a_torch_without_distributed_is_one_process(monkeypatch):
    monkeypatch.setattr(distributed, "is_available", lambda: False)
    monkeypatch.delattr(distributed, "is_torchelastic_launched")
    assert launch("cpu") == ALONE and is_first()
