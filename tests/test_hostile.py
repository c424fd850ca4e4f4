"""Hostile names, files and texts run no code, leave no folder, and give one line."""

import itertools
import json
import math
import os
import pickle
import re
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_programs import CYCLE_GAN, PIX2PIX, ROOT, picture, train, translate, unpaired  # noqa: F401

from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError
from util.flags import Float, Int
from util.run import folder as run_folder
from util.show.result_page import folder_of

BOTH = {"train": TrainOptions, "test": TestOptions}


class Exploit:
    def __reduce__(self):
        return (os.mkdir, (os.environ["EXPLOIT"],))


def test_a_run_whose_files_would_run_code_is_refused_by_name(unpaired, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setenv("EXPLOIT", str(tmp_path / "ran"))
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    for path in run.glob("2_*"):  # so that there is no other checkpoint to continue from
        path.unlink()
    listed = json.loads((run / "latest_manifest.json").read_text())
    refused = 0
    for name, use in (
        ("latest_net_G_A.pth", lambda: translate(unpaired, tmp_path)),
        ("latest_state.pth", lambda: train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2")),
    ):
        path = run / name
        whole = path.read_bytes()
        for how in ("pickle", "zip", "legacy"):
            if how == "pickle":
                path.write_bytes(pickle.dumps(Exploit(), protocol=2))
            else:
                hostile = {"format": 1, "w": Exploit()}
                torch.save(hostile, path, _use_new_zipfile_serialization=how == "zip")
            for vouched in (True, False):
                files = {**listed["files"], name: run_folder.checksum(path)} if vouched else listed["files"]
                (run / "latest_manifest.json").write_text(json.dumps({**listed, "files": files}))
                capsys.readouterr()
                with pytest.raises(InputError) as caught:
                    use()
                assert name in capsys.readouterr().out + str(caught.value)
                refused += 1
        path.write_bytes(whole)
    (run / "latest_manifest.json").write_bytes(pickle.dumps(Exploit()))
    train(unpaired, tmp_path, "--continue_train", "--n_epochs", "2")  # a manifest that is not JSON is ignored
    assert not (tmp_path / "ran").exists()
    with capsys.disabled():
        print(f" [{refused + 1} pickles]", end="")


HOSTILE_OPTIONS = [
    *("", "{", "[]", "null", "7", '{"format": 1}', '{"format": 1, "options": []}', '{"format": [], "options": {}}'),
    *("[" * 100_000, '{"format": 1, "options": {"model": {}, "dataset_mode": 3}}', '{"format": 1e999, "options": {}}'),
    '{"format": 1, "options": {"model": "cycle_gan", "dataset_mode": "unaligned"}, "own": [1]}',
    '{"format": 99, "options": {"model": "cycle_gan", "dataset_mode": "unaligned"}}',
]


@pytest.mark.parametrize("words", [(), ("--continue_train",)], ids=["test", "continue"])
def test_a_hostile_options_file_gives_one_line(words, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    for text in HOSTILE_OPTIONS:
        (folder / "train_opt.json").write_text(text)
        line = ["--dataroot", "d", "--name", "run", "--checkpoints_dir", str(tmp_path), "--device", "cpu", *words]
        with pytest.raises(InputError, match="train_opt.json") as caught:
            (TrainOptions if words else TestOptions)(line).parse()
        assert "\n" not in str(caught.value)
    assert run_folder.read(str(tmp_path), "nobody") is None


# No command line can hold a NUL, so none is among them.
LEAVING = [
    *("../x", "a/../../x", "..", ".", "/etc/x", "/", "", "a//b", "a\\..\\..\\x", "C:\\x", "a\nb", "\x1b[31m", "\t"),
    *("a/", "./a", "..\\x", "a/..", "a\u2028b", "x" * 300),
]
STAYING = {"--suffix": 8, "--phase": 8}  # smallest number of refused texts; --name and --epoch refuse nearly all


@pytest.mark.parametrize("flag", ["--name", "--epoch", "--suffix", "--phase"])
def test_no_name_leads_outside_its_folder(flag, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    tried = refused = 0
    for word, options in itertools.product(LEAVING, BOTH.values()):
        tried += 1
        try:
            opt = options(["--dataroot", "d", "--device", "cpu", f"{flag}={word}"]).parse()
        except InputError as error:
            assert not re.search(r"[\0-\x1f\x7f\u2028]", str(error))
            refused += 1
            continue
        inside(opt.checkpoints_dir, os.path.join(opt.checkpoints_dir, opt.name))
        inside(opt.checkpoints_dir, os.path.join(opt.checkpoints_dir, opt.name, f"{opt.epoch}_net_G.pth"))
        inside(opt.dataroot, os.path.join(opt.dataroot, opt.phase))
        if not opt.isTrain:
            inside(opt.results_dir, folder_of(opt))
    assert not os.listdir(tmp_path)
    assert refused >= STAYING.get(flag, 30)
    with capsys.disabled():
        print(f" [{flag}: {tried} values, {refused} refused]", end="")


def inside(folder, path):
    assert os.path.realpath(path).startswith(os.path.join(os.path.realpath(folder), ""))


@pytest.mark.skipif(os.name != "posix", reason="file names are text on this system")
def test_a_path_that_is_not_utf8_gives_one_line(tmp_path):
    words = ["train.py", "--dataroot", os.fsencode(tmp_path) + b"/\xff", "--name", b"\xfe", "--device", "cpu"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, env=environment, timeout=60)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(b"error: ") and done.stderr.count(b"\n") == 1


class Page(HTMLParser):
    """Tags, addresses and texts of a page; hostile names must not become tags."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.addresses, self.attributes, self.text = set(), [], set(), ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self.addresses += [value for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data):
        self.text += data


NAMES = [
    "<script>alert(1)<#script>",
    "<img src=x onerror=alert(1)>",
    "\"><b onclick='x'>",
    "it's 100% #1 ?a=b&c;d",
    "two\nlines\tand\ra tab",
    "javascript:alert(1)",
    "%2e%2e%2fx",
    "..hidden..",
    "-rf",
    "$(touch x)`id`",
    "ünï cødé \u202e",
]


@pytest.mark.skipif(os.name != "posix", reason="this system has no such file names")
@pytest.mark.parametrize("layout", ["flat", "folders"])
def test_hostile_file_names_reach_the_pages_as_text(layout, tmp_path, capsys):
    photos = tmp_path / "photos"
    for number, name in enumerate(NAMES):
        for phase in ("train", "test"):
            picture(photos / phase / f"{name}.png", width=80, seed=number)
            picture(photos / phase / f"sub {name}" / "0.png", width=80, seed=number)
    words = (*PIX2PIX, "--n_epochs_decay", "0", "--display_freq", "8", "--update_html_freq", "8")
    run = train(photos, tmp_path, *words)
    made = translate(photos, tmp_path, "--results_layout", layout)
    for place in (run / "web", made):
        page = Page(place / "plain.html")
        assert not page.tags & {"script", "b", "iframe", "object", "style"}
        assert not {name for name in page.attributes if name.startswith("on") or name == "style"}
        for address in page.addresses:
            assert re.fullmatch(r"page\.css|images/[\w./~%-]+", address)
            assert (place / unquote(address)).resolve().is_relative_to(place.resolve())
            assert (place / unquote(address)).is_file()
    assert "<script>alert(1)<#script>" in page.text
    assert (
        len(list((made / "images").rglob("*.png"))) == (2 * len(NAMES) - 1) * 3
    )  # names that begin with a dot: hidden
    assert {path.name for path in (tmp_path / "results").iterdir()} == {"run"}
    with capsys.disabled():
        print(f" [{2 * len(NAMES)} images]", end="")


def test_hostile_labels_reach_the_dashboard_as_text():
    from util.show.sinks.drawing import Windows, label_table

    class Client:
        def __init__(self):
            self.sent = []

        def __getattr__(self, method):
            return lambda *args, **kwargs: self.sent.append((method, args, kwargs))

    class Curves:
        names = NAMES

        def table(self, start=0):
            return [1], [[0] * len(NAMES)]

    client = Client()
    Windows(client, "<script>x</script>", 10, 4).draw_curves(Curves())
    options = client.sent[0][2]["opts"]
    shown = [*options["legend"], options["layoutopts"]["plotly"]["title"]["text"], label_table(NAMES, 4)]
    for text in shown:
        assert not re.search(r"<(?!/?(table|tr|td)[ >])", text), text


HELP = ("-h", "--help")


def no_help(words):
    return not any(word in HELP for word in words)


def flags_of(options):
    gathered = options(["--dataroot", "d", "--device", "cpu"])
    gathered.gather_options()
    return [action for action in gathered.parser._actions if action.option_strings]


FLAGS = {mode: sorted(action.option_strings[0] for action in flags_of(options)) for mode, options in BOTH.items()}
texts = st.text(max_size=30) | st.sampled_from(
    [
        *LEAVING,
        *NAMES,
        "inf",
        "nan",
        "-1",
        "0",
        "1e999",
        "٣",
        "1_0",
        "{name}",
        "{seed:%d}",
        "{__class__}",
        "--",
        "@f",
        "9" * 5000,
    ]
)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("mode", BOTH)
def test_any_value_of_any_flag_is_parsed_or_gives_one_line(mode, tmp_path_factory, data):
    flag = data.draw(st.sampled_from(FLAGS[mode]))
    rest = data.draw(st.lists(texts | st.sampled_from(FLAGS[mode]), max_size=3).filter(no_help))
    folder = tmp_path_factory.getbasetemp() / "empty"
    folder.mkdir(exist_ok=True)
    words = ["--dataroot", "d", "--device", "cpu", "--checkpoints_dir", str(folder), flag, *rest]
    try:
        BOTH[mode](words).parse()
    except InputError as error:
        assert str(error)
    assert not os.listdir(folder)


def bad_values(action):
    """Texts that are no value of the type, including mistyped numbers."""
    kind = action.type
    yield from ("", "x", "1x", "1.5.2", "--1", "1e", "nan", "-inf", "1 2", "0x10")
    if kind is int or isinstance(kind, Int):
        yield from ("1.5", "1e3")
    low = getattr(kind, "low", None)
    if low is not None:
        yield from (str(low - 1), "-1e9" if isinstance(kind, Float) else "-1000000000")
        if low > 0:
            yield "0"
    if getattr(kind, "above", None) is not None:
        yield from (str(kind.above), "-1", "0")
    if getattr(kind, "high", None) is not None:
        yield str(kind.high + 1)
    if isinstance(kind, (Int, Float)):
        yield "inf"


@pytest.mark.parametrize(
    "model",
    ["cycle_gan", pytest.param("dclgan", marks=pytest.mark.slow), pytest.param("stargan", marks=pytest.mark.slow)],
)
def test_every_numeric_flag_refuses_other_values(model, capsys):
    counted, tried = set(), 0
    for mode, options in BOTH.items():
        common = ["--dataroot", "d", "--device", "cpu", "--model", model]
        gathered = options(common)
        gathered.gather_options()
        for action in gathered.parser._actions:
            if not (action.type in (int, float) or isinstance(action.type, (Int, Float)) or _counts(action)):
                continue
            counted.add((mode, action.dest))
            for value in bad_values(action):
                with pytest.raises(InputError) as caught:
                    options([*common, f"{action.option_strings[0]}={value}"]).parse()
                assert action.option_strings[0] in str(caught.value), (value, str(caught.value))
                assert "\n" not in str(caught.value)
                tried += 1
    with capsys.disabled():
        print(f" [{model}: {len(counted)} numeric flags, {tried} values]", end="")
    assert len(counted) >= 40


def _counts(action):
    return getattr(action.type, "__name__", "") == "count" or action.default == math.inf
