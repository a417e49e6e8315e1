"""LSTMs: padded sequences and packed ones, a decoder's steps, and machines without one in reduced precision."""

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_regions import SIZES
from torch import nn
from torch.nn.functional import linear
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from groundgraph.sgg import lstm as layer
from groundgraph.sgg.lstm import HighwayLstm, Lstm, precision_of, runs_lstm
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.uniter import Uniter, UniterConfig

CPU = torch.device("cpu")
SMALL = MotifsConfig(hidden=8, pair=8, embedded=4)


@pytest.fixture
def without(monkeypatch):
    """A machine that has no LSTM in reduced precision: torch's raises as oneDNN's does."""

    def forward(self, values, state=None):
        if torch.is_autocast_enabled("cpu"):
            raise RuntimeError("could not create a primitive descriptor for the LSTM forward propagation primitive")
        return torch_forward(self, values, state)

    torch_forward = nn.LSTM.forward
    runs_lstm.cache_clear()
    monkeypatch.setattr(nn.LSTM, "forward", forward)
    yield
    runs_lstm.cache_clear()


@pytest.mark.parametrize("lengths", [(5, 5), (5, 3)])
def test_it_runs_in_fp32_where_there_is_no_other(without, lengths):
    torch.manual_seed(0)
    lstm, values, lengths = Lstm(4, 3, batch_first=True, bidirectional=True), torch.rand(2, 5, 4), torch.tensor(lengths)
    expected = lstm(values, lengths)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = lstm(values.to(torch.bfloat16), lengths)
    assert not runs_lstm("cpu", torch.bfloat16)
    assert outputs.dtype == torch.float32 and torch.allclose(outputs, expected, atol=0.02)
    outputs.sum().backward()
    assert lstm.weight_ih_l0.grad.dtype == torch.float32 and lstm.weight_ih_l0.grad.abs().sum() > 0


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("both", [True, False])
@pytest.mark.parametrize("lengths", [(7, 7, 7), (3, 7, 1), (7, 6, 6)])
def test_padded_sequences_give_what_packed_ones_do(lengths, both, layers):
    torch.manual_seed(0)
    lstm = Lstm(6, 8, layers, batch_first=True, bidirectional=both)
    values, lengths = torch.randn(3, 7, 6, requires_grad=True), torch.tensor(lengths)
    mask = torch.arange(7) < lengths[:, None]
    weight = torch.randn(3, 7, 16 if both else 8)

    def gradients(outputs):
        lstm.zero_grad()
        values.grad = None
        (outputs * weight)[mask].sum().backward()
        return [values.grad, *(p.grad for p in lstm.parameters())]

    packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
    expected = pad_packed_sequence(nn.LSTM.forward(lstm, packed)[0], batch_first=True)[0]
    outputs = lstm(values, lengths)
    torch.testing.assert_close(outputs[mask], expected[mask], atol=1e-6, rtol=1e-6)
    for own, other in zip(gradients(outputs), gradients(expected), strict=True):
        torch.testing.assert_close(own, other, atol=4e-7 * max(1.0, other.abs().max().item()), rtol=1e-5)


def test_layers_of_ragged_sequences_drop_entries_in_training_alone():
    torch.manual_seed(0)
    lstm = Lstm(4, 3, 2, batch_first=True, bidirectional=True, dropout=0.5)
    values, lengths = torch.randn(2, 5, 4), torch.tensor([5, 2])
    assert not torch.equal(lstm(values, lengths), lstm(values, lengths))
    lstm.eval()
    torch.testing.assert_close(lstm(values, lengths), lstm(values, lengths))


def test_steps_of_a_decoder_are_an_lstm():
    torch.manual_seed(0)
    lstm, values = Lstm(4, 3, batch_first=True), torch.randn(2, 5, 4)
    weight, bias = lstm.enters()
    hidden = cell = torch.zeros(2, 3)
    outputs = []
    for place in range(5):
        hidden, cell = lstm.step(linear(values[:, place], weight, bias), hidden, cell)
        outputs.append(hidden)
    torch.testing.assert_close(torch.stack(outputs, 1), lstm(values, torch.tensor([5, 5])))


