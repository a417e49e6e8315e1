"""`groundgraph app`, and the same from Python: these lines are a whole app.py of a Hugging Face Space.

from groundgraph.app.serving import serve

serve("OWNER/MODEL")
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from pathlib import Path

from groundgraph.app.photos import MAX_BYTES
from groundgraph.errors import InputError
from groundgraph.pretrained.loading import load


def serve(model: str | os.PathLike[str] | None = None, method: str | None = None, device: str | None = None) -> None:
    """Serve the page until it is stopped, at http://127.0.0.1:7860 or the next port that is free.

    For this machine alone, unless the variables GRADIO_SERVER_NAME (0.0.0.0: everybody on the network) and
    GRADIO_SERVER_PORT say otherwise, as a Space and the Dockerfile have them. Nothing is fetched from elsewhere or
    reported, no public link is made, and photos are deleted when their visitors leave.

    Args:
        model: As of `groundgraph.load`; None: the bundled miniature's.
        method: Likewise.
        device: Likewise.

    Raises:
        InputError: Gradio is not installed, or the model cannot be loaded.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # so that what is below is left, and deleted, in order
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    with tempfile.TemporaryDirectory(prefix="groundgraph-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(Path(folder) / "uploads")
        try:
            from groundgraph.app import page  # with Gradio, which reads these variables
        except ImportError as error:
            raise InputError(f"the page needs {error.name}: pip install 'groundgraph[app]'") from error
        demo, shown = page.build(load(model, method, device), None if model is None else str(model), Path(folder))
        print("A page to try it on; Ctrl+C stops it.", flush=True)
        try:
            demo.launch(
                share=False,
                max_file_size=MAX_BYTES,
                run_history=False,  # which keeps photos in the browser
                footer_links=[],
                enable_monitoring=False,
                ssr_mode=False,
                theme=page.THEME,
                css=page.CSS,
            )
        finally:  # what is being drawn for somebody would be written while the folder is deleted
            demo.close(verbose=False)
            shown.close()
