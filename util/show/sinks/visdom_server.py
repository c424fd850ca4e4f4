"""A visdom server beside the run, where none answers and the address is this machine's own.

By hand: python util/show/sinks/visdom_server.py -port 8097 -bind_local
"""

import contextlib
import importlib.util
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """Where a visdom server is: --display_server and --display_port taken apart."""

    scheme: str
    host: str
    port: int
    path: str  # "" or "/something", for a server behind a proxy

    @property
    def netloc(self):
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self):
        return f"{self.scheme}://{self.netloc}:{self.port}{self.path}"

    @property
    def is_local(self):
        # Only loopback names: the server that we start listens there and nowhere else.
        return self.host == "localhost" or self.host.startswith("127.")


class Beside(NamedTuple):
    """A server that this run has started."""

    process: subprocess.Popen
    log: pathlib.Path


def parse_address(server, port):
    """ValueError when `server` is no address; a port inside it ("localhost:9000") wins over `port`."""
    parts = urlsplit(server if "//" in server else f"http://{server}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{server!r} is no address like http://localhost")
    return Address(parts.scheme, parts.hostname, parts.port or port, parts.path.rstrip("/"))


def start_if_absent(address):
    """Start a server when nothing listens at a local address. Returns a Beside, or None; takes milliseconds."""
    if not address.is_local or os.environ.get("CI") or somebody_listens(address):
        return None
    folder = _own_folder()
    log = folder / f"server_{address.port}.log"
    command = [sys.executable, os.path.abspath(__file__), "-port", str(address.port), "-bind_local"]
    command += ["-logging_level", "WARNING", "-env_path", f"{folder}{os.sep}"]
    if address.path:
        command += ["-base_url", address.path]
    with open(log, "wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **_detached()
        )
    return Beside(process, log)


def somebody_listens(address):
    try:
        socket.create_connection((address.host, address.port), timeout=0.5).close()
    except OSError as error:
        return isinstance(error, TimeoutError)  # who lets us wait is there; only a refusal shows that nobody is
    return True


def page_is_blank():
    """True when visdom's browser files, which its package does not bring along, are not installed."""
    visdom = importlib.util.find_spec("visdom")
    return not (pathlib.Path(visdom.origin).parent / "static" / "js" / "react-react.min.js").exists()


def _own_folder():
    """~/.visdom, where visdom keeps its saved environments; a fresh folder where the home can't be written."""
    folder = pathlib.Path.home() / ".visdom"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else pathlib.Path(tempfile.mkdtemp(prefix="visdom_"))


def _detached():
    """What lets a process outlive the run and its terminal, and keeps the run's Ctrl-C from it."""
    if os.name == "nt":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def serve():
    """visdom's server with its own command line, less its downloads, torch (300 MB), and restarts on file changes."""
    sys.modules["torch"] = None  # visdom imports it if it can, and needs it for nothing on this side
    from visdom.server import app, run_server

    app.tornado_settings["autoreload"] = False  # its sessions live in memory: a restart would lose them
    run_server.main()


if __name__ == "__main__":
    serve()
