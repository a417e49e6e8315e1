"""Who extracts what is known of every image by itself. A new engine is one file and one line in ENGINES."""

from __future__ import annotations

import importlib
from contextlib import AbstractContextManager, nullcontext

from groundgraph.engine.run import Engine
from groundgraph.errors import InputError

# name -> where its class is, made from an address; imported when asked for, since it brings a library of its own.
ENGINES = {"ray": "groundgraph.engine.ray_engine:RayEngine"}


def open_engine(name: str | None, address: str | None = None) -> AbstractContextManager[Engine | None]:
    """The engine of that name, for a `with` block; None: this process itself.

    Raises InputError for an unknown name, an address without an engine, or where the engine's library is missing.
    """
    if name is None:
        if address:
            raise InputError(f"--address {address} is an engine's: add --engine ray")
        return nullcontext()
    if name not in ENGINES:
        raise InputError(f"there is no engine {name!r}: choose one of {', '.join(ENGINES)}")
    module, kind = ENGINES[name].split(":")
    return getattr(importlib.import_module(module), kind)(address)
