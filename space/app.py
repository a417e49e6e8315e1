from groundgraph.app.serving import serve

serve()  # the bundled miniature; serve("OWNER/NAME") for a model that you pushed to the hub
