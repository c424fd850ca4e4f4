"""Starts a visdom server if its address is on this machine and no program listens on the port.

Manually: python util/show/sinks/visdom_server.py -port 8097 -bind_local
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
    """The address of a visdom server, parsed from --display_server and --display_port."""

    scheme: str
    host: str
    port: int
    path: str  # "" or "/something", for a server behind a proxy

    @property
    def netloc(self) -> str:
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.netloc}:{self.port}{self.path}"

    @property
    def is_local(self) -> bool:
        # Only loopback names: a server started by a run listens only there.
        return self.host == "localhost" or self.host.startswith("127.")


class StartedServer(NamedTuple):
    """A server that this run started."""

    process: subprocess.Popen
    log: pathlib.Path


def parse_address(server: str, port: int) -> Address:
    """Parse an address, or raise ValueError; a port inside `server` ("localhost:9000") takes precedence over `port`."""
    parts = urlsplit(server if "//" in server else f"http://{server}")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{server!r} is not an address like http://localhost")
    return Address(parts.scheme, parts.hostname, parts.port or port, parts.path.rstrip("/"))


def start_if_absent(address: Address) -> StartedServer | None:
    """Start a server if the address is local and its port is free. Does not wait until the server is ready."""
    if not address.is_local or os.environ.get("CI") or is_listening(address):
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
    return StartedServer(process, log)


def is_listening(address: Address) -> bool:
    try:
        socket.create_connection((address.host, address.port), timeout=0.5).close()
    except OSError as error:
        return isinstance(error, TimeoutError)  # a time-out means a slow server; a refused connection means no server
    return True


def page_is_blank() -> bool:
    """Whether the files for the browser, which the visdom package does not contain, are missing."""
    visdom = importlib.util.find_spec("visdom")
    if visdom is None or visdom.origin is None:
        return True
    return not (pathlib.Path(visdom.origin).parent / "static" / "js" / "react-react.min.js").exists()


def _own_folder():
    """~/.visdom, where visdom saves its environments, or a temporary folder if the home is not writable."""
    folder = pathlib.Path.home() / ".visdom"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
    return folder if os.access(folder, os.W_OK) else pathlib.Path(tempfile.mkdtemp(prefix="visdom_"))


def _detached():
    """Arguments of Popen for a process that survives the run and its terminal and does not receive its Ctrl-C."""
    if os.name == "nt":
        return {"creationflags": subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def serve() -> None:
    """Run visdom's server with its own flags, but without downloads, without torch (300 MB) and without auto-reload."""
    sys.modules["torch"] = None  # type: ignore[assignment]  # makes the import fail: visdom's server does not need torch
    from visdom.server import app, run_server

    app.tornado_settings["autoreload"] = False  # sessions are held in memory: a restart would lose them
    run_server.main()


if __name__ == "__main__":
    serve()
