"""LSTMs over sequences of several lengths, inside autocast on every processor, and the step of a decoder.

oneDNN, which torch hands an LSTM on a CPU, takes padded sequences only: of packed ones torch multiplies place after
place itself. And it has no LSTM in bf16 for processors without AVX-512, where it raises "could not create a primitive
descriptor".
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, linear, pad
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from groundgraph.models.device import DTYPES


class Lstm(nn.LSTM):
    """torch's, batch first, for padded sequences; in fp32 inside autocast where the machine has none in its type."""

    def forward(self, values: Tensor, lengths: Tensor) -> Tensor:  # type: ignore[override]
        """Read sequences.

        Args:
            values: [B, V, width], padding last.
            lengths: [B] int64 on the CPU, how many places of each are real.

        Returns:
            Outputs [B, V, hidden x directions]; those of padding mean nothing.
        """
        device = values.device.type
        if not torch.is_autocast_enabled(device) or runs_lstm(device, torch.get_autocast_dtype(device)):
            return self._read(values, lengths).contiguous()  # else dropout draws its mask in another order
        with torch.autocast(device, enabled=False):
            return self._read(values.to(torch.float32), lengths).contiguous()

    def _read(self, values: Tensor, lengths: Tensor) -> Tensor:
        if not self.bidirectional or int(lengths.min()) == values.shape[1]:
            return super().forward(values)[0]  # a forward direction has read all that is real before padding comes
        if values.device.type != "cpu":  # cuDNN has packed sequences of its own
            packed = pack_padded_sequence(values, lengths, batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(super().forward(packed)[0], batch_first=True, total_length=values.shape[1])[0]
        # The backward direction reads every sequence from its own end: as a forward one, of reversed inputs.
        place, length = torch.arange(values.shape[1]), lengths[:, None]
        order = torch.where(place < length, length - 1 - place, place)[..., None]
        for layer in range(self.num_layers):
            if layer:
                values = dropout(values, self.dropout, self.training)
            backwards = self._direct(values.gather(1, order.expand_as(values)), f"l{layer}_reverse")
            backwards = backwards.gather(1, order.expand_as(backwards))
            values = torch.cat([self._direct(values, f"l{layer}"), backwards], -1)
        return values

    def _direct(self, values: Tensor, direction: str) -> Tensor:
        """One layer's one direction over [B, V, width]: [B, V, hidden]."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights: list[Tensor] = [self.get_parameter(f"{name}_{direction}") for name in names]
        start = values.new_zeros(1, len(values), self.hidden_size)
        # layers, dropout between them, training, bidirectional, batch first
        return torch._VF.lstm(values, (start, start), weights, True, 1, 0.0, self.training, False, True)[0]

    def enters(self) -> tuple[Tensor, Tensor]:
        """The weight [G, width] and the bias [G] of what enters a step from outside, of a forward LSTM of one layer."""
        get = self.get_parameter
        return get("weight_ih_l0"), get("bias_ih_l0") + get("bias_hh_l0")

    def step(self, entered: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One step of it: what entered [B, G], the last output and cell [B, hidden] -> the next ones."""
        return lstm_step(entered, hidden, cell, self.step_weight())

    def step_weight(self) -> Tensor:
        """What a step multiplies the last output by, [4 hidden, hidden]."""
        return self.get_parameter("weight_hh_l0")


class HighwayLstm(nn.Module):
    """An LSTM whose gate lets its inputs pass beside the cell, which decodes labels in Neural Motifs.

    Source: Zellers et al. 2018 (after Srivastava et al. 2015); started as released, with biases of 0.

    Args:
        width: Of its inputs.
        hidden: Of its outputs.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.input, self.state = nn.Linear(width, 6 * hidden), nn.Linear(hidden, 5 * hidden)
        nn.init.zeros_(self.input.bias)
        nn.init.zeros_(self.state.bias)

    def enters(self) -> tuple[Tensor, Tensor]:
        """The weight [G, width] and the bias [G] of what enters a step from outside."""
        return self.input.weight, self.input.bias + pad(self.state.bias, (0, self.state.in_features))

    def step(self, entered: Tensor, hidden: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
        """One step of it: what entered [B, G], the last output and cell [B, hidden] -> the next ones."""
        return highway_step(entered, hidden, cell, self.step_weight())

    def step_weight(self) -> Tensor:
        """What a step multiplies the last output by, [5 hidden, hidden]."""
        return self.state.weight


def lstm_step(entered: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A step of an LSTM; TorchScript reads it too.

    Args:
        entered: [B, 4 hidden], what entered from outside.
        hidden: [B, hidden], the last output.
        cell: [B, hidden], the last cell.
        weight: [4 hidden, hidden], of the last output.

    Returns:
        The next output and cell.
    """
    enter, keep, new, out = (entered + linear(hidden, weight)).chunk(4, -1)
    cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
    return out.sigmoid() * cell.tanh(), cell


def highway_step(entered: Tensor, hidden: Tensor, cell: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """A step of a highway LSTM; arguments as of `lstm_step`, with [B, 6 hidden] and [5 hidden, hidden]."""
    gates, passing = entered.split([weight.shape[0], weight.shape[1]], -1)
    enter, keep, new, out, highway = (gates + linear(hidden, weight)).chunk(5, -1)
    cell = keep.sigmoid() * cell + enter.sigmoid() * new.tanh()
    highway = highway.sigmoid()
    return highway * (out.sigmoid() * cell.tanh()) + (1 - highway) * passing, cell


@cache
def runs_lstm(device: str, dtype: torch.dtype) -> bool:
    """Whether torch runs an LSTM and its gradient on a kind of device inside autocast of a type; tried once."""
    with torch.random.fork_rng([]):
        lstm = nn.LSTM(8, 8, bidirectional=True)
    values = torch.zeros(2, 3, 8, device=device)
    try:
        with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, dtype):
            lstm = lstm.to(device)
            lstm(values)[0].sum().backward()
            with torch.no_grad():
                lstm(values)
    except RuntimeError:
        return False
    return True


def precision_of(model: nn.Module, precision: str, device: torch.device) -> str:
    """What a model's layers run in when autocast's type is `precision` (fp32, bf16, fp16), for a run's record."""
    recurrent = any(isinstance(module, Lstm) for module in model.modules())
    if precision == "fp32" or not recurrent or runs_lstm(device.type, DTYPES[precision]):
        return precision
    return f"{precision}, LSTMs in fp32"
