"""scripts/serve.py: the page in a browser, responses to bad requests, and access control."""

import asyncio
import base64
import io
import threading
import urllib.error
import urllib.request

import numpy as np
import pytest
from browser import chromium, violations, visit  # noqa: F401
from PIL import Image
from runs import CYCLE_GAN, STARGAN, make_run

from metamer import load
from scripts import serve
from util.errors import InputError

PASTE = """bytes => {
  const binary = Uint8Array.from(atob(bytes), letter => letter.charCodeAt(0)), data = new DataTransfer();
  data.items.add(new File([binary], "shot.png", {type: "image/png"}));
  document.dispatchEvent(new ClipboardEvent("paste", {clipboardData: data, bubbles: true}));
}"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    both = make_run(folder, *CYCLE_GAN, name="horses")
    (both / "5_net_G_A.pth").write_bytes((both / "latest_net_G_A.pth").read_bytes())
    faces = make_run(folder, *STARGAN, "--d_conv_dim", "4", name="faces", small=("--dataroot", ".", "--device", "cpu"))
    return both, faces


class Server:
    """The server in a thread; `address` is that of the page."""

    def __init__(self, *words):
        self.loop, self.ready = asyncio.new_event_loop(), threading.Event()
        options = serve.read_options([*map(str, words), "--port", "0", "--device", "cpu"])
        self.task = self.loop.create_task(serve.serve(options, self.started))
        self.thread = threading.Thread(target=self.run, daemon=True)

    def run(self):
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.task)
        except asyncio.CancelledError:
            self.loop.close()

    def started(self, address):
        self.address = address.replace("localhost", "127.0.0.1").replace("0.0.0.0", "127.0.0.1")
        self.ready.set()

    def __enter__(self):
        self.thread.start()
        assert self.ready.wait(60)
        return self

    def __exit__(self, *_):
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(10)

    def ask(self, path="", content=None, **headers):
        """(status, body) of a request."""
        base, _, query = self.address.partition("?")
        joint = "&" if "?" in path else "?"
        request = urllib.request.Request(f"{base}{path}{joint + query if query else ''}", content, headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()


@pytest.fixture(scope="module")
def server(runs):
    with Server(*runs, "--max_megapixels", "0.01", "--max_megabytes", "0.1") as running:
        yield running


def png(height=21, width=30, seed=0):
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return pixels, file.getvalue()


def pixels_of(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def test_the_page_translates_an_image_in_a_browser(server, runs, chromium, tmp_path):  # noqa: F811
    pixels, content = png()
    (tmp_path / "holiday.png").write_bytes(content)
    allowed = (server.address, "blob:", "data:")
    with visit(chromium, server.address, allowed=allowed) as page:
        page.get_by_text("is a cycle_gan model").wait_for()
        assert page.locator("#epoch option").all_inner_texts() == ["latest", "5"]
        page.select_option("#direction", "BtoA")
        page.set_input_files("#file", tmp_path / "holiday.png")
        page.wait_for_selector("#result:not([hidden])")
        assert page.inner_text("#status").startswith("30") and page.inner_text("#status").endswith("21 pixels")
        with page.expect_download() as download:
            page.click("#download")
        assert download.value.suggested_filename == "holiday_horses.png"
        made = np.asarray(Image.open(download.value.path()))
        assert np.array_equal(made, load(runs[0], direction="BtoA", device="cpu")(pixels))
        page.evaluate("slide(20)")
        assert page.evaluate("getComputedStyle(document.getElementById('before')).clipPath") == "inset(0px 80% 0px 0px)"
        assert violations(page) == []
    with visit(chromium, server.address, width=390, dark=True, allowed=allowed) as page:
        page.select_option("#run", "faces")
        assert page.locator("#attributes select").count() == 2
        page.evaluate(PASTE, base64.b64encode(content).decode())
        page.wait_for_selector("#result:not([hidden])")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert violations(page) == []


def test_a_bad_upload_shows_one_line_on_the_page(server, chromium, tmp_path):  # noqa: F811
    (tmp_path / "bad.png").write_text("no image")
    (tmp_path / "large.png").write_bytes(b"0" * 200_000)
    page = chromium.new_page()
    page.goto(server.address)
    page.get_by_text("is a cycle_gan model").wait_for()
    for name, line in (("bad.png", "not an image"), ("large.png", "at most 0.1 MB")):
        page.set_input_files("#file", tmp_path / name)
        page.locator("#status", has_text=line).wait_for()
    page.close()


def test_a_request_gives_the_pixels_of_the_call(server, runs):
    pixels, content = png(seed=1)
    status, body = server.ask("translate?run=faces&epoch=latest&direction=&target=Male%3D1%2BYoung%3D0", content)
    assert status == 200
    wanted = load(runs[1], device="cpu")(pixels, target={"Male": 1, "Young": 0})
    assert np.array_equal(pixels_of(body), wanted)


@pytest.mark.parametrize(
    ("query", "content", "status", "line"),
    [
        ("run=horses&epoch=latest", b"no image", 400, b"not an image"),
        ("run=horses&epoch=latest", png(200, 100)[1], 400, b"0.0 megapixels: at most 0.01"),
        ("run=horses&epoch=latest", b"0" * 200_000, 413, b"at most 0.1 MB"),
        ("run=../horses&epoch=latest", png()[1], 400, b"there is no run"),
        ("run=horses&epoch=9", png()[1], 400, b"there is no run horses with the checkpoint 9"),
        ("run=horses&epoch=latest&direction=up", png()[1], 400, b"no direction up"),
        ("run=faces&epoch=latest", png()[1], 400, b"choose what to translate to"),
        ("run=faces&epoch=latest&target=Old", png()[1], 400, b"has not learnt 'Old'"),
    ],
)
def test_a_bad_request_returns_one_line(server, query, content, status, line):
    got, body = server.ask(f"translate?{query}", content)
    assert got == status and line in body and b"\n" not in body and b"Traceback" not in body


def test_requests_from_other_origins_are_refused(server):
    assert server.ask("runs", Host="evil.example")[0] == 403
    assert server.ask("translate?run=horses&epoch=latest", png()[1], Origin="http://evil.example")[0] == 403
    assert server.ask("..%2fserve.py")[0] == 404


def test_other_machines_need_the_token_and_the_rate_is_limited(runs):
    with Server(runs[0], "--host", "0.0.0.0", "--max_per_minute", "2") as running:
        assert "?token=" in running.address and running.ask("runs")[0] == 200
        token, running.address = running.address, running.address.split("?")[0]
        for path in ("", "runs", "serve.js", "translate?run=horses&epoch=latest"):
            assert running.ask(path)[0] == 403
        running.address = token
        found = [running.ask("translate?run=horses&epoch=latest&direction=", png()[1]) for _ in range(3)]
        assert [status for status, _ in found] == [200, 200, 429] and b"wait" in found[2][1]


def test_runs_that_can_not_be_served_give_one_line(runs, tmp_path):
    for words, said in (([tmp_path], "no trained run"), ([runs[0], tmp_path / "horses"], "another run has the name")):
        with pytest.raises(InputError, match=said):
            serve.make_app(serve.read_options([str(word) for word in words]))
    with Server(runs[0]) as running, pytest.raises(InputError, match="; choose another --port"):
        port = running.address.rsplit(":")[-1].strip("/")
        serve.listen(serve.read_options([str(runs[0]), "--port", port]))
