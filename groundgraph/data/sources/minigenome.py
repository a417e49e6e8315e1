"""MiniGenome as a source: drawn, not read."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.minigenome.dataset import MiniGenome
from groundgraph.data.sources.config import MiniGenomeData
from groundgraph.data.sources.needs import Need
from groundgraph.data.types import Example, ProgressBar, Skipped


class MiniGenomeSource:
    """The splits of a `MiniGenomeData`; pictures are kept in `images`."""

    def __init__(self, data: MiniGenomeData, images: Path) -> None:
        self.data, self.images = data, images

    def needs(self) -> list[Need]:
        """Nothing."""
        return []

    def pictures(self) -> list[Path]:
        """None: they are drawn."""
        return []

    def examples(self, split: str, skipped: Skipped, progress: ProgressBar) -> list[Example]:
        """The split's first so many images."""
        drawn = MiniGenome(split, self.data.setting, self.images, getattr(self.data, split))
        with progress(f"drawing {split} images", len(drawn)) as advance:
            examples = []
            for i in range(len(drawn)):
                examples.append(drawn[i])
                advance(1)
            return examples
