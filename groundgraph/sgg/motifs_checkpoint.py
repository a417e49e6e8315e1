"""Starting Motifs from a checkpoint of the released code (xcppy/WS-SGG and others after Scene-Graph-Benchmark)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from groundgraph.errors import InputError
from groundgraph.formats.torch_file import tensors_of
from groundgraph.sgg.motifs import Motifs
from groundgraph.sgg.motifs_config import MotifsConfig

_ANCHOR = "context_layer.obj_ctx_rnn.weight_ih_l0"  # what comes before it in a name is before all of Motifs' names
RELEASED = {
    "features": "raw",
    "geometry": "batch-norm",
    "decoder": "highway",
    "decoder_features": True,
    "relation": "sum",
    "layers": 1,
}
"""The choices that the released code's weights fit; the widths have to be the checkpoint's too."""

_PARTS = {  # ours -> the release's
    "geometry.0": "context_layer.pos_embed.0",
    "geometry.1": "context_layer.pos_embed.1",
    "geometry.2": "context_layer.pos_embed.2",
    "object_context": "context_layer.obj_ctx_rnn",
    "edge_context": "context_layer.edge_ctx_rnn",
    "object_join": "context_layer.lin_obj_h",
    "edge_join": "context_layer.lin_edge_h",
    "detected": "context_layer.obj_embed1",
    "label": "context_layer.obj_embed2",
    "previous": "context_layer.decoder_rnn.obj_embed",
    "decoder.input": "context_layer.decoder_rnn.input_linearity",
    "decoder.state": "context_layer.decoder_rnn.state_linearity",
    "objects": "context_layer.decoder_rnn.out_obj",
    "ends": "post_emb",
    "object": "post_cat",
    "predicates": "rel_compress",
}


_NAMES = ("detected", "label", "previous", "objects", "predicates")  # parts with a row a name


def read_motifs(path: str | Path) -> dict[str, Tensor]:
    """The relation predictor's weights of a checkpoint file, without what their names begin with.

    Nothing in the file runs.

    Raises:
        InputError: It is no checkpoint or has no Motifs; names the file.
    """
    tensors = tensors_of(path)
    prefix = next((key.removesuffix(_ANCHOR) for key in tensors if key.endswith(_ANCHOR)), None)
    if prefix is None:
        raise InputError(f"{path}: holds no Motifs of the released code (no {_ANCHOR}); give its model_final.pth")
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


@torch.no_grad()
def start_from_release(model: Motifs, weights: Mapping[str, Tensor], source: str | Path) -> list[str]:
    """Put the released code's weights into a model.

    The release numbers "no label" and the start token first, reads its inputs in another order, and has one layer
    (post_cat) over subject and object where this has a layer for each.

    Args:
        model: With the release's choices, see `RELEASED`, and its widths.
        weights: See `read_motifs`. What the release has and never uses (up_dim) counts for nothing.
        source: Where they are from, for messages.

    Returns:
        The parts that keep their own start: heads and embeddings of another number of names.

    Raises:
        InputError: The choices or widths do not fit, or weights are missing.
    """
    config: MotifsConfig = model.config
    different = [f"sgg.motifs.{key}={value}" for key, value in RELEASED.items() if getattr(config, key) != value]
    if config.lstm_width is None or different:
        raise InputError(f"{source} is of the released form: set {', '.join(different) or 'sgg.motifs.lstm_width'}")
    if model.sizes.text:
        raise InputError(f"{source} has a row of weights a name: set sgg.heads=closed")
    own = model.state_dict()
    kept = []
    for part, theirs in _PARTS.items():
        names = {key: f"{theirs}{key.removeprefix(part)}" for key in own if key.rpartition(".")[0] == part}
        missing = [name for name in names.values() if name not in weights]
        if missing:
            raise InputError(f"{source} has no {missing[0]}: it is no checkpoint of Motifs as released")
        rows = {key: _arranged(key, weights[name].float(), model) for key, name in names.items()}
        if part == "object" and rows["object.weight"].dim() == 2:
            rows["subject.weight"], rows["object.weight"] = rows["object.weight"].chunk(2, 1)
        unlike = [key for key, value in rows.items() if value.shape != own[key].shape]
        if unlike and part in _NAMES and _only_rows_differ(rows, own):
            kept.append(part)
            continue
        if unlike:
            key = unlike[0]
            raise InputError(
                f"{source}: {theirs} is {tuple(rows[key].shape)}, this model's {key} {tuple(own[key].shape)}: set the "
                "widths under sgg.motifs to the checkpoint's"
            )
        for key, value in rows.items():
            own[key].copy_(value)
    return kept


def _only_rows_differ(rows: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> bool:
    """Whether a part's tensors are as the model's but for their number of rows, which is the same in each."""
    same = all(v.dim() == own[key].dim() and v.shape[1:] == own[key].shape[1:] for key, v in rows.items())
    return same and len({len(v) for v in rows.values()}) == 1


def _arranged(key: str, values: Tensor, model: Motifs) -> Tensor:
    """Weights of the release in this model's order of rows or columns."""
    hidden, embedded = model.config.hidden, model.config.embedded
    if values.dim() != 2:
        return values
    if key in ("detected.weight", "previous.weight"):
        return values.roll(-1, 0)
    if key == "geometry.0.weight" and values.shape[1] == 9:  # sides, centre, corners, area
        return values[:, [2, 3, 0, 1, *range(4, 9)]]
    if key == "decoder.input.weight":  # region, context, label
        region = values.shape[1] - hidden - embedded
        return torch.cat([values[:, region : region + hidden], values[:, :region], values[:, -embedded:]], 1)
    if key.startswith("edge_context.weight_ih"):  # label, region, context
        return values.roll(-embedded, 1)
    return values
