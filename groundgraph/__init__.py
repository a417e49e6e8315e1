"""Scene-graph generators trained from captions, without a single annotated box."""

from groundgraph import _operators as _operators  # first of all: makes torchvision work beside a CPU torch
