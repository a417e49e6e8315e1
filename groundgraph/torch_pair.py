"""torchvision beside torch: imported without torch's compiler, and whether the one was built for the other."""

from __future__ import annotations

import sys
from contextlib import suppress
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from types import ModuleType
from typing import Any

from groundgraph.errors import InputError

_COMPILER, _ASKED = "torch._dynamo", "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision without `torch._dynamo`, a second of imports that finding regions never uses.

    `torchvision.ops.roi_align` imports it for one function, by which it asks whether it can be compiled. It gets one
    that imports the compiler when it is called; whatever else torchvision asks of the compiler imports it at once.
    Where torchvision does not load, whoever imports it next says so.
    """
    if _COMPILER in sys.modules or "torchvision.ops" in sys.modules:
        return
    stand_ins = {name: _Later(name) for name in (_COMPILER, _ASKED)}
    sys.modules.update(stand_ins)
    try:
        with suppress(Exception):
            import_module("torchvision.ops")
    finally:
        _withdraw()


class _Later(ModuleType):
    """Stands for a module that is imported when something is asked of it."""

    def __getattr__(self, name: str) -> Any:
        if self.__name__ == _ASKED and name == "is_compile_supported":
            return lambda *arguments: import_module(_ASKED).is_compile_supported(*arguments)
        if name.startswith("__"):  # what the import system itself asks
            raise AttributeError(name)
        _withdraw()
        return getattr(import_module(self.__name__), name)


def _withdraw() -> None:
    for name in (_COMPILER, _ASKED):
        if isinstance(sys.modules.get(name), _Later):
            del sys.modules[name]


def check_torchvision() -> None:
    """Raise InputError, with the fix, where torchvision's compiled operators do not load beside this torch.

    It imports both, which takes seconds where nothing has yet.
    """
    try:
        import torch
        from torchvision.ops import nms

        nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    except Exception as error:  # an ImportError, an OSError, a RuntimeError: each pair of builds fails in its own way
        pair = " and ".join(f"{name} {_installed(name)}" for name in ("torch", "torchvision"))
        raise InputError(
            f"{pair} are no pair: torchvision's compiled operators do not load beside this torch ({error}). Install "
            "both from one index: pip install --force-reinstall torch torchvision (for the small CPU build with "
            "--index-url https://download.pytorch.org/whl/cpu)"
        ) from error


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "(not installed)"