def test_a_step_of_a_highway_lstm_by_hand():
    cell_of = HighwayLstm(1, 1)
    # Gates: enter, keep, new, out, highway, and what passes; the state's biases count for all but the last.
    cell_of.input.weight.data[:, 0] = torch.tensor([1.0, 0.0, 2.0, 0.0, 1.0, 3.0])
    cell_of.input.bias.data[:] = torch.tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.5])
    cell_of.state.weight.data[:, 0] = torch.tensor([0.0, 1.0, 0.0, 0.0, -1.0])
    cell_of.state.bias.data[:] = torch.tensor([0.0, 0.0, 0.0, 1.0, 0.0])
    weight, bias = cell_of.enters()
    entered = linear(torch.tensor([[2.0]]), weight, bias)
    assert entered.tolist() == [[2.0, 0.0, 4.0, 1.0, 2.0, 6.5]]
    hidden, cell = cell_of.step(entered, torch.tensor([[0.5]]), torch.tensor([[-1.0]]))

    def sigmoid(x):
        return 1 / (1 + math.exp(-x))

    memory = sigmoid(2) * math.tanh(4) - sigmoid(0.5)
    passed = sigmoid(1.5)
    assert cell.item() == pytest.approx(memory, rel=1e-5)
    assert hidden.item() == pytest.approx(passed * sigmoid(1) * math.tanh(memory) + (1 - passed) * 6.5, rel=1e-5)


def test_the_record_says_what_ran_in_which_precision(without):
    motifs, uniter = Motifs(SIZES, SMALL), Uniter(SIZES, UniterConfig(hidden=8, layers=1, heads=2))
    assert precision_of(motifs, "fp32", CPU) == "fp32"
    assert precision_of(motifs, "bf16", CPU) == "bf16, LSTMs in fp32"
    assert precision_of(uniter, "bf16", CPU) == "bf16"


def test_it_is_tried_once_and_draws_nothing(monkeypatch):
    made = []
    monkeypatch.setattr(layer.nn, "LSTM", lambda *a, **k: made.append(1) or torch.nn.modules.rnn.LSTM(*a, **k))
    runs_lstm.cache_clear()
    before = torch.get_rng_state()
    with torch.no_grad():
        answers = {runs_lstm("cpu", torch.bfloat16) for _ in range(3)}
    assert len(answers) == len(made) == 1 and torch.equal(torch.get_rng_state(), before)


LEARN_AND_DECODE = """
from dataclasses import replace

import numpy as np
import torch
from tiny_regions import SIZES, some_regions

from groundgraph.sgg.batch import collate, ordered_pairs
from groundgraph.sgg.motifs import Motifs, MotifsConfig

assert torch.backends.cpu.get_cpu_capability() != "AVX512"
for dtype in (torch.bfloat16, torch.float16):
    for options in ({"layers": 1}, {"layers": 2}, {"decoder": "highway", "geometry": "batch-norm", "relation": "sum"}):
        model = Motifs(SIZES, MotifsConfig(hidden=8, pair=8, embedded=4, **options))
        for counts in ((3, 3), (3, 2)):  # oneDNN gets sequences of one length only
            images, targets = [some_regions(n, n) for n in counts], [np.arange(n) % 6 for n in counts]
            for told in (targets, None):
                batch = collate(images, told)
                with torch.autocast("cpu", dtype):
                    outputs = model(replace(batch, pairs=ordered_pairs(batch)))
                (outputs.objects.sum() + outputs.predicates.sum()).backward()
                assert all(torch.isfinite(p.grad).all() for p in model.object_context.parameters())
"""


def test_a_processor_without_avx512_learns_and_decodes():
    settings = {"ONEDNN_MAX_CPU_ISA": "AVX2", "ATEN_CPU_CAPABILITY": "avx2"}
    paths = os.pathsep.join([str(Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, "-c", LEARN_AND_DECODE],
        env=os.environ | settings | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
