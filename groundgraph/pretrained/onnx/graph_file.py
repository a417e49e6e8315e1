"""A network as an ONNX file, and whether ONNX Runtime gives what PyTorch gives."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from groundgraph.data.files import atomic_write
from groundgraph.errors import InputError

OPSET = 18
TOLERANCE = 1e-4  # see `difference`


def require_onnx() -> None:
    """Raises InputError, naming the extra, where what writes and checks ONNX is not installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as error:
        raise InputError(f'--onnx needs {error.name}: pip install "groundgraph[onnx]"') from error


class OneImage(nn.Module):
    """A network that reads one image's tensors, and what its file calls them.

    Attributes:
        inputs: Names of what its forward takes, in order.
        outputs: Names of what it gives.
        axes: Of some of these, the axes that may have any length, and what they count.
    """

    inputs: tuple[str, ...]
    outputs: ClassVar[tuple[str, ...]]
    axes: ClassVar[Mapping[str, Mapping[int, str]]]


def write_graph(network: OneImage, file: Path, examples: Sequence[Sequence[Tensor]]) -> dict[str, Any]:
    """Write a network as ONNX.

    It is traced (torch's exporter by TorchScript, which torchvision's detectors are made for and which keeps loops).

    Args:
        network: In eval mode.
        file: Where to.
        examples: Inputs; by the first it is traced, with all of them ONNX Runtime is compared with PyTorch.

    Returns:
        "file", "inputs" and "outputs" with their type and shape, "megabytes", "largest difference" of any output.

    Raises:
        InputError: It cannot be exported, or the file gives other numbers; the message says why.
    """
    names = (*network.inputs, *network.outputs)
    try:
        with _quietly(), _more_operations(), atomic_write(file) as temporary:
            torch.onnx.export(
                network,
                tuple(examples[0]),
                str(temporary),
                dynamo=False,
                opset_version=OPSET,
                input_names=list(network.inputs),
                output_names=list(network.outputs),
                dynamic_axes={name: dict(own) for name, own in network.axes.items() if name in names},
            )
    except Exception as error:  # the exporter raises whatever the operation in its way does
        raise InputError(f"torch.onnx cannot export it ({type(error).__name__}: {_first_line(error)})") from error
    try:
        return _checked(network, file, examples)
    except InputError:
        file.unlink()
        raise


def session_of(file: Path, threads: int = 0) -> Any:
    """An ONNX Runtime session on the processor; 0 threads: as many as it likes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4  # what fails is raised
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _checked(network: OneImage, file: Path, examples: Sequence[Sequence[Tensor]]) -> dict[str, Any]:
    """What `write_graph` returns of a file, where it gives what the network gives."""
    try:
        session = session_of(file, threads=1)
        largest = 0.0
        for example in examples:
            with torch.no_grad():
                expected = network(*example)
            expected = (expected,) if isinstance(expected, Tensor) else expected
            own = session.run(None, {name: value.numpy() for name, value in zip(network.inputs, example, strict=True)})
            for values, tensor in zip(own, expected, strict=True):
                largest = max(largest, difference(values, tensor.numpy()))
    except Exception as error:  # ONNX Runtime's own kinds
        raise InputError(f"ONNX Runtime cannot run it ({_first_line(error)})") from error
    if not largest <= TOLERANCE:
        raise InputError(
            f"ONNX Runtime's outputs differ from PyTorch's by up to {largest:.2g}, of inputs of other sizes perhaps"
        )
    described = {
        kind: {value.name: [value.type.removeprefix("tensor(").rstrip(")"), *value.shape] for value in values}
        for kind, values in (("inputs", session.get_inputs()), ("outputs", session.get_outputs()))
    }
    size = round(file.stat().st_size / 1e6, 3)
    return {"file": file.name, **described, "megabytes": size, "largest difference": largest}


def difference(values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference of two arrays, in shares of the largest number where that is above 1.

    Where shapes differ it is infinite.
    """
    if values.shape != expected.shape:
        return float("inf")
    first, second = values.astype(np.float64), expected.astype(np.float64)
    return float(np.abs(first - second).max(initial=0) / np.abs(second).max(initial=1))


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporter says of every shape that it takes for a number, and of being deprecated."""
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        level = logging.root.manager.disable
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(level)


@contextmanager
def _more_operations() -> Iterator[None]:
    """Let the exporter know an operation that it lacks."""

    def logaddexp(graph: Any, first: Any, second: Any) -> Any:
        largest = graph.op("Max", first, second)
        rest = (graph.op("Exp", graph.op("Sub", value, largest)) for value in (first, second))
        return graph.op("Add", largest, graph.op("Log", graph.op("Add", *rest)))

    torch.onnx.register_custom_op_symbolic("aten::logaddexp", logaddexp, OPSET)
    try:
        yield
    finally:
        torch.onnx.unregister_custom_op_symbolic("aten::logaddexp", OPSET)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [""])[0]
