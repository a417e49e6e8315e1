"""The methods that the study compares, as changes of a recipe."""

from __future__ import annotations

from dataclasses import dataclass

# No language model knows MiniGenome: in its place stands the most that one could give, the captions' true triplets.
LLM4SGG = ("parser={name: truth}", "sgg.reweight=true")
SINCE_2022 = ("two-teachers", "pairs", "detector", "llm4sgg", "llm4sgg-sgnls", "acc", "full")


@dataclass(frozen=True)
class Variant:
    """A way to get scene graphs from captions: what it changes in the recipe.

    Attributes:
        name: A file's name too.
        title: In tables.
        settings: Keys of the recipe with their values.
        recipe: What the paper's recipes of it are called after the setting; "": its name.
        whole: It generates scene graphs itself, so that it has one row, whatever the scene-graph models are.
    """

    name: str
    title: str
    settings: tuple[str, ...]
    recipe: str = ""
    whole: bool = False


VARIANTS = {
    variant.name: variant
    for variant in (
        Variant("sgnls", "SGNLS", ("grounder=sgnls",)),
        Variant("wsgm", "WSGM", ("grounder=wsgm",)),
        Variant("lsws", "LSWS", ("system=lsws",), whole=True),
        Variant("lsws-grounder", "LSWS's grounder", ("grounder=lsws",)),
        Variant("vspnet", "VSPNet", ("system=vspnet",), whole=True),
        Variant("vspnet-grounder", "VSPNet's grounder", ("grounder=vspnet",)),
        Variant("two-teachers", "this method", ("grounder=two-teachers",), "ours"),
        Variant("mil", "MIL alone", ("grounder=mil",)),
        Variant("object", "MIL + object-aware", ("grounder=two-teachers", "teachers.interaction=null")),
        Variant("interaction", "MIL + interaction-aware", ("grounder=two-teachers", "teachers.object=false")),
        Variant("average", "MIL + both, averaged", ("grounder=two-teachers", "grounding.fusing=average")),
        Variant("self", "MIL + both, self-guided", ("grounder=two-teachers", "grounding.fusing=self")),
        Variant("product", "MIL + both, multiplied", ("grounder=two-teachers", "grounding.fusing=product")),
        Variant("pairs", "pairs of regions", ("grounder=pairs",)),
        Variant("detector", "the detector alone (VS3-like)", ("grounder=detector", "pseudo_labels.top=1")),
        Variant(
            "llm4sgg",
            "LLM4SGG-like, over the detector",
            ("grounder=detector", "pseudo_labels.top=1", *LLM4SGG),
        ),
        Variant("llm4sgg-sgnls", "LLM4SGG-like, over SGNLS's labels", ("grounder=sgnls", *LLM4SGG)),
        Variant("acc", "this method with phrases (ACC-like)", ("grounder=two-teachers", "teachers.phrase={}")),
        Variant("soft", "this method, soft labels", ("grounder=two-teachers", "pseudo_labels.kind=soft")),
        Variant("full", "full supervision", ("grounder=full",)),
    )
}
SYSTEMS = ("sgnls", "wsgm", "lsws", "lsws-grounder", "vspnet", "vspnet-grounder", "two-teachers", "pairs")
