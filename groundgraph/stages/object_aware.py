"""The object-aware teacher on a run's regions and captions: it costs nothing, so it is asked where it is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from groundgraph.engine.run import Run
from groundgraph.stages.detector_labels import detector_categories
from groundgraph.stages.parsed import entities, parsed
from groundgraph.stages.reading import Lazy, kept
from groundgraph.stages.regions import matches, regions
from groundgraph.teachers.object import ObjectTeacher


@kept("regions")
def object_aware(run: Run, split: str) -> Sequence[np.ndarray]:
    """The object-aware targets [E, V] float32 of a split's images (Eq. 6)."""
    captions, proposals = parsed(run, split), regions(run, split)
    teacher = ObjectTeacher(detector_categories(run), matches(run.recipe))
    return Lazy(
        len(captions),
        lambda i: teacher.of([entity.name for entity in entities(captions[i])], proposals.labels_of(i)),
    )
