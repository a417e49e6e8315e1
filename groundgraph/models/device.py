"""Where models run and in which precision: one answer for all of them.

A GPU is used where there is one. Every model is put on its device when it is made, what goes into it is put there by
whoever calls it, and what comes out is float32 in NumPy's arrays, whatever the model computes in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from groundgraph.errors import InputError

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DEVICES = r"auto|cpu|cuda(:\d+)?|mps"  # what a recipe may say
GPU = "cuda"  # what auto takes where there is one
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def gpu_count() -> int:
    """Return how many GPUs of CUDA (or ROCm, which goes by that name) this process may use."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_of(name: str | torch.device = "auto") -> torch.device:
    """Return the device that a recipe's `device` stands for.

    Args:
        name: auto: a GPU where there is one, else the CPU; cpu; cuda, or cuda:N for one of several; mps (Apple's GPU,
            on request only).

    Raises:
        InputError: There is no such device here.
    """
    if name == "auto":
        return torch.device(GPU if gpu_count() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"device {name}: there is none of that kind; choose auto, cpu, cuda, cuda:N or mps") from error
    if device.type == "cuda" and (device.index or 0) >= gpu_count():
        present = f"only cuda:0 to cuda:{gpu_count() - 1} are here" if gpu_count() else "no GPU is here"
        fix = "its driver is missing, or this torch is built for the CPU" if not gpu_count() else "name one of these"
        raise InputError(f"device {name}: {present} ({fix}); `device: auto` or --device auto takes what there is")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError(f"device {name}: this is no Mac with a GPU that torch can use; take auto or cpu")
    return device


def device_of_model(model: nn.Module) -> torch.device:
    """Return the device of a model's weights, where its inputs go."""
    return next(model.parameters()).device


def dtype_of(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type of a pretrained model's weights on a device.

    Args:
        precision: auto: bfloat16 on a GPU that computes in it, float16 on an older one, float32 elsewhere.
        device: Where the model runs.

    Raises:
        InputError: The precision is unknown, or the device does not compute in it.
    """
    if precision not in get_args(Precision):
        raise InputError(f"precision is {precision!r}: it is one of {', '.join(get_args(Precision))}")
    if precision == "fp16" and device.type == "cpu":
        raise InputError("precision fp16 needs a GPU: use bf16 or fp32 on the CPU")
    if precision != "auto":
        return DTYPES[precision]
    if device.type != "cuda":
        return torch.float32
    return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16


def narrow(module: nn.Module, dtype: torch.dtype) -> None:
    """Make a part of a model compute in a type: floats become that on their way in, and float32 on their way out.

    What is around it goes on in float32, such as coordinates of boxes, of which bfloat16 keeps three digits.

    Args:
        module: The part, changed in place.
        dtype: The type; float32 changes nothing.
    """
    if dtype == torch.float32:
        return
    module.to(dtype)

    def cast(values: Any, dtype: torch.dtype) -> Any:
        return mapped(values, lambda x: x.to(dtype) if x.is_floating_point() else x)

    module.register_forward_pre_hook(
        lambda _module, inputs, named: (cast(inputs, dtype), cast(named, dtype)), with_kwargs=True
    )
    module.register_forward_hook(lambda _module, _inputs, output: cast(output, torch.float32))


def mapped(values: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return `values` with every tensor changed, however deep it lies in tuples, lists and dictionaries."""
    if isinstance(values, Tensor):
        return change(values)
    if isinstance(values, dict):
        changed = {key: mapped(value, change) for key, value in values.items()}
        return changed if type(values) is dict else type(values)(**changed)  # such as transformers' outputs
    if isinstance(values, list | tuple):
        parts = [mapped(value, change) for value in values]
        return type(values)(*parts) if hasattr(values, "_fields") else type(values)(parts)
    return values
