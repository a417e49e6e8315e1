"""What a benchmark needs and does not find is one line and exit code 2."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from groundgraph.errors import InputError

EXTRAS = {
    "ray": "pip install -e '.[ray]'",
    "sng_parser": "pip install -e '.[bench]'",
}  # an import's name: what brings it


@contextmanager
def needs() -> Iterator[None]:
    """End the script where its block misses a file, a package or a system's call."""
    try:
        yield
    except ModuleNotFoundError as error:
        _stop(f"the package {error.name} is not installed: {EXTRAS.get(error.name, f'pip install {error.name}')}")
    except (InputError, OSError) as error:
        _stop(error)


def require(there: bool, why: str) -> None:
    """End the script with `why` where something is not there."""
    if not there:
        _stop(why)


def _stop(why: object) -> None:
    print(f"{sys.argv[0]}: {why}", file=sys.stderr)
    raise SystemExit(2)
