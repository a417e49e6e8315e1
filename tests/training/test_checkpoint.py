"""A checkpoint is whole and says so, or is refused by its name."""

import random
from dataclasses import dataclass, field

import pytest
import torch

from groundgraph.training.checkpoint import Parts, kept_at_stop, load_checkpoint, save_checkpoint


@dataclass
class State:
    step: int = 0
    order: list[int] = field(default_factory=list)


def parts():
    stateful = {"model": torch.nn.Linear(50, 50)}
    return Parts(stateful, torch.Generator().manual_seed(3), torch.device("cpu"), {"name": "test"})


def test_a_bit_anywhere_in_the_file_is_noticed_or_does_not_matter(tmp_path):
    path, saved, rng = tmp_path / "training.pt", parts(), random.Random(0)
    save_checkpoint(path, State(5, [2, 1]), saved)
    content, refused = path.read_bytes(), 0
    for _ in range(150):
        harmed = bytearray(content)
        harmed[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        path.write_bytes(harmed)
        loaded = parts()
        try:
            state = load_checkpoint(path, loaded, State)
        except ValueError as error:
            assert str(error).startswith(f"{path} is no readable checkpoint") and "delete it" in str(error)
            refused += 1
            continue
        assert state == State(5, [2, 1])  # a byte that only fills up, or a time
        assert torch.equal(loaded.stateful["model"].weight, saved.stateful["model"].weight)
    assert refused > 75
    path.write_bytes(content[:-30])
    with pytest.raises(ValueError, match="no readable checkpoint"):
        load_checkpoint(path, parts(), State)


def test_a_stop_keeps_where_it_was(tmp_path):
    path, saved = tmp_path / "training.pt", parts()
    for place in (None, path):
        with pytest.raises(KeyboardInterrupt), kept_at_stop(place, State(7), saved):
            raise KeyboardInterrupt
        assert path.exists() == (place is not None)
    assert load_checkpoint(path, saved, State) == State(7)
    path.unlink()
    with pytest.raises(RuntimeError), kept_at_stop(path, State(7), saved):
        raise RuntimeError
    assert not path.exists()
