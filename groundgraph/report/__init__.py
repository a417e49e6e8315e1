"""What a run says about itself: pictures of scene graphs and one HTML file."""

from groundgraph.report.html import Case, GraphPicture, ReportData, write_report
from groundgraph.report.pictures import draw_graph, draw_grounding, graph_json, triplet_lines

__all__ = [
    "Case",
    "GraphPicture",
    "ReportData",
    "draw_graph",
    "draw_grounding",
    "graph_json",
    "triplet_lines",
    "write_report",
]
