"""`groundgraph app` on the command line."""

import os
import signal
import sys

import pytest
from typer.testing import CliRunner

from groundgraph.app import serving
from groundgraph.cli import app


@pytest.fixture
def environment(monkeypatch):
    """What serving sets for its process is as before after the test."""
    for name in ("GRADIO_ANALYTICS_ENABLED", "GRADIO_TEMP_DIR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    return monkeypatch


def test_without_gradio_it_says_how_to_get_it(environment):
    environment.setitem(sys.modules, "gradio", None)
    environment.delitem(sys.modules, "groundgraph.app.page", raising=False)
    result = CliRunner().invoke(app, ["app"])
    assert result.exit_code == 2 and "pip install 'groundgraph[app]'" in " ".join(result.output.split())


def test_a_model_is_given_by_name(environment):
    calls = []
    environment.setattr(serving, "serve", lambda *words: calls.append(words))
    assert CliRunner().invoke(app, ["app", "runs/a", "--method", "pairs", "--device", "cpu"]).exit_code == 0
    assert calls == [("runs/a", "pairs", "cpu")]
