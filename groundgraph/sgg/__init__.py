"""Stage 2: scene-graph models trained on pseudo labels (METHOD.md section 5).

A model is a `batch.SggModel`; a new one is a file and a line here, and a recipe's `sgg` has a key of its name.
"""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from groundgraph.sgg.batch import SggModel, Sizes
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.uniter import Uniter

SGG_MODELS: dict[str, type[SggModel]] = {
    "motifs": Motifs,
    "uniter": Uniter,
}


def new_model(config: BaseModel, sizes: Sizes, names: Sequence[str] = ()) -> SggModel:
    """An untrained model of a configuration's kind, started from the checkpoint that the configuration names, if any.

    Args:
        config: Of one of `SGG_MODELS`.
        sizes: Of the data.
        names: The detector's categories, which a checkpoint's words start from.

    Raises:
        InputError: The checkpoint does not fit.
    """
    kind = next(kind for kind in SGG_MODELS.values() if isinstance(config, kind.Config))
    model = kind(sizes, config)
    if isinstance(model, Uniter) and model.config.checkpoint:
        from groundgraph.sgg.uniter_checkpoint import start_from_checkpoint

        start_from_checkpoint(model, names)
    elif isinstance(model, Motifs) and model.config.checkpoint:
        from groundgraph.sgg.motifs_checkpoint import read_motifs, start_from_release

        start_from_release(model, read_motifs(model.config.checkpoint), model.config.checkpoint)
    return model
