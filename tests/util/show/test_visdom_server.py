"""The visdom server of a run: when it is started, and a complete run with a real server."""

import argparse
import base64
import io
import os
import signal
import socket
import sys
import time

import numpy as np
import pytest
from PIL import Image

from util.show.sinks import open_sinks
from util.show.sinks.visdom_server import Address, is_listening, page_is_blank, parse_address, start_if_absent


@pytest.fixture
def own_home(monkeypatch, tmp_path):
    for name in ("HOME", "XDG_CONFIG_HOME", "USERPROFILE", "APPDATA"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    return tmp_path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.parametrize(
    "given, expected",
    [
        ("http://localhost", Address("http", "localhost", 9, "")),
        ("localhost", Address("http", "localhost", 9, "")),
        ("http://127.0.0.1:77/", Address("http", "127.0.0.1", 77, "")),
        ("https://box.example/visdom/", Address("https", "box.example", 9, "/visdom")),
        ("http://[::1]", Address("http", "::1", 9, "")),
    ],
)
def test_addresses_are_parsed(given, expected):
    assert parse_address(given, 9) == expected


@pytest.mark.parametrize("given", ["", "http://", "ftp://x", "http://a:port"])
def test_invalid_addresses_are_refused(given):
    with pytest.raises(ValueError):
        parse_address(given, 9)


def test_urls_are_built_from_addresses():
    assert parse_address("http://[::1]", 9).url == "http://[::1]:9"
    assert parse_address("https://box.example/visdom", 9).url == "https://box.example:9/visdom"
    assert parse_address("localhost", 9).is_local and not parse_address("box.example", 9).is_local


def test_no_server_is_started_in_ci_on_other_hosts_or_on_a_used_port(monkeypatch, own_home):
    def no_process(*args, **given):
        raise AssertionError("a server was started")

    monkeypatch.setattr("subprocess.Popen", no_process)
    assert start_if_absent(parse_address("http://box.invalid", free_port())) is None
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert start_if_absent(parse_address("127.0.0.1", listener.getsockname()[1])) is None
    monkeypatch.setenv("CI", "1")
    assert start_if_absent(parse_address("localhost", free_port())) is None


def test_an_unwritable_home_folder_is_no_error(monkeypatch, own_home, tmp_path):
    started = []
    monkeypatch.setattr("subprocess.Popen", lambda command, **given: started.append((command, given)))
    (tmp_path / ".visdom").write_text("a file, where a folder should be")
    monkeypatch.setattr("os.access", lambda path, mode: False)
    beside = start_if_absent(parse_address("localhost", free_port()))
    assert beside.log.exists() and tmp_path / ".visdom" not in beside.log.parents
    assert "-bind_local" in started[0][0]


@pytest.fixture
def run(own_home, tmp_path):
    """A run's options, at a free port of this machine; the server that it starts is ended afterwards."""
    pytest.importorskip("visdom", reason="visdom is not installed")
    (tmp_path / "run").mkdir()
    opt = argparse.Namespace(
        name="run",
        checkpoints_dir=str(tmp_path),
        display_id=20,
        display_server="http://localhost",
        display_port=free_port(),
        display_env="some_env",
        display_ncols=2,
    )
    sinks = []
    yield opt, sinks
    for sink in sinks:
        if sink.started_server is not None:
            os.kill(sink.started_server.process.pid, signal.SIGTERM)
            sink.started_server.process.wait(20)


def test_a_real_server_is_started_and_shows_losses_and_pictures(run, capsys, tmp_path):
    import requests

    opt, sinks = run
    began = time.monotonic()
    (guarded,) = open_sinks(opt)
    assert time.monotonic() - began < 5
    sink = guarded.sink
    sinks.append(sink)
    picture = np.random.default_rng(0).integers(0, 255, (20, 30, 3), dtype=np.uint8)
    for step in range(1, 6):
        guarded.scalars(step, {"G_A": step / 2, "D_A": 1.0}, step / 10)
        guarded.images(step, {"real_A": picture, "<fake_B>": picture})
    url = f"http://127.0.0.1:{opt.display_port}"

    def window(number):
        try:
            answer = requests.post(f"{url}/win_data", json={"win": str(number), "eid": "some_env"}, timeout=5)
        except requests.RequestException:
            return None
        return answer.json() if answer.status_code == 200 else None

    end = time.monotonic() + 60
    while window(22) is None and time.monotonic() < end:
        time.sleep(0.2)
    guarded.scalars(6, {"G_A": 3.0, "D_A": float("nan")}, 0.6)
    guarded.close()

    traces = window(20)["content"]["data"]
    assert [trace["name"] for trace in traces] == ["G_A", "D_A", "G_A smoothed", "D_A smoothed"]
    assert traces[0]["x"] == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6] and traces[0]["y"] == [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    assert traces[1]["y"] == [1.0, 1.0, 1.0, 1.0, 1.0, None]
    source = window(21)["content"]["src"]
    sheet = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.split(",")[1]))))
    assert np.array_equal(sheet[4:24, 4:34], picture) and np.array_equal(sheet[4:24, 38:68], picture)
    assert "&lt;fake_B&gt;" in window(22)["content"]
    assert requests.get(url, timeout=5).status_code == 200

    process = sink.started_server.process
    assert process.poll() is None  # it outlives the run
    captured = capsys.readouterr()
    assert f"http://localhost:{opt.display_port}/env/some_env" in captured.out
    assert f"kill {process.pid}" in captured.out and captured.err == ""
    assert sink.started_server.log.parent == tmp_path / ".visdom"
    if hasattr(os, "getsid"):
        assert os.getsid(process.pid) != os.getsid(0)
    # A second run finds the first one's server.
    (again,) = open_sinks(opt)
    assert again.sink.started_server is None
    assert is_listening(again.sink.address)


def test_a_started_server_that_fails_is_reported_once_with_its_log(run, monkeypatch, capsys):
    opt, _ = run
    monkeypatch.setattr("util.show.sinks.visdom_sink.START_UP", 0.6)
    monkeypatch.setattr(sys, "executable", "/bin/false" if os.path.exists("/bin/false") else "/usr/bin/false")
    (guarded,) = open_sinks(opt)
    sink = guarded.sink
    guarded.scalars(1, {"G_A": 1.0}, 0.1)
    time.sleep(2)
    guarded.close()
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and str(sink.started_server.log) in error
    sink.started_server.process.wait(20)


def test_a_blank_page_is_recognised(monkeypatch, tmp_path):
    package = tmp_path / "visdom"
    (package / "static" / "js").mkdir(parents=True)
    spec = argparse.Namespace(origin=str(package / "__init__.py"))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: spec)
    assert page_is_blank()
    (package / "static" / "js" / "react-react.min.js").touch()
    assert not page_is_blank()
