"""20,000 damaged and forged files: each gives a value or one error that names it, within bounds of memory and time."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COUNT = 20_000


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the limit of memory is set by what Linux counts")
def test_no_file_runs_crashes_or_exhausts_the_reader(tmp_path):
    here = Path(__file__).parent
    paths = os.pathsep.join([str(here), str(here.parent), os.environ.get("PYTHONPATH", "")])
    ran = subprocess.run(
        [sys.executable, str(here / "fuzzing.py"), str(tmp_path), str(COUNT), "0"],
        capture_output=True,
        text=True,
        timeout=1500,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, f"ended by {ran.returncode}\n{ran.stderr[-4000:]}"
    found = json.loads(ran.stdout.splitlines()[-1])
    print(found)
    assert found["bugs"] == []
    assert sum(sum(kind.values()) for kind in found["kinds"].values()) == COUNT
    assert all(kind["errors"] and kind["values"] for kind in found["kinds"].values())  # neither all nor none is refused
    assert found["peak"] - found["before"] < 2**29  # what the libraries take before is not the files'
