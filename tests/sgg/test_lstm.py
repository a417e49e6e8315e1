"""The LSTM inside autocast: on a machine that has none in reduced precision, and on a processor without AVX-512."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_regions import SIZES
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

from groundgraph.sgg import lstm as layer
from groundgraph.sgg.lstm import Lstm, precision_of, runs_lstm
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


@pytest.mark.parametrize("packed", [False, True])
def test_it_runs_in_fp32_where_there_is_no_other(without, packed):
    torch.manual_seed(0)
    lstm, values = Lstm(4, 3, batch_first=True, bidirectional=True), torch.rand(2, 5, 4)
    state = (torch.rand(2, 2, 3), torch.rand(2, 2, 3))
    given = pack_padded_sequence(values, torch.tensor([5, 3]), batch_first=True) if packed else values
    expected, last = lstm(given, state)
    half = tuple(s.bfloat16() for s in state) if not packed else state
    with torch.autocast("cpu", torch.bfloat16):
        found, after = lstm(given.to(torch.bfloat16), half)
    assert not runs_lstm("cpu", torch.bfloat16)
    if packed:
        found, expected = found.data, expected.data
    for a, b in ((found, expected), *zip(after, last, strict=True)):
        assert a.dtype == torch.float32 and torch.allclose(a, b, atol=0.02)
    found.sum().backward()
    assert lstm.weight_ih_l0.grad.dtype == torch.float32 and lstm.weight_ih_l0.grad.abs().sum() > 0


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
    for layers in (1, 2):
        model = Motifs(SIZES, MotifsConfig(hidden=8, pair=8, embedded=4, layers=layers))
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
