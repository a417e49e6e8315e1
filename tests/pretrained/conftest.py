"""A small finished run and the model packed from it."""

import pytest

import groundgraph

SETTINGS = {
    **{"data.train": 12, "data.validation": 2, "data.test": 4, "grounder": "two-teachers", "sgg.heads": "open"},
    **{"grounding.dimension": 32, "grounding.epochs": 1, "sgg.training.epochs": 1},
}


@pytest.fixture
def settings():
    return SETTINGS


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    return groundgraph.run("demo", SETTINGS, tmp_path_factory.mktemp("pretrained") / "run").folder


@pytest.fixture(scope="session")
def packed(run):
    groundgraph.pack(run, run.parent / "packed")
    return run.parent / "packed"


@pytest.fixture(scope="session")
def image(run):
    return next((run / "images").glob("test-*.png"))
