"""What a run is made of: one file a stage, each with what it reads, its settings, the work and its cost.

A stage reads the outputs of the stages before it, writes its own into the folder it is given, and gives its counts. A
new one is a file with `build(recipe)` and a line in STAGES.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from groundgraph.registry import lookup

if TYPE_CHECKING:
    from groundgraph.engine.stage import Stage
    from groundgraph.stages.recipe import Recipe

# Part of the data flow -> what builds its stages of a recipe, none where it has no need of them; in order.
STAGES: dict[str, object] = {
    "examples": "groundgraph.stages.examples:build",
    "parsed": "groundgraph.stages.parsed:build",
    "vocabulary": "groundgraph.stages.vocabulary:build",
    "regions": "groundgraph.stages.regions:build",
    "concepts": "groundgraph.stages.concepts:build",
    "matches": "groundgraph.stages.matches:build",
    "text": "groundgraph.stages.text:build",
    "teachers": "groundgraph.stages.teachers:build",
    "phrases": "groundgraph.stages.phrases:build",
    "crops": "groundgraph.stages.crops:build",
    "reliability": "groundgraph.stages.reliability:build",
    "grounding": "groundgraph.stages.grounding:build",
    "pseudo_labels": "groundgraph.stages.pseudo_labels:build",
    "sgg": "groundgraph.stages.sgg:build",
    "systems": "groundgraph.stages.systems:build",
    "evaluation": "groundgraph.stages.evaluation:build",
    "report": "groundgraph.stages.report:build",
}


def stages(recipe: Recipe) -> list[Stage]:
    """The stages of a recipe, each after those that it needs, else in the order of STAGES."""
    left = [stage for part in STAGES for stage in lookup(STAGES, part, "stage")(recipe)]
    ordered: dict[str, Stage] = {}
    while left:
        ready = next((stage for stage in left if ordered.keys() >= set(stage.needs)), None)
        if ready is None:
            raise ValueError(f"stages that need each other, or one that there is not: {[stage.name for stage in left]}")
        ordered[ready.name] = ready
        left.remove(ready)
    return list(ordered.values())
