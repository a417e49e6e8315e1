"""`python -m groundgraph`: the command line, for launchers such as torchrun that start modules."""

from groundgraph.cli import app

app(prog_name="groundgraph")
