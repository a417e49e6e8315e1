"""Images to regions: one file a detector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from groundgraph.errors import InputError
from groundgraph.registry import lookup
from groundgraph.torch_pair import check_torchvision, import_torchvision

if TYPE_CHECKING:
    import torch

    from groundgraph.models.device import Precision
    from groundgraph.vision.detector import Detector

# Kind -> class with `load`, a detector's or a format's of stored regions; imported when asked for, since each brings a
# large library of its own.
DETECTORS: dict[str, Any] = {
    "torchvision": "groundgraph.vision.torchvision_detector:TorchvisionDetector",
    "transformers": "groundgraph.vision.transformers_detector:TransformersDetector",
    "open-vocabulary": "groundgraph.vision.open_vocabulary_detector:OpenVocabularyDetector",
    "precomputed": "groundgraph.formats.region_npz:PrecomputedRegions",
    "image-files": "groundgraph.formats.region_npz:ImageFiles",
    "sgnls": "groundgraph.formats.sgnls:SgnlsDetections",
    "bottom-up-tsv": "groundgraph.formats.bottom_up_tsv:BottomUpTsv",
    "bottom-up-h5": "groundgraph.formats.bottom_up_h5:BottomUpH5",
    "annotated": "groundgraph.vision.annotated:AnnotatedBoxes",
    "detections": "groundgraph.formats.detections:DetectionFile",
}
# Kinds without features of their own: `named.NamedDetector` describes their regions by name and place. A word that is
# one of their categories means that one alone.
NAMED = ("annotated", "detections")


def load_detector(
    kind: str,
    source: str,
    *,
    features: str = "detector",
    device: str | torch.device = "auto",
    precision: Precision = "auto",
    **options: Any,
) -> Detector:
    """Return the detector of a kind, loaded from its source.

    Args:
        kind: A key of `DETECTORS`.
        source: What that kind is loaded from: a folder, a hub id, a model's name or a file of regions.
        features: "detector": as the detector describes a region; "map": pooled from the detector's own feature map
            (kinds that say so by `pools_own_map`); else the backbone that all regions are pooled from, see
            `backbone.load_backbone`.
        device: See `groundgraph.models.device`.
        precision: See `groundgraph.models.device`.
        options: What the kind's `load` takes besides: count (regions an image); for open-vocabulary also vocabulary
            and nouns.

    Raises:
        InputError: There is no such kind, it cannot do what `features` asks for, or torchvision does not fit torch.
    """
    detector_class = _class_of(kind)
    from groundgraph.data.read_ahead import ReadAhead
    from groundgraph.formats.region_file import RegionFile
    from groundgraph.models.device import device_of, dtype_of
    from groundgraph.vision.detector import ImageDetector
    from groundgraph.vision.stored_regions import FileDetector

    if features == "map":
        if not getattr(detector_class, "pools_own_map", False):
            raise InputError(f"kind {kind} takes no features from a map: choose detector or a backbone's name")
        options["pooled"] = True
    device = device_of(device)
    if isinstance(detector_class, type) and issubclass(detector_class, RegionFile):
        detector: Detector = FileDetector(detector_class.load(source), **options)
    else:
        detector = detector_class.load(source, device=device, **options)
    if features not in ("detector", "map"):
        from groundgraph.vision.backbone import load_backbone
        from groundgraph.vision.pooled import PooledDetector

        detector = PooledDetector(detector, load_backbone(features, device))
    if isinstance(detector, ImageDetector):
        detector.narrow(dtype_of(precision, device))
        detector.pictures = ReadAhead(device.type)
    return detector


def can_pool(kind: str, features: str, labelled: bool = False) -> bool:
    """Return whether a kind's detectors, or what describes their regions, can pool given boxes.

    Args:
        kind: A key of `DETECTORS`.
        features: See `load_detector`.
        labelled: The boxes' categories are given too.
    """
    named = labelled and kind in NAMED
    return named or features != "detector" or getattr(_class_of(kind), "pools_boxes", False)


def _class_of(kind: str) -> Any:
    if str(DETECTORS.get(kind)).startswith("groundgraph.vision.") and kind not in NAMED:
        import_torchvision()
    try:
        return lookup(DETECTORS, kind, "detector of kind")
    except (ImportError, OSError, RuntimeError):
        check_torchvision()
        raise
