"""Pictures to try the page with: drawn scenes that the bundled miniature's models know."""

from __future__ import annotations

from pathlib import Path

from groundgraph.data.minigenome.dataset import MiniGenome

# Test image -> which of its captions; nothing was trained on them. Most hold two of a kind, of which one is meant.
_CHOSEN = {15: 0, 10: 3, 28: 0, 16: 1, 21: 0}


def sample_photos(folder: Path) -> list[tuple[Path, str]]:
    """Draw them.

    Args:
        folder: Gets the PNG files.

    Returns:
        Each one's file and caption.
    """
    scenes = MiniGenome("test", "vg_caption", folder)
    examples = [(scenes[i], caption) for i, caption in _CHOSEN.items()]
    return [(Path(example.path), example.captions[caption]) for example, caption in examples]
