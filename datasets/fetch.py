"""Downloads a file over http(s) from the first of several addresses that works; interrupted downloads are resumed."""

import contextlib
import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from util.errors import InputError
from util.files import write_text
from util.show.bar import Bar

TRIES = 4  # attempts in a row without new bytes, before the next address is tried
PIECE = 1 << 18  # bytes read at a time
LARGEST = 1 << 37  # bytes; no published dataset is near this size, so a larger response is refused
PAUSE = 1.0  # seconds before the second attempt; doubled each time


class Refused(Exception):
    """The address refuses the file; further attempts would not help."""


class Broken(Exception):
    """The connection failed; another attempt may help."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but never from https down to http, and never to another kind of address."""

    def redirect_request(self, request, file, code, message, headers, address):
        before, after = (urllib.parse.urlsplit(each).scheme for each in (request.full_url, address))
        if after not in ("http", "https") or (before, after) == ("https", "http"):
            raise Refused(f"redirects to {after}")
        return super().redirect_request(request, file, code, message, headers, address)


def _opener():
    """An opener for http and https only, without handlers for file:, ftp: and data:."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _Redirects,
    ):
        opener.add_handler(handler())
    opener.addheaders = [("User-Agent", "metamer"), ("Accept-Encoding", "identity")]
    return opener


def fetch(addresses, path, timeout=30, pause=PAUSE, say=print):
    """Download from the first address that works to `path`; return that address.

    If all addresses fail, the received bytes stay in `<path>.part`, and the next call resumes there. Raises InputError
    with the reason for each address.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for address in addresses:
        try:
            _from_one(address, path, timeout, pause, say)
        except (Refused, Broken) as error:
            reasons.append(f"{address}: {error}")
            say(reasons[-1])
            continue
        return address
    raise InputError("; ".join(reasons))


def _from_one(address, path, timeout, pause, say):
    part = _Part(path)
    tries = 0
    while True:
        before = part.size()
        try:
            _get(address, part, timeout)
        except Broken as error:
            tries = 1 if part.size() > before else tries + 1
            if tries >= TRIES:
                raise
            say(f"{address}: {error}; trying again" + (f" from byte {part.size():,}" if part.size() else ""))
            time.sleep(pause * 2 ** (tries - 1))
            continue
        return part.finish()


class _Part:
    """The received bytes, and a JSON file with the address and version they belong to."""

    def __init__(self, path):
        self.path, self.part, self.note = path, Path(f"{path}.part"), Path(f"{path}.part.json")

    def size(self):
        return self.part.stat().st_size if self.part.is_file() else 0

    def version(self, address):
        """The ETag or date under which these bytes came from `address`, or None if they cannot be resumed."""
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(self.note.read_text(encoding="utf-8"))
            if note["address"] == address and self.size():
                return note["version"]
        return None

    def restart(self, address, version):
        self.part.unlink(missing_ok=True)
        write_text(self.note, json.dumps({"address": address, "version": version}))

    def append(self, pieces):
        """Append the pieces as they arrive; InputError if the disk is full."""
        try:
            with open(self.part, "ab") as file:
                for piece in pieces:
                    file.write(piece)
        except OSError as error:
            reason = error.strerror or error
            raise InputError(f"{self.part}: can't be written ({reason}); is the disk full?") from error

    def finish(self):
        os.replace(self.part, self.path)
        self.note.unlink(missing_ok=True)


def _get(address, part, timeout):
    """Request the missing bytes. Returns when the file is complete."""
    version, start = part.version(address), part.size()
    wanted = {"Range": f"bytes={start}-", "If-Range": version} if version else {}
    try:
        with _opener().open(urllib.request.Request(address, headers=wanted), timeout=timeout) as answer:
            start, total = _look(answer, address, part, start if version else 0)
            _receive(answer, part, start, total, timeout)
    except urllib.error.HTTPError as error:
        if error.code == 416:
            if start and error.headers.get("Content-Range") == f"bytes */{start}":
                return  # the file is complete: the last attempt ended because Content-Length was too large
            part.restart(address, None)
        if error.code >= 500 or error.code in (408, 416, 429):
            raise Broken(f"{error.code} {error.reason}") from None
        raise Refused(f"{error.code} {error.reason}") from None
    except urllib.error.URLError as error:
        raise Broken(_reason(error.reason, timeout)) from None
    except (http.client.HTTPException, OSError) as error:
        raise Broken(_reason(error, timeout)) from None


def _reason(error, timeout):
    if isinstance(error, TimeoutError):
        return f"no response for {timeout:g} seconds"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _look(answer, address, part, start):
    """(first byte, total size or None) of a response; starts again if the server sends the whole file."""
    headers = answer.headers
    if headers.get_content_type() in ("text/html", "application/xhtml+xml"):
        raise Refused("sends a web page instead of the file")
    length = headers.get("Content-Length", "")
    length = int(length) if length.isdecimal() else None
    if answer.status == 206 and start:
        place = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not place or int(place[1]) != start:
            part.restart(address, None)
            raise Broken("continues at another byte than requested")
        return start, int(place[2]) if place[2] != "*" else None
    # A weak ETag (W/"...") does not guarantee identical bytes.
    tag = headers.get("ETag", "")
    part.restart(address, tag if tag and not tag.startswith("W/") else headers.get("Last-Modified"))
    return 0, length


def _receive(answer, part, start, total, timeout):
    with Bar(total, "B", part.path.name, done=start) as bar:
        part.append(_pieces(answer, start, bar, timeout))
    if total is not None and part.size() != total:
        raise Broken(f"ended after {part.size():,} of {total:,} bytes")
    if not part.size():
        raise Refused("sends an empty file")


def _pieces(answer, start, bar, timeout):
    while piece := _read(answer, timeout):
        start += len(piece)
        if start > LARGEST:
            raise Refused(f"sends more than {LARGEST:,} bytes")
        bar.update(len(piece))
        yield piece


def _read(answer, timeout):
    try:
        return answer.read(PIECE)
    except (http.client.HTTPException, OSError) as error:
        raise Broken(_reason(error, timeout)) from None
