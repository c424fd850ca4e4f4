"""Visualizer: console, logs, page, and calls of the dashboards."""

import argparse
import json
import math
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from tqdm import tqdm

from util.visualizer import Visualizer

LOSSES = {"G_GAN": 0.9991, "D_real": 0.995}
HEADER = re.compile(r"================ Training Loss \(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\) ================")


class Sink:
    """Records the calls."""

    def __init__(self):
        self.told = []
        self.closed = False

    def scalars(self, step, values, epoch):
        self.told.append(("scalars", step, values, epoch))

    def images(self, step, images):
        self.told.append(("images", step, images))

    def status(self, step, plots, epoch):
        self.stated = plots

    def samples(self, step, images):
        self.told.append(("samples", step, images))

    def close(self):
        self.closed = True


@pytest.fixture
def sink(monkeypatch):
    sink = Sink()
    monkeypatch.setattr("util.show.sinks.open_sinks", lambda opt: [sink], raising=False)
    return sink


@pytest.fixture
def make(tmp_path, sink):
    def build(**changes):
        fields = {
            "name": "run", "checkpoints_dir": str(tmp_path), "isTrain": True, "no_html": False,
            "display_winsize": 256, "continue_train": False,
        }  # fmt: skip
        return Visualizer(argparse.Namespace(**{**fields, **changes}))

    return build


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


def visuals(value=0.0, *labels):
    return {label: torch.full((2, 3, 4, 6), value) for label in labels or ("real_A", "fake_B")}


def records(run_dir):
    text = (run_dir / "loss_log.jsonl").read_text()
    assert text.endswith("\n")
    return [
        json.loads(line, parse_constant=lambda word: pytest.fail(f"{word} is not JSON")) for line in text.splitlines()
    ]


def pictures(run_dir):
    return sorted(os.listdir(run_dir / "web" / "images"))


def page(run_dir):
    return (run_dir / "web" / "plain.html").read_text()


def test_the_loss_line_and_the_log_have_the_format_of_the_originals(make, run_dir, capsys):
    visualizer = make()
    capsys.readouterr()
    visualizer.print_current_losses(3, 200, LOSSES, 0.1, 0.0062)
    line = "(epoch: 3, iters: 200, time: 0.100, data: 0.006) G_GAN: 0.999 D_real: 0.995 "
    assert capsys.readouterr().out == line + "\n"
    header, logged = (run_dir / "loss_log.txt").read_text().splitlines()
    assert HEADER.fullmatch(header)
    assert logged == line
    assert visualizer.log_name == str(run_dir / "loss_log.txt")


def test_the_learning_rate_ends_the_line_and_is_logged(make, run_dir, capsys):
    visualizer = make()
    parameter = torch.nn.Parameter(torch.zeros(1))
    visualizer.set_optimizers([torch.optim.SGD([parameter], lr=1.5e-4), torch.optim.SGD([parameter], lr=1)])
    visualizer.print_current_losses(3, 200, LOSSES, 0.1, 0.0062)
    assert capsys.readouterr().out.endswith("data: 0.006) G_GAN: 0.999 D_real: 0.995 lr: 0.00015 \n")
    assert records(run_dir)[0]["lr"] == 1.5e-4


def test_the_text_log_is_continued_with_a_header_per_start(make, run_dir):
    make().print_current_losses(1, 1, LOSSES, 0, 0)
    make().print_current_losses(1, 1, LOSSES, 0, 0)
    lines = (run_dir / "loss_log.txt").read_text().splitlines()
    assert [bool(HEADER.fullmatch(line)) for line in lines] == [True, False, True, False]


def test_every_printed_point_is_a_json_record(make, run_dir):
    visualizer = make()
    visualizer.print_current_losses(1, 50, LOSSES, 0.1, 0.2)
    visualizer.set_dataset_size(200)
    visualizer.print_current_losses(2, 50, LOSSES, 0.1, 0.2, images=250)
    first, second = records(run_dir)
    assert first.pop("memory") > 10  # MiB
    known = {"epoch": 1, "iters": 50, "losses": LOSSES, "time": 0.1, "data": 0.2}
    assert first == {**known, "images": None, "x": None, "lr": None}
    assert (second["images"], second["x"]) == (250, 1.25)


def test_losses_that_are_not_finite_keep_the_json_valid(make, run_dir):
    make().print_current_losses(1, 1, {"a": math.nan, "b": math.inf, "c": -math.inf}, 0, 0)
    losses = records(run_dir)[0]["losses"]
    assert losses == {"a": "nan", "b": "inf", "c": "-inf"}
    assert math.isnan(float(losses["a"])) and float(losses["c"]) == -math.inf


