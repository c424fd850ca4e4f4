"""compare_runs.py, make_video.py and replay_visdom.py on small synthetic runs."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from browser import chromium, violations, visit  # noqa: F401
from PIL import Image

from scripts import compare_runs, make_video, replay_visdom
from util.errors import InputError
from util.show.run_pages import in_order, newest_pictures


def make_run(folder, name, lr, psnr=None, paths=(["a.png"], ["b.png"]), epochs=(1, 2, 3)):
    run = folder / name
    images = run / "web" / "images"
    images.mkdir(parents=True)
    (run / "train_opt.json").write_text(json.dumps({"options": {"name": name, "lr": lr, "ngf": 4}}))
    (run / "samples.json").write_text(json.dumps({"phase": "test", "indices": [0, 1], "paths": paths}))
    lines = [{"epoch": n, "x": float(n), "losses": {"G": n * lr, "D": 1.0}, "lr": lr} for n in epochs]
    (run / "loss_log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    if psnr is not None:
        metric = {"value": psnr, "interval": [psnr - 1, psnr + 1], "provenance": {}}
        (run / "metrics.json").write_text(json.dumps({"metrics": {"psnr": metric}}))
    for number in range(1, len(paths) + 1):
        for label in ("real_A", "real_B"):
            Image.new("RGB", (12, 8)).save(images / f"sample{number}_{label}.png")
        for epoch in epochs:
            colour = (epoch * 40, 0, number)
            Image.new("RGB", (12, 8), colour).save(images / f"sample{number}_epoch{epoch:03d}_fake_B.png")
            Image.new("RGB", (12, 8), colour).save(images / f"epoch{epoch:03d}_fake_B.png")
    return run


@pytest.fixture
def runs(tmp_path):
    made = make_run(tmp_path / "runs", "one", 0.1, 20.0)
    return made, make_run(tmp_path / "runs", "two <b>", 0.2, 22.5, paths=(["b.png"], ["c.png"]))


def test_a_comparison_shows_metrics_losses_pictures_and_options(runs, tmp_path, chromium):  # noqa: F811
    output = tmp_path / "page"
    words = [*map(str, runs), "--output", str(output), "--results_dir", str(tmp_path / "none")]
    assert compare_runs.main(words) == 0
    assert compare_runs.main(words) == 0  # a page of its own may be replaced
    with visit(chromium, output / "index.html") as page:
        page.wait_for_selector("#charts svg")
        assert "22.50" in page.inner_text("#metrics") and "+2.500 against one" in page.inner_text("#metrics")
        assert page.locator("#charts h3").count() == 2 and page.locator("#charts .smooth").count() == 4
        rows = page.locator("#pictures tbody tr")
        assert rows.count() == 1 and "b.png" in rows.inner_text()  # the only input that both runs show
        assert page.locator("#pictures img").count() == 4  # input, a translation of each run, truth
        assert page.locator("#options tbody tr").all_inner_texts() == ["lr\t0.1\t0.2"]
        assert "two <b>" in page.inner_text("#runs")
        assert violations(page) == []


def test_wrong_runs_and_folders_are_refused(runs, tmp_path):
    one, two = map(str, runs)
    with pytest.raises(InputError, match="not the folder of a run"):
        compare_runs.main([one, str(tmp_path), "--output", str(tmp_path / "page")])
    with pytest.raises(InputError, match="two runs or more"):
        compare_runs.main([one, "--output", str(tmp_path / "page")])
    with pytest.raises(InputError, match="given twice"):
        compare_runs.main([one, one, "--output", str(tmp_path / "page")])
    with pytest.raises(InputError, match="other files"):
        compare_runs.main([one, two, "--output", one])
    assert not (tmp_path / "page").exists()


def test_labels_are_in_the_order_input_output_truth():
    assert in_order(["fake_A", "idt", "real_B", "fake_B", "real_A"]) == ["real_A", "fake_B", "real_B", "fake_A", "idt"]


def test_a_gif_has_a_frame_for_each_epoch(runs, tmp_path):
    output = tmp_path / "progress.gif"
    assert make_video.main([str(runs[0]), "--output", str(output), "--sample", "2", "--fps", "5"]) == 0
    with Image.open(output) as video:
        assert video.n_frames == 3 and video.info["duration"] == 200
        assert video.size == (3 * 12 + 2 * make_video.GAP, 8 + make_video.BAR)
        video.seek(2)
        middle = np.asarray(video.convert("RGB"))[make_video.BAR + 4, 12 + make_video.GAP + 6]
        assert abs(int(middle[0]) - 120) < 8


def test_an_mp4_is_written_with_imageio(runs, tmp_path):
    pytest.importorskip("imageio_ffmpeg", reason="imageio-ffmpeg is not installed")
    output = tmp_path / "progress.mp4"
    assert make_video.main([str(runs[0]), "--output", str(output), "--size", "64"]) == 0
    assert output.read_bytes()[4:8] == b"ftyp"


def test_wrong_arguments_of_make_video_give_one_line(runs, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="--sample 3"):
        make_video.main([str(runs[0]), "--sample", "3"])
    with pytest.raises(InputError, match=r"\.gif or \.mp4"):
        make_video.main([str(runs[0]), "--output", "x.avi"])
    with pytest.raises(InputError, match="no pictures by epoch"):
        make_video.main([str(tmp_path)])
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match="pip install imageio-ffmpeg"):
        make_video.main([str(runs[0]), "--output", str(tmp_path / "x.mp4")])


def test_the_newest_images_of_a_run_are_found(runs):
    pictures, fixed = newest_pictures(str(runs[0]))
    assert list(pictures) == ["fake_B"] and pictures["fake_B"][0, 0, 0] == 120
    assert set(fixed) == {f"{label} {n}" for label in ("real_A", "real_B", "fake_B") for n in (1, 2)}
    assert newest_pictures(str(Path(runs[0]) / "web")) == (None, None)


def test_replay_without_a_log_or_a_server_gives_one_line(runs, tmp_path, monkeypatch):
    pytest.importorskip("visdom", reason="visdom is not installed")
    with pytest.raises(InputError, match=r"no loss_log\.jsonl"):
        replay_visdom.main([str(tmp_path)])
    monkeypatch.setenv("CI", "1")  # no server is started
    monkeypatch.setattr(replay_visdom, "PATIENCE", 1)
    with pytest.raises(InputError, match="no visdom server"):
        replay_visdom.main([str(runs[0]), "--display_port", "9"])
