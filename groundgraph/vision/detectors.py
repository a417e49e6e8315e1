"""Where scripts import `load_detector` from; the registry is the package's own."""

from groundgraph.vision import load_detector as load_detector