def test_a_resumed_run_continues_the_records_and_a_new_run_renames_them(make, run_dir):
    make().print_current_losses(1, 1, LOSSES, 0, 0)
    make(continue_train=True).print_current_losses(2, 1, LOSSES, 0, 0)
    assert [record["epoch"] for record in records(run_dir)] == [1, 2]
    make().print_current_losses(7, 1, LOSSES, 0, 0)
    assert [record["epoch"] for record in records(run_dir)] == [7]
    assert len((run_dir / "loss_log.previous.jsonl").read_text().splitlines()) == 2


def test_a_truncated_record_does_not_affect_others(make, run_dir):
    make().print_current_losses(1, 1, LOSSES, 0, 0)
    with open(run_dir / "loss_log.jsonl", "a") as file:
        file.write('{"epoch": 1, "it')
    make(continue_train=True).print_current_losses(2, 1, LOSSES, 0, 0)
    lines = (run_dir / "loss_log.jsonl").read_text().splitlines()
    assert len(lines) == 3 and json.loads(lines[2])["epoch"] == 2


def test_printing_does_not_break_a_progress_bar(make, capsys):
    visualizer = make()
    capsys.readouterr()
    bar = tqdm(total=10, ncols=60)
    visualizer.print_current_losses(1, 1, LOSSES, 0, 0)
    bar.close()
    captured = capsys.readouterr()
    assert captured.out.startswith("(epoch: 1, iters: 1,") and captured.out.count("\n") == 1
    assert "(epoch" not in captured.err
    assert re.search(r"\r +\r", captured.err)  # the bar was erased before the line was printed


def test_pictures_of_an_epoch_are_saved_once_and_on_request(make, run_dir):
    visualizer = make()
    visualizer.display_current_results(visuals(-1.0), 1, False)
    assert visualizer.saved
    assert pictures(run_dir) == ["epoch001_fake_B.png", "epoch001_real_A.png"]
    before = (run_dir / "web/images/epoch001_fake_B.png").read_bytes()
    visualizer.display_current_results(visuals(1.0), 1, False)
    assert (run_dir / "web/images/epoch001_fake_B.png").read_bytes() == before
    visualizer.display_current_results(visuals(1.0), 1, True)
    assert (run_dir / "web/images/epoch001_fake_B.png").read_bytes() != before
    assert page(run_dir).count("epoch [1]") == 1
    visualizer.reset()
    visualizer.display_current_results(visuals(), 12, False)
    assert "epoch012_fake_B.png" in pictures(run_dir)
    assert page(run_dir).index("epoch [1]") < page(run_dir).index("epoch [12]")
    assert "Experiment name = run" in page(run_dir)


def test_the_page_lists_only_pictures_that_exist(make, run_dir):
    visualizer = make()
    visualizer.display_current_results(visuals(0, "real_A"), 3, True)
    visualizer.reset()
    visualizer.display_current_results(visuals(0, "real_A", "fake_B"), 7, True)
    listed = re.findall(r'src="images/([^"]+)"', page(run_dir))
    assert sorted(listed) == pictures(run_dir) == ["epoch003_real_A.png", "epoch007_fake_B.png", "epoch007_real_A.png"]


def test_a_resumed_run_keeps_the_page_and_a_new_run_replaces_it(make, run_dir):
    make().display_current_results(visuals(), 1, True)
    make(continue_train=True).display_current_results(visuals(), 1, True)
    make(continue_train=True).display_current_results(visuals(), 2, True)
    assert re.findall(r"epoch \[\d+\]", page(run_dir)) == ["epoch [1]", "epoch [2]"]
    make()
    assert "epoch [" not in page(run_dir)


def test_no_html_writes_no_page(make, run_dir):
    visualizer = make(no_html=True)
    visualizer.display_current_results(visuals(), 1, True)
    assert not (run_dir / "web").exists()


def test_labels_can_not_leave_the_folder(make, run_dir):
    make().display_current_results(visuals(0, "../../x", "<b>"), 1, True)
    assert pictures(run_dir) == ["epoch001_.._.._x.png", "epoch001_<b>.png"]
    assert "<b>" not in page(run_dir)


