"""A page to try a model on: `groundgraph app`, and an app.py for a Hugging Face Space."""
