"""A small finished run and the model packed from it."""

import pytest
from small_model import SETTINGS, small_packed, small_run


@pytest.fixture
def settings():
    return SETTINGS


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return small_run(tmp_path_factory.mktemp("pretrained"))


@pytest.fixture(scope="session")
def packed(run):
    return small_packed(run)


@pytest.fixture(scope="session")
def image(run):
    return next((run / "images").glob("test-*.png"))
