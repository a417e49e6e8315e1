"""The authors' released grounder (grounder_best.pth) as one of ours."""

from __future__ import annotations

from pathlib import Path

from groundgraph.errors import InputError
from groundgraph.formats.ws_sgg import read_checkpoint
from groundgraph.grounding.config import GroundingConfig
from groundgraph.grounding.learned import Learned
from groundgraph.grounding.two_teachers import TwoTeachers

# Their modules' names -> ours.
_MODULES = {"text_encoder": "text", "visual_encoder": "visual", "classifier": "attend", "adaptor": "adaptor"}


def released_grounder(path: str | Path) -> Learned:
    """The authors' grounder, ready to score regions and to be saved as ours.

    Raises:
        InputError: As `read_checkpoint`, and where the weights are of no such grounder.
    """
    weights = {}
    for name, tensor in read_checkpoint(path).items():
        module, _, rest = name.partition(".")
        weights[f"{_MODULES[module]}.{rest}"] = tensor
    try:
        (dimension, text), visual = weights["text.0.weight"].shape, weights["visual.0.weight"].shape[1]
        grounder = Learned(TwoTeachers, GroundingConfig(official=True, dimension=dimension))
        grounder.sizes = (text, visual)
        grounder.model = TwoTeachers(text, visual, grounder.config)
        grounder.model.load_state_dict(weights)
    except (KeyError, ValueError, RuntimeError) as error:
        raise InputError(f"{path}: no grounder of the authors' ({error}); give grounder_best.pth") from error
    grounder.model.eval()
    return grounder
