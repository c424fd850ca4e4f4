"""Serve a web page that translates images with trained runs:

    python scripts/serve.py checkpoints/horses checkpoints/facades

The page is at http://localhost:7860/ and takes an image that is dropped, pasted, chosen or photographed. Only this
machine can open it, and it loads nothing from other machines. With --host (0.0.0.0: all networks of this machine) other
machines can open it, too; each request then needs the token that is printed.
"""

import asyncio
import errno
import inspect
import logging
import os
import re
import sys
import tempfile
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import tornado.httpserver
import tornado.netutil
import tornado.web
from PIL import Image

from options.parser import OptionParser
from util.errors import InputError, clear_errors
from util.flags import Float, Int
from util.run import folder as run_folder
from util.show.page_files import ASSETS
from util.show.web_server import Gate, Handler, Refused

KEPT = 4  # Translators in memory, one for each combination of run, epoch and direction
WAITING = 8  # translations that may wait; further requests are refused
FILES = {"common.css": "text/css", "serve.css": "text/css", "serve.js": "text/javascript"}


def read_options(command_line):
    parser = OptionParser(command_line)
    parser.description = "Serve a page that translates images with trained runs."
    add = parser.add_argument
    add("runs", nargs="+", metavar="RUN", help="folders of trained runs, such as checkpoints/horses")
    add("--host", default="localhost", help="address to listen at; other machines need the printed token")
    add("--port", type=Int(0, 65535), default=7860, help="port to listen at; 0: any free port")
    add("--device", default="auto", help="auto | cpu | cuda | cuda:N | mps")
    add("--max_megabytes", type=Float(above=0), default=20.0, help="largest file that is accepted")
    add("--max_megapixels", type=Float(above=0), default=16.0, help="largest image that is accepted")
    add("--max_per_minute", type=Int(1), default=60, help="translations that one address may ask for in a minute")
    return parser.parse_or_help()


class Runs:
    """The runs of the page with their choices, and their Translators, which are loaded when they are first used."""

    def __init__(self, folders, device):
        self.device, self.folders = device, {}
        for folder in folders:
            name = os.path.basename(os.path.abspath(folder))
            if self.folders.setdefault(name, folder) != folder:
                raise InputError(f"{folder}: another run has the name {name}; serve them separately")
        self.described = [self._describe(name, folder) for name, folder in self.folders.items()]
        self.loaded = OrderedDict()

    def _describe(self, name, folder):
        import models
        from models.trained import options_of

        opt = options_of(folder, "latest", "cpu")  # InputError if it is no run
        files = (run_folder.split_name(os.path.basename(path)) for path in run_folder.checkpoints(folder))
        tags = {tag for tag, kind, _ in files if kind == "net"}
        if not tags:
            raise InputError(f"{folder}: no weights (latest_net_G.pth) in this folder")
        takes = inspect.signature(models.find_model_using_name(opt.model).translate).parameters
        two_sided, targets = "direction" in takes, "target" in takes
        return {
            "name": name,
            "model": opt.model,
            "epochs": sorted(
                tags, key=lambda tag: (tag != "latest", not tag.isalpha(), -int(re.sub(r"\D", "", tag) or 0))
            ),
            "directions": [opt.direction, {"AtoB": "BtoA", "BtoA": "AtoB"}[opt.direction]] if two_sided else [],
            "attributes": list(opt.selected_attrs) if targets else [],
            "domains": list(opt.domains) if targets else [],
        }

    def translate(self, choice, path):
        """The translation of an image file as PNG; Refused or InputError with a message for the page."""
        run = next((each for each in self.described if each["name"] == choice["run"]), None)
        if run is None or choice["epoch"] not in run["epochs"]:
            raise Refused(400, f"there is no run {choice['run']} with the checkpoint {choice['epoch']} here")
        if choice["direction"] and choice["direction"] not in run["directions"]:
            raise Refused(400, f"{choice['run']} has no direction {choice['direction']}")
        if (run["attributes"] or run["domains"]) and not choice["target"]:
            raise Refused(400, "choose what to translate to: an attribute or a domain")
        translator = self._translator(choice["run"], choice["epoch"], choice["direction"] or None)
        made = translator(path, target=choice["target"] or None)
        if not isinstance(made, Image.Image):
            raise Refused(400, f"a result of type {made.dtype} {made.shape} can't be shown; use scripts/translate.py")
        if made.mode == "F":
            made = made.point(lambda value: value * 255 + 0.5).convert("L")
        png = BytesIO()
        made.save(png, format="PNG")
        return png.getvalue()

    def _translator(self, *choice):
        from models.translator import Translator

        if choice not in self.loaded:
            while len(self.loaded) >= KEPT:
                self.loaded.popitem(last=False)
            run, epoch, direction = choice
            self.loaded[choice] = Translator.load(self.folders[run], epoch, direction, self.device)
        self.loaded.move_to_end(choice)
        return self.loaded[choice]


