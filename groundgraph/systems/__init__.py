"""Published systems that generate scene graphs themselves, in the place of grounder, pseudo labels and SGG model.

A system is a `model.SystemModel`, trained by `training.train_system` on regions and text graphs. A new one is a file
and a line here: a recipe then has `system: NAME`, with its settings in `systems.NAME`.
"""

from __future__ import annotations

from groundgraph.sgg import SGG_MODELS
from groundgraph.sgg.batch import SggModel
from groundgraph.systems.lsws import LswsSystem
from groundgraph.systems.model import System
from groundgraph.systems.vspnet import VspnetSystem

# A recipe's `system` -> the method, in the order of tables.
SYSTEMS: dict[str, System] = {
    "lsws": System("LSWS (the whole system)", None, learns=False, model=LswsSystem, seconds=1.0),
    "vspnet": System("VSPNet (the whole system)", None, learns=False, model=VspnetSystem, seconds=1.0),
}


def stored_models() -> dict[str, type[SggModel]]:
    """Every model that finds scene graphs, by the name that it is stored under."""
    return SGG_MODELS | {name: system.model for name, system in SYSTEMS.items()}
