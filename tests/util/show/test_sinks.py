"""Dashboards: what they show, and that a failure gives at most one line and never ends the run."""

import argparse
import http.server
import importlib.machinery
import importlib.util
import json
import math
import socket
import sys
import threading
import time
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from util.errors import InputError
from util.show.sinks import Guarded, open_sinks, window_base
from util.show.sinks.drawing import LARGEST, MOST, Curves, Windows, as_rgb, grid, label_table, read_plots, style_of
from util.show.sinks.visdom_sink import VisdomSink

needs_visdom = pytest.mark.skipif(importlib.util.find_spec("visdom") is None, reason="visdom is not installed")
LOSSES = {"G_A": 1.5, "D_A": 0.25}


class FakeVisdom(http.server.ThreadingHTTPServer):
    """A fake visdom server that records requests. `mood`: fine, broken (HTTP 500), silent, other (a web site)."""

    daemon_threads = True

    def __init__(self, mood="fine", port=0):
        super().__init__(("127.0.0.1", port), Answer)
        self.mood, self.plots, self.windows, self.calls = mood, {}, {}, []
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def port(self):
        return self.server_address[1]

    def handle_error(self, request, client_address):
        pass  # a client that has timed out

    def stop(self):
        self.shutdown()
        self.server_close()

    def points(self, window):
        """[(x, [y of each raw trace])] of a plot."""
        raw = [trace for trace in self.plots[window] if not trace["name"].endswith(" smoothed")]
        return [(x, list(y)) for x, *y in zip(raw[0]["x"], *(trace["y"] for trace in raw))]


class Answer(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        server = self.server
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or "{}")
        kind = self.path.strip("/").split("/")[0]
        server.calls.append(kind)
        if server.mood == "silent":
            time.sleep(5)
        text, status = "", {"broken": 500, "other": 404}.get(server.mood, 200)
        if status == 200:
            text = self.take(kind, message)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def take(self, kind, message):
        server = self.server
        if kind == "env_state":
            return json.dumps(["main"])
        if kind == "win_exists":
            return json.dumps(message["win"] in server.windows)
        if kind == "events":
            server.windows[message["win"]] = message
            if message["data"][0]["type"] == "scatter":
                server.plots[message["win"]] = message["data"]
        if kind == "update":
            for old, new in zip(server.plots[message["win"]], message["data"]):
                old["x"] += new["x"]
                old["y"] += new["y"]
        return "ok"

    def log_message(self, *args):
        pass


@pytest.fixture(autouse=True)
def starts_no_server(monkeypatch):
    monkeypatch.setenv("CI", "true")


@pytest.fixture
def fake():
    server = FakeVisdom()
    yield server
    server.stop()


@pytest.fixture
def impatient(monkeypatch):
    """Short time-outs and pauses, for fast tests of long waits."""
    from util.show.sinks import visdom_client, visdom_sink

    monkeypatch.setattr(visdom_client, "TIMEOUTS", (0.3, 0.3))
    monkeypatch.setattr(visdom_sink, "LONGEST_PAUSE", 0.2)


def options(folder, port, **changes):
    (folder / "run").mkdir(exist_ok=True)
    fields = {"name": "run", "checkpoints_dir": str(folder), "display_id": 20, "display_server": "http://127.0.0.1"}
    fields |= {"display_port": port, "display_env": "main", "display_ncols": 4}
    return argparse.Namespace(**fields | changes)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False


def picture(height=8, width=8):
    return np.full((height, width, 3), 100, np.uint8)


# Which sinks a run has


def test_without_flags_there_is_no_sink(tmp_path):
    assert open_sinks(options(tmp_path, 1, display_id=-1)) == []
    assert open_sinks(options(tmp_path, 1, display_id=0)) == []
    assert open_sinks(argparse.Namespace(name="run")) == []


