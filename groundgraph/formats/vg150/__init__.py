"""Visual Genome's VG150: the h5 file of graphs, its dictionary, the list of images and the region descriptions."""

from groundgraph.formats.vg150.phrases import read_phrases
from groundgraph.formats.vg150.reading import ListedImage, VgGraphs, read_graphs, read_image_list
from groundgraph.formats.vg150.writing import write_vg150

__all__ = ["ListedImage", "VgGraphs", "read_graphs", "read_image_list", "read_phrases", "write_vg150"]
