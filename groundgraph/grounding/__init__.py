"""Stage 1: which region each entity of a caption means.

A grounder scores every region of an image for every entity. One that learns is an nn.Module with two methods
(`training.Trainable`); a new one is a file and a line in GROUNDERS.
"""

from __future__ import annotations

from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.detected import Detected
from groundgraph.grounding.learned import Learned
from groundgraph.grounding.lsws import Lsws
from groundgraph.grounding.method import Method
from groundgraph.grounding.pairs import Pairs
from groundgraph.grounding.sgnls import Sgnls
from groundgraph.grounding.two_teachers import Mil, TwoTeachers
from groundgraph.grounding.vspnet import Vspnet
from groundgraph.grounding.wsgm import Wsgm

# A recipe's `grounder` -> the method, in the order of tables.
GROUNDERS: dict[str, Method] = {
    "pairs": Method(
        "Pairs: subject and object together", Pairs, fusing=lambda c: c.pairs.fusing, pairs=True, seconds=1.2
    ),
    "two-teachers": Method("This method", TwoTeachers, fusing=lambda c: c.fusing),
    "sgnls": Method("SGNLS rule (detector's category names, no training)", Sgnls, learns=False, every_match=True),
    "detector": Method("The detector alone, a phrase at a time (VS3-like)", Detected, learns=False),
    "wsgm": Method("WSGM's grounder (bipartite matching)", Wsgm),
    "lsws": Method("LSWS's grounder (linguistic structure)", Lsws, seconds=1.4),
    "vspnet": Method("VSPNet's grounder (graph alignment)", Vspnet, seconds=1.2),
    "mil": Method("MIL alone (no teacher)", Mil),
    "full": Method("Full supervision (annotated boxes: the upper bound)", None, learns=False),
}
GROUNDERS["ours"] = GROUNDERS["two-teachers"]  # its name in recipes before

# `contrast_weight` of grounders that no teacher teaches; with 1, LSWS's own losses outweighed it with some seeds.
CONTRAST_ALONE = 4.0


def method_of(name: str) -> Method:
    """A method by its name in recipes.

    Raises:
        InputError: For an unknown name.
    """
    if name not in GROUNDERS:
        raise InputError(f"there is no grounder {name!r}: choose one of {', '.join(GROUNDERS)}")
    return GROUNDERS[name]


def build_grounder(name: str, config: GroundingConfig | None = None) -> Learned | Sgnls | Detected:
    """A grounder by its name in recipes, untrained.

    Args:
        name: A key of GROUNDERS.
        config: Of a grounder that learns; None: the defaults.

    Raises:
        InputError: For an unknown name, and for one of a method that has no grounder.
    """
    method = method_of(name)
    if method.grounder is None:
        raise InputError(f"{name!r} has no grounder: its labels are the annotated boxes")
    if not method.learns:
        return method.grounder()
    config = config or GroundingConfig()
    defaults = {
        "standardise": method.alone or method.pairs,
        "contrast_weight": CONTRAST_ALONE * method.alone,
    }
    unsaid = {key: value for key, value in defaults.items() if getattr(config, key) is None}
    return Learned(method.grounder, config.model_copy(update=unsaid))
