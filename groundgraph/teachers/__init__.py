"""The two teachers, how their targets become one, and who says which to trust (Eq. 6 to 11)."""

from __future__ import annotations

from typing import Any

# What the interaction-aware teacher's model is -> who loads it, as a `VisionLanguageModel`: for a file what its name
# ends in, for a folder or hub id the `model_type` of its config.json. Imported when asked for, with transformers.
VISION_LANGUAGE_MODELS: dict[str, Any] = {
    "albef": "groundgraph.teachers.albef:load_albef",
    ".pth": "groundgraph.teachers.albef_checkpoint:load_albef_checkpoint",
    "blip": "groundgraph.teachers.blip:load_blip",
}
