"""How good pseudo labels and scene graphs are, measured against boxes that training never saw."""
