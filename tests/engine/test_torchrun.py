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
LEARNT = ("sgg-two-teachers", "grounding-two-teachers", "grounding-pairs", "sgg-sgnls", "sgg-pairs")
SYSTEMS = [
    "data.train=40", "data.validation=8", "data.test=16", "system=[lsws, vspnet]", "systems.lsws.dropout=0",
    "systems.lsws.context_dropout=0", "systems.vspnet.dropout=0", "systems.lsws.training.epochs=2",
    "systems.vspnet.training.epochs=2",
]  # fmt: skip
WHOLE = ("sgg-lsws", "sgg-vspnet")
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


def run(folder, *launcher, settings=SMALL):
    words = [sys.executable, *launcher, "-m", "groundgraph", "run", "demo", "--out", folder]
    return subprocess.run(
        [*words, *(word for setting in settings for word in ("--set", setting))],
        env=os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"},
        cwd=folder.parent,
        capture_output=True,
        text=True,
        timeout=900,
    )


@pytest.mark.slow
@pytest.mark.parametrize(("settings", "trained", "tolerance"), [(SMALL, LEARNT, 1e-5), (SYSTEMS, WHOLE, 1e-3)])
def test_two_processes_run_a_recipe_as_one_does(tmp_path, settings, trained, tolerance):
    two = run(tmp_path / "two", *TORCHRUN, settings=settings)
    assert two.returncode == 0, two.stdout + two.stderr
    assert two.stdout.count(f"done {trained[0]}") == 1 and "stages run" in two.stdout
    one = run(tmp_path / "one", settings=settings)
    assert one.returncode == 0, one.stdout + one.stderr
    for stage in trained:
        curves = [json.loads((tmp_path / name / stage / "curves.json").read_text()) for name in ("one", "two")]
        assert curves[0].keys() == curves[1].keys()
        for name, values in curves[0].items():
            np.testing.assert_allclose(curves[1][name], values, rtol=0, atol=tolerance)
    again = run(tmp_path / "two", *TORCHRUN, settings=settings)
    assert again.returncode == 0 and "nothing had changed" in again.stdout
