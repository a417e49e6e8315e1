"""Stage 2: scene-graph models trained on pseudo labels (METHOD.md section 5).

A model is a `batch.SggModel`; a new one is a file and a line here.
"""

from __future__ import annotations

from collections.abc import Sequence

from groundgraph.sgg.batch import SggModel, Sizes
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.uniter import Uniter, UniterConfig

SGG_MODELS: dict[str, type[SggModel]] = {
    "motifs": Motifs,
    "uniter": Uniter,
}


def new_model(config: MotifsConfig | UniterConfig, sizes: Sizes, names: Sequence[str] = ()) -> SggModel:
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
    return model
