"""The bundled miniature's generator, of a few images."""

import groundgraph
from tools.train_sgg import train


def test_the_demo_is_trained_and_packed(tmp_path):
    settings = ["data.train=12", "data.validation=2", "data.test=4", "grounding.dimension=32", "grounding.epochs=1"]
    sizes = train(tmp_path / "sgg", [*settings, "sgg.training.epochs=1"])
    assert sum(sizes.values()) < 5e6 and [path.name for path in tmp_path.iterdir()] == ["sgg"]
    assert groundgraph.load(tmp_path / "sgg").categories
