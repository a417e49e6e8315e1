"""A server of files on this machine, as good or bad as a test wants it."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server, asked = self.server, self.headers.get("Range")
        server.asked.append((self.path, asked))
        if self.path not in server.files or server.status:
            self.send_error(server.status or 404)
            return
        content, start = server.files[self.path], 0
        if asked and server.ranges:
            start = int(asked.removeprefix("bytes=").rstrip("-")) + server.shift
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if server.lengths:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        end = len(content)
        if server.drops:  # after so many bytes of this answer
            end = min(end, start + server.drops.pop(0))
        self.wfile.write(content[start:end])

    def log_message(self, *_):
        pass


@contextmanager
def serving(files, ranges=True, lengths=True, drops=(), status=0, shift=0):
    """Serve `files` (path -> bytes).

    Args:
        files: What there is.
        ranges: Whether it knows ranges.
        lengths: Whether it says how long an answer is.
        drops: After how many bytes of each of the first answers it drops the connection.
        shift: How much later than asked for its ranges begin.
        status: Its answer to anything, 0: the right one.

    Yields:
        The server; `address` is where it is, `asked` what it was asked for: (path, range).
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.ranges, server.lengths, server.status = dict(files), ranges, lengths, status
    server.shift = shift
    server.drops, server.asked, server.address = list(drops), [], f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
