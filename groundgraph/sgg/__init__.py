"""Stage 2: scene-graph models trained on pseudo labels (METHOD.md section 5).

A model is an nn.Module built from (Sizes, its Config) with forward(Batch) -> Outputs; a new one is a file and a line
here.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from groundgraph.sgg.batch import Sizes
from groundgraph.sgg.motifs import Motifs, MotifsConfig
from groundgraph.sgg.uniter import Uniter, UniterConfig

SGG_MODELS = {
    Motifs.name: Motifs,
    Uniter.name: Uniter,
}


def new_model(config: MotifsConfig | UniterConfig, sizes: Sizes, names: Sequence[str] = ()) -> nn.Module:
    """An untrained model of a configuration's kind, started from the checkpoint that the configuration names, if any.

    names  the detector's categories, which a checkpoint's words start from
    Raises ValueError where the checkpoint does not fit.
    """
    kind = next(kind for kind in SGG_MODELS.values() if isinstance(config, kind.Config))
    model = kind(sizes, config)
    if getattr(config, "checkpoint", None):
        from groundgraph.sgg.uniter_checkpoint import start_from_checkpoint

        start_from_checkpoint(model, names)
    return model
