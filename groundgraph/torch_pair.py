"""Whether torchvision was built for the torch beside it; a pair that was not fails far from its cause."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from groundgraph.errors import InputError


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