def test_both_signatures_of_display_current_results_work(make, sink):
    visualizer = make()
    visualizer.display_current_results(visuals(), 1, 400, True)
    visualizer.display_current_results(visuals(), 1, 800)
    visualizer.display_current_results(visuals(), 2, total_iters=900, save_result=True)
    visualizer.display_current_results(visuals(), 2, False)
    assert [step for _, step, _ in sink.told] == [400, 800, 900, 900]
    assert visualizer.current_epoch == 2
    image = sink.told[0][2]["fake_B"]
    assert image.dtype == np.uint8 and image.shape == (4, 6, 3)


def test_a_number_of_images_is_not_taken_for_save_result(make, run_dir):
    visualizer = make()
    visualizer.display_current_results(visuals(-1.0), 1, 1)
    before = (run_dir / "web/images/epoch001_fake_B.png").read_bytes()
    visualizer.display_current_results(visuals(1.0), 1, 1)
    assert (run_dir / "web/images/epoch001_fake_B.png").read_bytes() == before


def test_both_signatures_of_plot_current_losses_work(make, sink):
    visualizer = make()
    visualizer.set_dataset_size(200)
    visualizer.plot_current_losses(3, 0.25, LOSSES)
    visualizer.plot_current_losses(500, LOSSES)
    visualizer.plot_current_losses(3, 0.75, LOSSES, total_iters=550)
    assert sink.told == [
        ("scalars", 2250, LOSSES, 2.25), ("scalars", 500, LOSSES, 2.5), ("scalars", 550, LOSSES, 2.75)
    ]  # fmt: skip


def test_the_number_of_images_when_printing_is_the_step_of_the_plot(make, sink):
    visualizer = make()
    visualizer.print_current_losses(2, 100, LOSSES, 0, 0, images=300)
    visualizer.plot_current_losses(2, 0.5, LOSSES)
    assert sink.told == [("scalars", 300, LOSSES, 1.5)]


def test_dashboards_are_closed_once(make, sink):
    visualizer = make()
    visualizer.close()
    assert sink.closed and visualizer.sinks == []
    visualizer.close()


def test_outside_training_nothing_is_opened(make, run_dir):
    visualizer = make(isTrain=False)
    assert visualizer.sinks == [] and not visualizer.use_html
    assert not run_dir.exists()


def test_attributes_of_the_originals_exist(make):
    visualizer = make(display_id=10, display_port=8097, display_ncols=3, use_wandb=False)
    visualizer.create_visdom_connections()
    assert (visualizer.display_id, visualizer.port, visualizer.ncols, visualizer.win_size) == (10, 8097, 3, 256)
    assert visualizer.vis is None and visualizer.wandb_run is None and visualizer.use_wandb is False
    assert visualizer.img_dir == os.path.join(visualizer.web_dir, "images")


def failing(*args, **kwargs):
    raise OSError(28, "No space left on device")


def test_a_full_disk_gives_one_warning_and_does_not_end_the_run(make, monkeypatch, capsys, run_dir):
    visualizer = make()
    capsys.readouterr()
    monkeypatch.setattr("util.show.training_page.save_image", failing)
    monkeypatch.setattr("util.show.log._append_line", failing)
    for epoch in (1, 2, 3):
        visualizer.reset()
        visualizer.display_current_results(visuals(), epoch, True)
        visualizer.print_current_losses(epoch, 1, LOSSES, 0, 0)
    out = capsys.readouterr().out
    warnings = [line for line in out.splitlines() if "warning" in line]
    assert len(warnings) == 2
    assert "web" in warnings[0] and "No space left" in warnings[0]
    assert "loss_log.txt" in warnings[1]
    assert "<section" not in page(run_dir)


def test_a_missing_page_gives_one_warning(make, capsys, run_dir):
    visualizer = make()
    Path(run_dir / "web" / "plain.html").unlink()
    for epoch in (1, 2):
        visualizer.display_current_results(visuals(), epoch, True)
    assert capsys.readouterr().out.count("warning") == 1
    assert len(pictures(run_dir)) == 4


def test_a_second_failure_after_a_success_is_reported_again(make, monkeypatch, capsys):
    visualizer = make()
    with monkeypatch.context() as patch:
        patch.setattr("util.show.training_page.save_image", failing)
        visualizer.display_current_results(visuals(0, "a"), 1, True)
    visualizer.display_current_results(visuals(0, "a"), 1, True)
    monkeypatch.setattr("util.show.training_page.save_image", failing)
    visualizer.display_current_results(visuals(0, "a"), 1, True)
    assert capsys.readouterr().out.count("warning") == 2
