"""The base of a web server: which requests are allowed, and error responses of one line."""

from __future__ import annotations

import hmac
import re
import secrets
import time
from collections import defaultdict, deque

import tornado.web

from util.errors import InputError

HERE = ("localhost", "127.0.0.1", "::1")
POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' blob: data:; "
POLICY += "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class Refused(Exception):
    """A request is refused: Refused(HTTP status, line of text for the response)."""


class Gate:
    """Allows requests with the token from pages of this server, and `most` images per minute and client address.

    A server on `host` = this machine needs no token.
    """

    def __init__(self, host: str, most: int) -> None:
        self.local, self.most = host in HERE, most
        self.token = "" if self.local else secrets.token_urlsafe(16)
        self.waiting = 0  # number of requests in work
        self.requests: defaultdict[str, deque[float]] = defaultdict(deque)  # client address -> times of its requests

    def check(self, request, given):
        """Raise Refused unless the request is allowed; `given` is its token."""
        host = re.sub(r":\d+$", "", request.host).strip("[]")
        if self.local and host not in HERE:  # against DNS rebinding: a foreign page with another name of this machine
            raise Refused(403, f"this page is at localhost, not at {host}")
        origin = request.headers.get("Origin")
        if origin and origin.split("://")[-1] != request.host:
            raise Refused(403, "requests of other web pages are refused")
        if self.token and not hmac.compare_digest(self.token.encode(), given.encode()):
            raise Refused(
                403, "the address of this page must end in ?token=...; the server printed it when it was started"
            )

    def count(self, address):
        """Count an image of a client; raise Refused above the limit per minute."""
        now, times = time.monotonic(), self.requests[address]
        while times and times[0] < now - 60:
            times.popleft()
        if len(times) >= self.most:
            raise Refused(429, f"more than {self.most} images in a minute; wait {60 - int(now - times[0])} seconds")
        times.append(now)


class Handler(tornado.web.RequestHandler):
    def initialize(self, runs, gate, options, threads):
        self.runs, self.gate, self.options, self.threads = runs, gate, options, threads

    def prepare(self):
        self.gate.check(self.request, self.get_query_argument("token", ""))

    def set_default_headers(self):
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")
        self.clear_header("Server")

    def write_error(self, status_code, exc_info=None, **_):
        error = exc_info[1] if exc_info else None
        line = str(error) if isinstance(error, InputError) else "the server failed; its console shows the error"
        if isinstance(error, Refused):
            status_code, line = error.args
        elif isinstance(error, InputError):
            status_code = 400
        elif isinstance(error, tornado.web.HTTPError):
            line = error.log_message or error.reason or "no such page"
        self.set_status(status_code)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(line)

    def log_exception(self, kind, value, trace):
        if not isinstance(value, Refused | InputError):
            super().log_exception(kind, value, trace)
