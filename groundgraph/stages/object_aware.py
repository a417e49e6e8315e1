"""The object-aware teacher on a run's regions and captions: it costs nothing, so that it is asked again when needed."""

from __future__ import annotations

import numpy as np

from groundgraph.engine.run import Run
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.parsed import parsed
from groundgraph.stages.regions import matches, regions
from groundgraph.teachers.object import ObjectTeacher


def object_aware(run: Run, split: str, part: slice) -> list[np.ndarray]:
    """The object-aware targets of some of a split's images, [E, V] float32 each (Eq. 6)."""
    proposals, captions = regions(run, split)[part], parsed(run, split)[part]
    targets = ObjectTeacher(detector_categories(run), matches(run.recipe)).targets((), proposals, captions)
    none = [np.zeros((0, len(one)), np.float32) for one in proposals]
    return [np.concatenate([empty, *rows], dtype=np.float32) for empty, rows in zip(none, targets, strict=True)]
