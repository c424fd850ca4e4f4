"""The visdom dashboard in a browser: growing curves, images, restarts of server and run."""

import json
import os
import signal
import time

import numpy as np
import pytest
from browser import chromium, visit  # noqa: F401
from test_visdom_server import own_home, run  # noqa: F401

from scripts import replay_visdom
from util.show.sinks import open_sinks, visdom_server

PLOTS = "[...document.querySelectorAll('.js-plotly-plot')]"
POINTS = f"Math.max(0, ...{PLOTS}.flatMap(plot => plot.data.map(trace => trace.x.length)))"
PICTURES = "[...document.querySelectorAll('.content img')].filter(image => image.naturalWidth > 20).length"


@pytest.fixture
def opt(run):  # noqa: F811
    if visdom_server.page_is_blank():
        pytest.skip("visdom's browser files are missing: python scripts/fetch_visdom_assets.py")
    opt, sinks = run
    opt.display_env, opt.continue_train = None, False
    return opt, sinks


def feed(sink, log, steps):
    for step in steps:
        losses = {"G_A": 1 / step, "D_A": 0.5}
        with open(log, "a") as file:
            file.write(json.dumps({"epoch": 1, "x": step / 100, "losses": losses, "lr": 1e-4}) + "\n")
        sink.scalars(step, losses, step / 100)
        sink.status(step, {"learning rate": {"rate": 1e-4}}, step / 100)
    picture = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    sink.images(step, {"real_A": picture, "fake_B": picture})
    sink.samples(step, {"real_A 1": picture, "fake_B 1": picture})


def stop_server(sink):
    process = sink.sink.started_server.process
    os.kill(process.pid, signal.SIGTERM)
    process.wait(20)


def await_plot(page, points):
    """A page that was opened before the environment existed shows it after a reload only."""
    from playwright.sync_api import TimeoutError

    for _ in range(6):
        try:
            return page.wait_for_function(f"{POINTS} >= {points} && {PICTURES} >= 2", timeout=10_000)
        except TimeoutError:
            page.reload()
    pytest.fail(f"no plot with {points} points and no pictures")


def test_curves_grow_and_survive_restarts_of_the_server_and_of_the_run(opt, chromium, tmp_path):  # noqa: F811
    opt, sinks = opt
    log = tmp_path / "run" / "loss_log.jsonl"
    (sink,) = open_sinks(opt)
    sinks.append(sink.sink)
    feed(sink, log, range(1, 11))
    address = f"http://localhost:{opt.display_port}/env/run"
    allowed = (f"http://localhost:{opt.display_port}", "data:", "blob:")
    while not visdom_server.is_listening(sink.sink.address):
        time.sleep(0.2)
    with visit(chromium, address, allowed=allowed) as page:
        await_plot(page, 10)
        names = page.evaluate(f"{PLOTS}.flatMap(plot => plot.data.map(trace => trace.name))")
        assert {"G_A", "D_A", "G_A smoothed", "D_A smoothed", "rate"} <= set(names)
        feed(sink, log, range(11, 21))
        await_plot(page, 20)
        x = page.evaluate(f"Math.max(...{PLOTS}.flatMap(plot => plot.data.flatMap(trace => trace.x)))")
        assert x == pytest.approx(0.2)
    stop_server(sink)
    again = visdom_server.start_if_absent(sink.sink.address)  # like another run with this port
    sink.sink.started_server = again
    feed(sink, log, range(21, 26))
    with visit(chromium, address, allowed=allowed) if wait_for(sink.sink.address) else pytest.fail("no server") as page:
        await_plot(page, 25)
    sink.close()
    opt.continue_train = True
    (resumed,) = open_sinks(opt)
    feed(resumed, log, range(26, 28))
    with visit(chromium, address, allowed=allowed) as page:
        await_plot(page, 27)
    resumed.close()


def wait_for(address):
    end = time.monotonic() + 60
    while not visdom_server.is_listening(address) and time.monotonic() < end:
        time.sleep(0.2)
    return visdom_server.is_listening(address)


def test_a_finished_run_is_replayed(opt, chromium, tmp_path):  # noqa: F811
    opt, sinks = opt
    folder = tmp_path / "run"
    lines = [{"epoch": 1, "x": n / 10, "losses": {"G": n}, "lr": 0.1, "time": 1, "data": 0} for n in range(1, 8)]
    (folder / "loss_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "metrics.jsonl").write_text('{"images_seen": 9, "epoch": 1, "x": 0.5, "metrics": {"psnr": 21.0}}\n')
    from PIL import Image

    (folder / "web" / "images").mkdir(parents=True)
    for name in ("epoch001_real_A", "epoch001_fake_B", "sample1_real_A", "sample1_epoch001_fake_B"):
        Image.new("RGB", (40, 40), (9, 9, 200)).save(folder / "web" / "images" / f"{name}.png")
    address = visdom_server.parse_address("http://localhost", opt.display_port)
    server = visdom_server.start_if_absent(address)
    sinks.append(type("Started", (), {"started_server": server}))
    assert replay_visdom.main([str(folder), "--display_port", str(opt.display_port)]) == 0
    allowed = (f"http://localhost:{opt.display_port}", "data:", "blob:")
    with visit(chromium, f"{address.url}/env/run", allowed=allowed) as page:
        await_plot(page, 7)
        titles = page.locator(".bar").all_inner_texts()
        for plot in ("loss", "learning rate", "seconds per image", "psnr"):
            assert any(plot in title for title in titles), titles
