"""Who computes what is known of every image by itself. A new executor is one file and one line in EXECUTORS."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext

from groundgraph.engine.run import Executor
from groundgraph.errors import InputError

# name -> "module:class", made from an address; imported when asked for, since it brings a library, an extra of its name
EXECUTORS = {"ray": "groundgraph.engine.executors.ray:RayExecutor"}


def open_executor(name: str | None, address: str | None = None) -> AbstractContextManager[Executor | None]:
    """The executor of a name, for a `with` block.

    Args:
        name: In EXECUTORS; None: this process itself.
        address: Of the executor's cluster; None: one of its own.

    Raises:
        InputError: For an unknown name, an address without an executor, or where the executor's library is missing.
    """
    if name is None:
        if address:
            raise InputError(f"--address {address} is an engine's: add --engine ray")
        return nullcontext()
    if name not in EXECUTORS:
        raise InputError(f"there is no engine {name!r}: choose one of {', '.join(EXECUTORS)}")
    module, kind = EXECUTORS[name].split(":")
    try:
        executor: AbstractContextManager[Executor] = getattr(importlib.import_module(module), kind)(address)
    except ImportError as error:
        raise InputError(f"--engine {name} needs {error.name}: pip install 'groundgraph[{name}]'") from error
    return executor
