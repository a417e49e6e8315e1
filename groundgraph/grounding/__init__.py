"""Stage 1: which region each entity of a caption means.

A grounder scores every region of an image for every entity. One that learns is an nn.Module with two methods
(`training.Trainable`); a new one is a file and a line here.
"""

from __future__ import annotations

from groundgraph.errors import InputError
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.lsws import Lsws
from groundgraph.grounding.sgnls import Sgnls
from groundgraph.grounding.two_teachers import Mil, TwoTeachers
from groundgraph.grounding.vspnet import Vspnet
from groundgraph.grounding.wsgm import Wsgm
from groundgraph.training.grounding_loop import Learned

LEARNED = {"ours": TwoTeachers, "mil": Mil, "wsgm": Wsgm, "lsws": Lsws, "vspnet": Vspnet}
GROUNDERS = ("sgnls", *LEARNED)


def build_grounder(name: str, config: GroundingConfig | None = None) -> Learned | Sgnls:
    """A grounder by its name, untrained. Raises InputError for an unknown name."""
    if name == "sgnls":
        return Sgnls()
    if name not in LEARNED:
        raise InputError(f"there is no grounder {name!r}: choose one of {', '.join(GROUNDERS)}")
    return Learned(LEARNED[name], config or GroundingConfig())
