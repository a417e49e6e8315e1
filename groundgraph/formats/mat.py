"""MATLAB's files of strangers, read or told what is wrong with them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from groundgraph.data.fetched import check_fetched
from groundgraph.errors import InputError

_TRIAL = "import sys; from scipy.io import loadmat; loadmat(sys.argv[1], variable_names=sys.argv[2:])"


def load_mat(path: Path, names: Sequence[str], simplified: bool = False) -> dict[str, Any]:
    """Variables of a file by name; those that it lacks are not there.

    Args:
        path: Of MATLAB's versions 4 to 7.2.
        names: Of the variables.
        simplified: Structures as dicts and arrays of them as lists, else as `scipy.io.loadmat` has them.

    Raises:
        InputError: It is absent, damaged or of MATLAB 7.3; names file and fix.
    """
    from scipy.io import loadmat

    check_fetched(path)
    # SciPy follows a damaged file's lengths wherever they lead; what that ends is another process.
    trial = [sys.executable, "-c", _TRIAL, os.path.abspath(path), *names]
    if path.is_file() and subprocess.run(trial, capture_output=True, check=False).returncode < 0:
        raise InputError(f"{path}: no MATLAB file that can be read (reading it crashes); fetch it again")
    try:
        content: dict[str, Any] = loadmat(path, variable_names=names, simplify_cells=simplified)
    except NotImplementedError as error:
        raise InputError(f"{path}: of MATLAB 7.3, which is not read; save it with save(..., '-v7')") from error
    except Exception as error:  # its reader raises whatever a damaged file leads it to
        raise InputError(f"{path}: no MATLAB file that can be read ({error}); fetch it again") from error
    return content
