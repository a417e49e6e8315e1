"""The tiny language models, made once; answers are kept in a folder of the test's own."""

import pytest
from tiny import ANSWERS, save_tiny

from groundgraph.language.llm.prompts import conversation


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    """No test reads or writes the user's answers."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="session")
def taught(tmp_path_factory):
    """A model that answers the captions of ANSWERS."""
    folder = tmp_path_factory.mktemp("taught")
    return save_tiny(folder, {conversation("triplets", caption): answer for caption, answer in ANSWERS.items()})


@pytest.fixture(scope="session")
def untaught(tmp_path_factory):
    """A model of random weights."""
    return save_tiny(tmp_path_factory.mktemp("untaught"))
