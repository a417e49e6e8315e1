"""Stage 2: scene-graph models trained on pseudo labels (METHOD.md section 5).

A model is an nn.Module built from (Sizes, its Config) with forward(Batch) -> Outputs; a new one is a file and a line
here.
"""

from groundgraph.sgg.motifs import Motifs

SGG_MODELS = {
    Motifs.name: Motifs,
}
