"""Every test imports groundgraph first: it makes torchvision, which transformers imports, work beside a CPU torch."""

import groundgraph  # noqa: F401
