"""Keys of recipes that have another name now."""

from __future__ import annotations

# A key that has another name now -> that name: an old recipe fails with it.
OLD_KEYS: dict[str, str] = {
    "detector.asked": "detector.prompt",
    "sgg.inference.images": "sgg.inference.batch_size",
    "sgg.inference.nms": "sgg.inference.nms_threshold",
    "sgg.motifs.commit": "sgg.motifs.nms_threshold",
    "sgg.training.images": "sgg.training.batch_size",
    "sgg.training.rate": "sgg.training.learning_rate",
    "sgg.training.clip": "sgg.training.max_grad_norm",
    "sgg.training.accumulate": "sgg.training.micro_batches",
    "sgg.training.seed": "seed",
    "grounding.images": "grounding.batch_size",
    "grounding.batch": "grounding.entity_batch_size",
    "grounding.clip": "grounding.max_grad_norm",
    "grounding.accumulate": "grounding.accumulate_grad_batches",
}
