"""Chromium for tests of pages: ``from browser import chromium, visit``. Skips with a reason where it is missing.

visit(chromium, address) opens a page, and fails the test if the page asks the network for anything, writes an error
to the console or throws one.
"""

import contextlib
import shutil
from pathlib import Path

import pytest

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"),
)


def executable():
    """The Chromium of the system; None without one."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.fixture(scope="module")
def chromium():
    """A browser for the tests of a module."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    if executable() is None:
        pytest.skip("no Chromium on this machine: apt-get install chromium")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=list(FLAGS))
        yield browser
        browser.close()


@contextlib.contextmanager
def visit(chromium, address, width=1280, height=800, dark=False, allowed=("file:", "data:"), scripts=True):
    """A page of an address or file. `allowed`: prefixes of addresses that the page may load."""
    scheme = "dark" if dark else "light"
    context = chromium.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, java_script_enabled=scripts
    )
    page, trouble = context.new_page(), []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.on("requestfailed", lambda request: trouble.append(f"failed: {request.url}"))
    page.on("request", lambda request: None if request.url.startswith(allowed) else trouble.append(request.url))
    page.on("dialog", lambda dialog: (trouble.append(f"dialog: {dialog.message}"), dialog.dismiss()))
    page.set_default_timeout(10_000)
    page.goto(Path(address).resolve().as_uri() if "://" not in str(address) else str(address))
    try:
        yield page
        assert not trouble, trouble
    finally:
        context.close()


def violations(page, part=None):
    """The problems that axe-core finds in a page or a part of it, one a line; skips the test if it is not installed."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page, context=part, options={"preload": False}).response["violations"]
    return [f"{each['id']}: {node['html'][:150]}" for each in found for node in each["nodes"]]
