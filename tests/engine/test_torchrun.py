"""A whole run under torchrun: what two processes find is what one does."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("lightning_fabric")
SMALL = [
    "data.train=40", "data.validation=8", "data.test=16", "grounding.dimension=32", "grounding.epochs=2",
    "grounding.dropout=0", "sgg.training.epochs=1", "sgg.motifs.dropout=0",
]  # fmt: skip
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(folder, *launcher):
    words = [sys.executable, *launcher, "-m", "groundgraph", "run", "demo", "--out", folder]
    return subprocess.run(
        [*words, *(word for setting in SMALL for word in ("--set", setting))],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.slow
def test_two_processes_run_a_recipe_as_one_does(tmp_path):
    two = run(tmp_path / "two", *TORCHRUN)
    assert two.returncode == 0, two.stdout + two.stderr
    assert two.stdout.count("done sgg-two-teachers") == 1 and "stages run" in two.stdout
    one = run(tmp_path / "one")
    assert one.returncode == 0, one.stdout + one.stderr
    for stage in ("grounding-two-teachers", "grounding-pairs", "sgg-two-teachers", "sgg-sgnls", "sgg-pairs"):
        curves = [json.loads((tmp_path / name / stage / "curves.json").read_text()) for name in ("one", "two")]
        assert curves[0].keys() == curves[1].keys()
        for name, values in curves[0].items():
            np.testing.assert_allclose(curves[1][name], values, rtol=0, atol=1e-5)
    again = run(tmp_path / "two", *TORCHRUN)
    assert again.returncode == 0 and "nothing had changed" in again.stdout