class PageHandler(Handler):
    def get(self):
        text = (ASSETS / "serve.html").read_text(encoding="utf-8")
        query = f"?token={self.gate.token}" if self.gate.token else ""
        self.finish(text.replace("$query", query))


class FileHandler(Handler):
    def get(self, name):
        self.set_header("Content-Type", f"{FILES[name]}; charset=utf-8")
        self.finish((ASSETS / name).read_bytes())


class RunsHandler(Handler):
    def get(self):
        limits = {"bytes": int(self.options.max_megabytes * 1e6)}
        self.finish({"runs": self.runs.described, "limits": limits})


@tornado.web.stream_request_body
class TranslateHandler(Handler):
    """POST of an image file, with run, epoch, direction and target in the query, returns the translation as PNG."""

    def prepare(self):
        super().prepare()
        self.body, self.most = bytearray(), int(self.options.max_megabytes * 1e6)
        size = int(self.request.headers.get("Content-Length") or 0)
        if size > self.most:
            raise Refused(413, f"{size / 1e6:.1f} MB: at most {self.options.max_megabytes:g} MB are accepted")
        self.gate.count(self.request.remote_ip)

    def data_received(self, chunk):
        self.body += chunk
        if len(self.body) > self.most:  # a body without a Content-Length
            raise tornado.web.HTTPError(413)

    async def post(self):
        if self.gate.waiting >= WAITING:
            raise Refused(503, "too many images are waiting; try again in a minute")
        choice = {name: self.get_query_argument(name, "") for name in ("run", "epoch", "direction", "target")}
        work = asyncio.get_running_loop().run_in_executor(self.threads, self.translate, choice, bytes(self.body))
        self.gate.waiting += 1
        try:
            made = await work
        finally:
            self.gate.waiting -= 1
        self.set_header("Content-Type", "image/png")
        self.finish(made)

    def translate(self, choice, content):
        check_picture(content, self.options.max_megapixels)
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "image")
            Path(path).write_bytes(content)
            try:
                return self.runs.translate(choice, path)
            except ValueError as error:
                raise Refused(400, str(error).replace(f"{path}: ", "")) from error


def check_picture(content, max_megapixels):
    """Refused if the bytes are no image or have too many pixels; only the header is read."""
    from data.pictures import FORMATS, reason

    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
    except Exception as error:  # decoders raise many types of exceptions for damaged files
        raise Refused(400, reason(error)) from error
    if pixels > max_megapixels * 1e6:
        raise Refused(400, f"{pixels / 1e6:.1f} megapixels: at most {max_megapixels:g} are accepted")


def make_app(options):
    """(the tornado application, its Gate)."""
    gate = Gate(options.host, options.max_per_minute)
    parts = {"runs": Runs(options.runs, options.device), "gate": gate, "options": options}
    parts["threads"] = ThreadPoolExecutor(1)  # one translation at a time
    names = "|".join(map(re.escape, FILES))
    routes = [
        ("/", PageHandler),
        (f"/({names})", FileHandler),
        ("/runs", RunsHandler),
        ("/translate", TranslateHandler),
    ]
    return tornado.web.Application([(path, handler, parts) for path, handler in routes]), gate


def listen(options):
    """Sockets at --host and --port; InputError if they can't be opened."""
    try:
        return tornado.netutil.bind_sockets(options.port, options.host)
    except OSError as error:
        mend = "; choose another --port, or --port 0 for any free port" * (error.errno == errno.EADDRINUSE)
        raise InputError(f"--host {options.host} --port {options.port}: {error.strerror or error}{mend}") from None


async def serve(options, started=None):
    """Serve until cancelled; `started` is called with the address of the page."""
    app, gate = make_app(options)
    sockets = listen(options)
    server = tornado.httpserver.HTTPServer(app, max_body_size=int(options.max_megabytes * 2e6) + 10**6)
    server.add_sockets(sockets)
    port = sockets[0].getsockname()[1]
    name = f"[{options.host}]" if ":" in options.host else options.host
    address = f"http://{name}:{port}/" + (f"?token={gate.token}" if gate.token else "")
    (started or print)(f"{address}" if started else f"serving {', '.join(options.runs)} at {address} (Ctrl-C stops)")
    await asyncio.Event().wait()


def main(command_line=None):
    options = read_options(sys.argv[1:] if command_line is None else command_line)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)
    try:
        asyncio.run(serve(options))
    except KeyboardInterrupt:
        print("stopped")


if __name__ == "__main__":
    with clear_errors():
        main()
