"""A torchvision that was not built for the torch beside it is named, with the fix, whatever it made fail."""

import os
import subprocess
import sys

import pytest

from groundgraph.torch_pair import check_torchvision

# How such a pair fails: at import (no operators, another ABI), or not before an operator is called.
BROKEN = {
    "operators": ("__init__.py", "raise RuntimeError('operator torchvision::nms does not exist')"),
    "library": ("__init__.py", "raise ImportError('undefined symbol: _ZN3c106detail23torchInternalAssertFail')"),
    "late": ("ops.py", "def nms(*_):\n    raise RuntimeError('Could not load custom C++ ops')"),
}


def python(tmp_path, broken, *words):
    """Run Python where torchvision is broken in one of the ways."""
    name, text = BROKEN[broken]
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").touch()
    (tmp_path / "torchvision" / name).write_text(text)
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.run(
        [sys.executable, *map(str, words)], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )


def test_a_pair_that_fits_passes():
    check_torchvision()


@pytest.mark.parametrize("broken", BROKEN)
def test_the_command_line_says_so_in_one_line(tmp_path, broken):
    done = python(tmp_path, broken, "-m", "groundgraph", "demo", "--out", tmp_path / "run")
    lines = done.stdout.strip().splitlines()
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    assert lines[-1].startswith("error torch ") and "pip install --force-reinstall torch torchvision" in lines[-1]


def test_python_is_told_by_the_detector(tmp_path):
    code = "from groundgraph.vision import load_detector; load_detector('torchvision', 'bundled:detector')"
    done = python(tmp_path, "operators", "-c", code)
    assert "InputError: torch " in done.stderr and "--force-reinstall" in done.stderr.splitlines()[-1]


def test_importing_groundgraph_is_cheap():
    code = "import groundgraph, sys; sys.exit(any(name in sys.modules for name in ('torch', 'torchvision', 'numpy')))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


LEAN = """
import sys
from groundgraph.vision import load_detector
load_detector("torchvision", "bundled:detector")
assert "torchvision.ops" in sys.modules and "torch._dynamo" not in sys.modules, "torch's compiler was imported"
asked = sys.modules["torchvision.ops.roi_align"].__dict__.get("is_compile_supported")
assert asked is None or isinstance(asked("cpu"), bool)
import torch._dynamo.utils  # and it can be, afterwards
assert torch._dynamo.utils.is_compile_supported("cpu") in (True, False)
"""


def test_a_detector_is_loaded_without_torch_s_compiler():
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
