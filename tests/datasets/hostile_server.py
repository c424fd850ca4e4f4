"""A local web server that misbehaves as configured, for the tests of downloads."""

import contextlib
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Behaviour:
    """The behaviour of the server for one path. Each request takes the next of `acts`; after the last it is correct.

    acts: a status code; "break" (half of what is left, then the line goes dead); "long" (announces 100 bytes more than
    there are); "hang"; "elsewhere" (continues at another byte than asked for); "whole" (ignores Range)
    """

    def __init__(self, content, acts=(), redirect=None, kind="application/zip", etag='"one"', length=True):
        self.content, self.acts, self.redirect, self.kind, self.etag = content, list(acts), redirect, kind, etag
        self.length = length
        self.ranges = []  # the Range header of each request

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        act = self.acts.pop(0) if self.acts else "well"
        if self.redirect:
            return handler.reply(302, {"Location": self.redirect})
        if isinstance(act, int):
            return handler.reply(act, {}, b"no")
        if act == "hang":
            handler.server.woken.wait(5)
            return None
        start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked and act != "whole" else 0
        if handler.headers.get("If-Range") != self.etag:
            start = 0
        if start >= len(self.content):
            return handler.reply(416, {"Content-Range": f"bytes */{len(self.content)}"})
        return self.serve(handler, act, start)

    def serve(self, handler, act, start):
        shown = start + 1 if act == "elsewhere" else start
        body, end = self.content[start:], len(self.content)
        headers = {"Content-Type": self.kind, **({"ETag": self.etag} if self.etag else {})}
        if self.length:
            headers["Content-Length"] = len(body) + (100 if act == "long" else 0)
        if start:
            headers["Content-Range"] = f"bytes {shown}-{end - 1}/{end}"
        return handler.reply(206 if start else 200, headers, body[: len(body) // 2] if act == "break" else body)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        behaviour = self.server.files.get(self.path)
        if behaviour is None:
            self.reply(404, {}, b"not here")
        else:
            behaviour.answer(self)

    def reply(self, status, headers, body=b""):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()
        with contextlib.suppress(OSError):
            self.wfile.write(body)

    def log_message(self, *words):
        pass


@contextlib.contextmanager
def serving(files):
    """The address of a server for {path: Behaviour}."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.files, server.woken = files, threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.woken.set()
        server.shutdown()
        server.server_close()
        thread.join()
