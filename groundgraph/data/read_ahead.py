"""Pictures decoded by threads before they are asked for, so that a GPU does not wait for Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from PIL import Image

from groundgraph.data.images import open_image
from groundgraph.system import cores

THREADS = 8  # at most; `benchmarks/feeding.py` says how many photos a second they decode


class ReadAhead:
    """Opens pictures; those that it was told of, threads have decoded or are at it (Pillow lets others run meanwhile).

    Args:
        device: Of the network that reads them: "cpu" decodes by itself, having no time to spare for threads.
    """

    def __init__(self, device: str = "cpu") -> None:
        self.pool = ThreadPoolExecutor(min(THREADS, cores()), "decoding") if device != "cpu" else None
        self.futures: dict[str, Future[Image.Image]] = {}

    def expect(self, paths: Sequence[str]) -> None:
        """Have pictures decoded that will be asked for soon; of those expected before, the others are dropped."""
        if self.pool is None:
            return
        for path in self.futures.keys() - set(paths):
            self.futures.pop(path).cancel()
        for path in paths:
            if path not in self.futures:
                self.futures[path] = self.pool.submit(open_image, path)

    def open(self, path: str) -> Image.Image:
        """See `open_image`; a picture is kept until it is asked for once."""
        future = self.futures.pop(path, None)
        return open_image(path) if future is None else future.result()
