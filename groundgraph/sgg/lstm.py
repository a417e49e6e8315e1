"""An LSTM that runs inside autocast on every processor.

oneDNN, which torch hands an LSTM on a CPU, has none in bf16 for processors without AVX-512, and raises "could not
create a primitive descriptor" there.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from groundgraph.models.device import DTYPES


class Lstm(nn.LSTM):
    """torch's, which runs in fp32 inside autocast where the machine has none in autocast's type."""

    def forward(self, values: Any, state: tuple[Tensor, Tensor] | None = None) -> Any:
        """As torch's: sequences, padded or packed, and a state -> their outputs and the last state."""
        device = next(self.parameters()).device.type
        if not torch.is_autocast_enabled(device) or runs_lstm(device, torch.get_autocast_dtype(device)):
            return super().forward(values, state)
        with torch.autocast(device, enabled=False):
            state = state if state is None else (state[0].float(), state[1].float())
            return super().forward(values.to(torch.float32), state)


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