def test_window_base_is_a_stable_multiple_of_ten():
    assert window_base("experiment_name") == window_base("experiment_name")
    bases = {window_base(f"run {number}") for number in range(2000)}
    assert all(base % 10 == 0 and 0 < base < 1_000_000 for base in bases)
    assert len(bases) > 1900


@pytest.mark.parametrize("package, flag", [("wandb", "use_wandb"), ("tensorboard", "use_tensorboard")])
def test_the_error_for_a_missing_package_states_the_install_command(monkeypatch, tmp_path, package, flag):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=f"--{flag}.*pip install {package}"):
        open_sinks(options(tmp_path, 1, display_id=0, **{flag: True}))


def test_without_visdom_the_default_run_continues_and_an_explicit_flag_is_refused(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert open_sinks(options(tmp_path, 1, display_id=None)) == []
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(InputError, match="pip install visdom"):
        open_sinks(options(tmp_path, 1, display_id=5))


def test_a_bad_address_is_refused_by_flag(tmp_path):
    with pytest.raises(InputError, match="--display_server: 'ftp://x'"):
        VisdomSink(options(tmp_path, 1, display_server="ftp://x"), 20)


def test_a_sink_that_fails_is_off_after_one_line(capsys):
    class Failing:
        calls = 0

        def scalars(self, *args):
            self.calls += 1
            raise OSError("disk full\nand more")

    sink = Failing()
    guarded = Guarded(sink)
    guarded.scalars(1, LOSSES, 0.1)
    guarded.scalars(2, LOSSES, 0.2)
    guarded.images(2, {})
    guarded.close()
    assert sink.calls == 1
    assert capsys.readouterr().err == "Failing failed and is turned off: disk full\n"


# Curves


def test_curves_grow_and_report_when_they_must_be_drawn_again():
    curves = Curves()
    assert not curves.add(0.1, {"G": 1.0})  # a first name is a new curve
    assert curves.add(0.2, {"G": 2.0})
    assert not curves.add(0.3, {"G": 3.0, "D": 1.0})
    assert curves.add(0.4, {"D": 2.0})
    x, y = curves.table()
    assert x.tolist() == [0.1, 0.2, 0.3, 0.4]
    assert np.array_equal(y, [[1, math.nan], [2, math.nan], [3, 1], [math.nan, 2]], equal_nan=True)


def test_a_resumed_run_replaces_points_after_its_position():
    curves = Curves()
    for x in (1.0, 2.0, 3.0, 4.0):
        curves.add(x, {"G": x})
    assert not curves.add(2.5, {"G": 9.0})
    assert [x for x, _ in curves.points] == [1.0, 2.0, 2.5]


def test_non_finite_values_are_gaps():
    curves = Curves()
    curves.add(1.0, {"G": math.inf})
    curves.add(2.0, {"G": math.nan})
    assert np.isnan(curves.table()[1]).all()


@given(st.lists(st.floats(0, 1e4), max_size=60), st.integers(1, 50))
def test_thinned_curves_are_ordered_limited_and_end_with_the_newest_point(xs, repeat):
    curves = Curves()
    for cycle in range(repeat):
        for x in xs:
            curves.add(x + cycle * 1e4, {"G": 1.0})
    kept = [x for x, _ in curves.points]
    assert kept == sorted(set(kept)) and len(kept) <= MOST
    assert not xs or kept[-1] == xs[-1] + (repeat - 1) * 1e4


def test_thinned_curves_cover_the_whole_run_evenly():
    curves = Curves()
    for step in range(10 * MOST):
        curves.add(step, {"G": 1.0})
    x = curves.table()[0]
    assert x[0] == 0 and x[-1] == 10 * MOST - 1
    assert MOST / 2 <= len(x) <= MOST and np.diff(x).max() < 10 * MOST / len(x) * 5


def test_the_log_is_read_up_to_the_given_size(tmp_path):
    log = tmp_path / "loss_log.jsonl"
    good = json.dumps({"epoch": 1, "x": 0.5, "losses": {"G": 1.0}}) + "\n"
    log.write_text(good + '[]\n{"x": 1}\n{"x": "a", "losses": {}}\nnull\n\n{"x": 0.7, "loss')
    size = log.stat().st_size
    with open(log, "a") as file:
        file.write('es": {"G": 2.0}}\n')
    assert read_plots(log, size) == [("loss", 0.5, {"G": 1.0})]
    assert read_plots(tmp_path / "none") == []


def test_the_log_gives_rate_time_and_memory_and_positions_of_earlier_versions(tmp_path):
    new = {"epoch": 2, "x": 1.5, "losses": {"G": 1.0}, "lr": 0.1, "time": 0.5, "data": 0.25, "memory": 9}
    old = {"epoch": 2, "x": 2.75, "losses": {"G": 2.0}, "time": 0.5, "data": 0.25}
    (tmp_path / "log").write_text(json.dumps(new) + "\n" + json.dumps(old) + "\n")
    seconds = ("seconds per image", 1.5, {"computing": 0.5, "loading": 0.25})
    rate, memory = ("learning rate", 1.5, {"rate": 0.1}), ("memory in MiB", 1.5, {"memory": 9.0})
    assert read_plots(tmp_path / "log") == [
        ("loss", 1.5, {"G": 1.0}), rate, seconds, memory, ("loss", 1.75, {"G": 2.0}), (seconds[0], 1.75, seconds[2])
    ]  # fmt: skip


def test_smoothed_curves_are_drawn_with_the_raw_curves():
    curves = Curves(0.5)
    for x, value in ((1, 4.0), (2, 8.0), (3, math.nan), (4, 6.0)):
        curves.add(x, {"G": value})
    assert [point["G smoothed"] for _, point in curves.points] == [4.0, 6.0, 6.0, 6.0]
    raw, smooth = style_of("G", curves.names), style_of("G smoothed", curves.names)
    assert raw["line"]["color"] == smooth["line"]["color"] and raw["opacity"] < smooth["opacity"]
    curves.add(2.5, {"G": 0.0})  # back to an earlier position
    assert curves.points[-1][1]["G smoothed"] == 3.0


# Pictures


def test_the_grid_accepts_images_of_all_sizes_and_types():
    kinds = [picture(8, 30), picture(40, 5), np.zeros((9, 9), np.uint8), np.zeros((9, 9, 1), np.uint8)]
    kinds += [np.zeros((9, 9, 4), np.uint8), np.zeros((9, 9, 2), np.uint8), np.zeros((3 * LARGEST, 7, 3), np.uint8)]
    sheet = grid(kinds, 3)
    assert sheet.dtype == np.uint8 and sheet.shape == (3 * (LARGEST + 4) + 4, 3 * (30 + 4) + 4, 3)
    assert (sheet[-LARGEST:, -35:] == 255).all()  # the empty cells


def test_images_that_fit_are_not_scaled():
    original = np.random.default_rng(0).integers(0, 255, (16, 12, 3), dtype=np.uint8)
    assert np.array_equal(grid([original], 4)[4:-4, 4:-4], original)
    assert as_rgb(np.zeros((4 * LARGEST, 2 * LARGEST, 3), np.uint8)).shape == (LARGEST, LARGEST // 2, 3)


def test_labels_are_escaped_and_in_the_order_of_the_images():
    table = label_table(["a<script>", "b&c", "d"], 2)
    assert "a&lt;script&gt;" in table and "b&amp;c" in table and "<script" not in table
    assert table.count("<tr>") == 2 and table.count("<td") == 4


# visdom's windows


class Recorder:
    def __init__(self):
        self.calls = []

    def line(self, **given):
        self.calls.append(("line", given["win"], given.get("opts")))

    def image(self, img, win, opts):
        self.calls.append(("image", win, opts["title"]))

    def text(self, text, win, opts):
        self.calls.append(("text", win, opts["title"]))


def test_windows_have_the_numbers_of_the_originals():
    recorder = Recorder()
    curves = Curves()
    curves.add(0.5, {"G<b>": 1.0})
    windows = Windows(recorder, "run", 40, columns=4)
    windows.draw_curves(curves)
    windows.draw_pictures({"real_A": picture(), "fake_B": picture(9, 4)})
    assert [call[:2] for call in recorder.calls] == [("line", "40"), ("image", "41"), ("text", "42")]
    plot = recorder.calls[0][2]
    assert (plot["title"], plot["xlabel"], plot["ylabel"]) == ("run loss over time", "epoch", "loss")
    assert plot["legend"] == ["G&lt;b&gt;"]
    assert [call[2] for call in recorder.calls[1:]] == ["run images", "run labels"]


@pytest.mark.parametrize("columns", [0, -1])
def test_without_columns_each_picture_has_a_window(columns):
    recorder = Recorder()
    Windows(recorder, "run", 40, columns).draw_pictures({"real_A": picture(), "fake_B": picture(9, 4)})
    assert recorder.calls == [("image", "41", "real_A"), ("image", "42", "fake_B")]


# visdom's server: there, away, slow, back again


@needs_visdom
def test_losses_and_images_are_sent(tmp_path, fake, capsys):
    sink = VisdomSink(options(tmp_path, fake.port), 20)
    assert sink.thread is None  # no thread before there is something to send: data workers may be forked until then
    sink.scalars(100, LOSSES, 0.1)
    sink.images(100, {"real_A": picture()})
    assert until(lambda: "22" in fake.windows)
    sink.scalars(200, {"G_A": math.inf, "D_A": 0.5}, 0.2)
    sink.scalars(300, {}, 0.3)
    sink.close()
    assert fake.points("20") == [(0.1, [1.5, 0.25]), (0.2, [None, 0.5])]
    assert fake.calls.count("update") == 1 and {"20", "21", "22"} == set(fake.windows)
    assert not sink.thread.is_alive()
    captured = capsys.readouterr()
    assert captured.err == "" and captured.out == f"visdom: http://127.0.0.1:{fake.port}/env/main\n"


@needs_visdom
def test_earlier_losses_of_a_resumed_run_are_drawn_once(tmp_path, fake):
    opt = options(tmp_path, fake.port)
    log = tmp_path / "run" / "loss_log.jsonl"
    log.write_text("".join(json.dumps({"x": x, "losses": {"G": x}}) + "\n" for x in (0.25, 0.5, 0.75)))
    sink = VisdomSink(opt, 20)
    with open(log, "a") as file:  # as the run does before it calls its sinks
        file.write(json.dumps({"x": 0.6, "losses": {"G": 6.0}}) + "\n")
    sink.scalars(60, {"G": 6.0}, 0.6)
    sink.close()
    assert fake.points("20") == [(0.25, [0.25]), (0.5, [0.5]), (0.6, [6.0])]


@needs_visdom
def test_new_names_and_a_closed_window_draw_all_again(tmp_path, fake):
    sink = VisdomSink(options(tmp_path, fake.port), 20)
    sink.scalars(1, {"D": 1.0}, 0.1)
    sink.images(1, {"real_A": picture()})
    assert until(lambda: "22" in fake.windows)
    sink.scalars(2, {"D": 2.0, "G": 1.0}, 0.2)
    assert until(lambda: len(fake.plots["20"]) == 4)
    assert fake.points("20") == [(0.1, [1.0, None]), (0.2, [2.0, 1.0])]
    fake.windows.clear()
    sink.scalars(3, {"D": 3.0, "G": 3.0}, 0.3)
    assert until(lambda: set(fake.windows) == {"20", "21", "22"})
    sink.close()
    assert len(fake.points("20")) == 3


def feed(sink, count, start=0):
    """Send losses and images like a run; returns the longest duration of a call."""
    longest = 0.0
    for step in range(start + 1, start + count + 1):
        began = time.monotonic()
        sink.scalars(step, LOSSES, step / 100)
        sink.images(step, {"real_A": picture()})
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    return longest


def check_that_it_costs_one_line(sink, capsys, words):
    assert feed(sink, 100) < 0.5
    assert until(lambda: sink.thread is not None)
    time.sleep(1.0)
    began = time.monotonic()
    sink.close()
    assert time.monotonic() - began < 5
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and error.startswith("visdom: no dashboard at http://127.0.0.1:"), error
    assert words in error and "--display_port" in error


@needs_visdom
def test_a_missing_server_gives_one_line(tmp_path, capsys, impatient):
    sink = VisdomSink(options(tmp_path, free_port()), 20)
    check_that_it_costs_one_line(sink, capsys, "refused")


@needs_visdom
@pytest.mark.parametrize("mood, words", [("broken", "status 500"), ("other", "another program"), ("silent", "in time")])
def test_a_failing_server_gives_one_line(tmp_path, capsys, impatient, mood, words):
    server = FakeVisdom(mood)
    sink = VisdomSink(options(tmp_path, server.port), 20)
    check_that_it_costs_one_line(sink, capsys, words)
    server.stop()


@needs_visdom
def test_a_port_that_never_accepts_gives_one_line(tmp_path, capsys, impatient):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        began = time.monotonic()
        sink = VisdomSink(options(tmp_path, listener.getsockname()[1]), 20)
        assert time.monotonic() - began < 3
        check_that_it_costs_one_line(sink, capsys, "in time")


@needs_visdom
def test_a_server_that_dies_and_returns_has_complete_curves(tmp_path, capsys, impatient):
    server = FakeVisdom()
    port = server.port
    sink = VisdomSink(options(tmp_path, port), 20)
    feed(sink, 20)
    assert until(lambda: "22" in server.windows)
    server.mood = "broken"  # kept-alive connections would still reach a server that only stopped listening
    server.stop()
    assert feed(sink, 30, start=20) < 0.5
    time.sleep(0.5)
    server = FakeVisdom(port=port)
    feed(sink, 20, start=50)
    assert until(lambda: len(server.plots.get("20", [{"x": []}])[0]["x"]) == 70)
    sink.close()
    assert [x for x, _ in server.points("20")] == [step / 100 for step in range(1, 71)]
    assert {"21", "22"} <= set(server.windows)
    assert capsys.readouterr().err.count("\n") == 1
    server.stop()


@needs_visdom
def test_the_queue_of_a_sink_does_not_grow(tmp_path, impatient):
    sink = VisdomSink(options(tmp_path, free_port()), 20)
    sink._wake = lambda: None
    for step in range(20_000):
        sink.scalars(step, LOSSES, step)
        sink.images(step, {"real_A": picture(1, 1)})
    assert len(sink.points) == 10_000 and list(sink.visuals) == ["real_A"]


@needs_visdom
def test_a_picture_that_cannot_be_shown_does_not_stop_the_curves(tmp_path, fake, capsys, impatient):
    sink = VisdomSink(options(tmp_path, fake.port), 20)
    sink.images(1, {"broken": np.zeros(3, np.uint8)})
    for step in range(1, 30):
        sink.scalars(step, LOSSES, step)
        time.sleep(0.02)
    sink.images(30, {"good": picture()})
    assert until(lambda: "21" in fake.windows and len(fake.points("20")) == 29)
    sink.close()
    assert capsys.readouterr().err.count("\n") == 1


# The other two


def test_tensorboard_files_hold_losses_and_images_and_purge_steps_after_a_resume(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    for steps in ((100, 200, 300), (250, 350)):
        (sink,) = open_sinks(options(tmp_path, 1, display_id=0, use_tensorboard=True))
        for step in steps:
            sink.scalars(step, LOSSES, step / 1000)
        sink.images(steps[-1], {"fake_B": picture()})
        sink.close()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss/G_A")] == [
        (step, 1.5) for step in (100, 200, 250, 350)
    ]
    assert events.Tags()["images"] == ["fake_B"]


def test_tensorboard_shows_metrics_status_samples_and_options(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (sink,) = open_sinks(options(tmp_path, 1, display_id=0, use_tensorboard=True, lr=0.5))
    sink.scalars(10, LOSSES, 0.1)
    sink.metrics(10, {"psnr": 21.0}, 0.1)
    sink.status(10, {"learning rate": {"rate": 0.5}}, 0.1)
    sink.samples(10, {"fake_B 1": picture()})
    sink.close()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert events.Scalars("metric/psnr")[0].value == 21 and events.Scalars("learning_rate/rate")[0].value == 0.5
    assert events.Tags()["images"] == ["samples/fake_B 1"]
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"lr" in start


def test_wandb_works_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (sink,) = open_sinks(wandb_options(tmp_path))
    sink.scalars(100, LOSSES, 0.5)
    sink.metrics(100, {"psnr": 21.0}, 0.5)
    sink.samples(100, {"fake_B 1": picture()})
    sink.close()
    assert list((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb"))


class FakeWandb(types.ModuleType):
    """A wandb that records its calls."""

    class Error(Exception):
        pass

    def __init__(self, fails=False):
        super().__init__("wandb")
        self.__spec__ = importlib.machinery.ModuleSpec("wandb", None)
        self.fails, self.inits, self.logs, self.id = fails, [], [], "id1"

    def init(self, **given):
        if self.fails:
            raise self.Error("no API key configured\nmore")
        self.inits.append(given)
        return self

    def define_metric(self, name, step_metric):
        self.axis = step_metric

    def Image(self, data, caption):
        return (data.shape, caption)

    def log(self, values):
        self.logs.append(values)

    def finish(self):
        self.finished = True


def wandb_options(tmp_path, **changes):
    return options(
        tmp_path, 1, display_id=0, use_wandb=True, wandb_project_name="P", continue_train=False, device=1j, **changes
    )


def use_wandb(monkeypatch, **given):
    monkeypatch.setitem(sys.modules, "wandb", FakeWandb(**given))
    return sys.modules["wandb"]


def test_wandb_gets_losses_and_images_and_continues_its_run(tmp_path, monkeypatch):
    wandb = use_wandb(monkeypatch)
    opt = wandb_options(tmp_path)
    for opt.continue_train in (False, True):
        (sink,) = open_sinks(opt)
        sink.scalars(100, LOSSES, 0.5)
        sink.images(100, {"fake_B": picture()})
        sink.metrics(100, {"psnr": 21.0}, 0.5)
        sink.status(100, {"learning rate": {"rate": 0.1}}, 0.5)
        sink.samples(100, {"fake_B 1": picture()})
        sink.close()
    assert wandb.logs[2] == {"metric/psnr": 21.0, "epoch": 0.5, "images_seen": 100}
    assert wandb.logs[3] == {"learning rate/rate": 0.1, "epoch": 0.5, "images_seen": 100}
    assert list(wandb.logs[4]) == ["samples/fake_B 1", "images_seen"]
    assert wandb.logs[0] == {**LOSSES, "epoch": 0.5, "images_seen": 100} and wandb.axis == "images_seen"
    assert wandb.logs[1] == {"results/fake_B": ((8, 8, 3), "fake_B"), "images_seen": 100}
    assert [given["id"] for given in wandb.inits] == [None, "id1"] and wandb.finished
    assert wandb.inits[0]["project"] == "P" and wandb.inits[0]["config"]["device"] == "1j"


def test_wandb_without_a_login_gives_one_line(tmp_path, monkeypatch):
    use_wandb(monkeypatch, fails=True)
    with pytest.raises(InputError, match=r"^--use_wandb: no API key configured \("):
        open_sinks(wandb_options(tmp_path))
