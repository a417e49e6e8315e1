"""Several detectors as one: an image's regions come from the first that has any."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from PIL import Image

from groundgraph.data.types import Example, Regions, Skipped
from groundgraph.errors import InputError
from groundgraph.vision.detector import Detector, ImageDetector


class DetectorChain:
    """Detectors in order of precedence; what the last of them skips is skipped.

    Args:
        detectors: The detectors, of one vocabulary and one width of features.

    Raises:
        InputError: Their categories or, at the first image, the widths of their features differ.
    """

    def __init__(self, detectors: Sequence[Detector]) -> None:
        self.detectors, self._width = list(detectors), None
        if any(d.categories != self.categories for d in self.detectors):
            raise InputError("detector.also: its categories are not those of detector.model; give one detector's")

    @property
    def categories(self) -> tuple[str, ...]:
        """Names that the regions' labels index."""
        return self.detectors[0].categories

    def expect(self, examples: Iterable[Example]) -> None:
        """Tell readers of region files which images there will be, see `FileDetector.expect`."""
        readers = [detector for detector in self.detectors if hasattr(detector, "expect")]
        for example in examples if readers else ():
            for reader in readers:
                reader.expect([example])

    def detect(self, examples: Sequence[Example], skipped: Skipped) -> list[Regions | None]:
        """See `Detector.detect`."""
        detected: list[Regions | None] = [None] * len(examples)
        for detector in self.detectors:
            missing = [i for i, regions in enumerate(detected) if regions is None]
            last = detector is self.detectors[-1]
            more = detector.detect([examples[i] for i in missing], skipped if last else Skipped())
            for i, regions in zip(missing, more, strict=True):
                detected[i] = regions
        widths = {regions.features.shape[1] for regions in detected if regions is not None} | {self._width} - {None}
        if len(widths) > 1:
            raise InputError(f"detector.also: features of {sorted(widths)} numbers a region; give one detector's")
        self._width = next(iter(widths), self._width)
        return detected

    def pool(self, images: Sequence[Image.Image], boxes: Sequence[np.ndarray]) -> list[Regions]:
        """See `ImageDetector.pool`; the first detector does it, where it is one."""
        first = self.detectors[0]
        if not isinstance(first, ImageDetector):
            raise InputError(f"{type(first).__name__} looks at no images; give the option detector.features a backbone")
        return first.pool(images, boxes)
