"""What the pages register stays on the pages."""

import pytest

from groundgraph.formats import READERS
from groundgraph.grounding import GROUNDERS
from groundgraph.language import PARSERS
from groundgraph.sgg import SGG_MODELS
from groundgraph.stages import STAGES
from groundgraph.teachers import VISION_LANGUAGE_MODELS
from groundgraph.vision import DETECTORS

REGISTRIES = (PARSERS, GROUNDERS, SGG_MODELS, VISION_LANGUAGE_MODELS, DETECTORS, STAGES, READERS)


@pytest.fixture(autouse=True, scope="module")
def registries():
    """Puts every registry back as it was."""
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)
