"""A benchmark whose data or optional package is absent says so in one line."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CSV = 'caption,graph\na dog,"( dog , is , big )"\n'


@pytest.mark.parametrize(
    ("words", "absent", "message"),
    [
        (["parsing.py", "nosuch.csv"], (), "nosuch.csv"),
        (["parsing.py", "gold.csv"], ("sng_parser",), "package sng_parser is not installed: pip install -e '.[bench]'"),
        (["evaluation.py", "nosuch.npz"], (), "nosuch.npz"),
        (["store.py", "5", "nosuch"], (), "nosuch"),
        (["feeding.py", "nosuch"], (), "nosuch: no photos"),
        (["packed_onnx.py"], ("onnxruntime",), 'needs onnxruntime: pip install "groundgraph[onnx]"'),
        (["extraction.py", "10"], ("ray",), "package ray is not installed: pip install -e '.[ray]'"),
    ],
)
def test_one_line_and_exit_code_2(tmp_path, words, absent, message):
    (tmp_path / "gold.csv").write_text(CSV)
    for name in absent:
        (tmp_path / f"{name}.py").write_text(f"raise ModuleNotFoundError('No module named {name}', name='{name}')")
    paths = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / words[0]), *words[1:]],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
