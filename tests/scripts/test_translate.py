"""scripts/translate.py: results have the names, sizes and depths of the inputs."""

import subprocess

import numpy as np
import pytest
from PIL import Image
from runs import CUT, STARGAN, make_run

import test
from metamer import load
from scripts.translate import main
from util.errors import InputError, Notice
from util.show import bar


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("runs"), *CUT)


def picture(path, size=(30, 21), mode="RGB", seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def translate(run, *words):
    return main([str(run), *map(str, words), "--device", "cpu"])


def test_a_folder_keeps_its_names_sizes_and_sub_folders(run, tmp_path):
    first = picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "sub" / "a.png", (64, 40), "L")
    picture(tmp_path / "in" / "sub" / "b.webp", (16, 16), seed=3)
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out") == 0
    made = {path.relative_to(tmp_path / "out").as_posix(): Image.open(path) for path in tmp_path.rglob("out/**/*.*")}
    assert {name: (image.size, image.mode) for name, image in made.items()} == {
        "a.png": ((30, 21), "RGB"),
        "sub/a.png": ((64, 40), "L"),
        "sub/b.webp": ((16, 16), "RGB"),
    }
    assert np.array_equal(np.asarray(made["a.png"]), np.asarray(load(run, device="cpu")(first)))


def test_files_and_patterns_are_translated(run, tmp_path):
    for name in ("a1.png", "a2.png", "b.png"):
        picture(tmp_path / name)
    assert translate(run, tmp_path / "a*.png", tmp_path / "b.png", "--output", tmp_path / "out") == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a1.png", "a2.png", "b.png"]


def test_unreadable_files_are_listed_and_the_others_are_translated(run, tmp_path, capsys):
    picture(tmp_path / "in" / "good.png")
    (tmp_path / "in" / "bad.png").write_text("no image")
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out", "--batch_size", "2") == 1
    printed = capsys.readouterr()
    assert "translated 1 of 2 images" in printed.out
    assert "bad.png: not an image" in printed.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good.png"]


def test_a_stopped_command_continues_where_it_was(run, tmp_path, capsys):
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "b.png")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.png").write_text("made before")
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out") == 0
    assert "kept 1" in capsys.readouterr().out
    assert (tmp_path / "out" / "a.png").read_text() == "made before"
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out", "--overwrite") == 0
    assert Image.open(tmp_path / "out" / "a.png").size == (30, 21)


def test_colour_profile_and_exif_data_are_kept(run, tmp_path):
    image = Image.new("RGB", (20, 20), "red")
    exif = Image.Exif()
    exif[0x010F] = "Camera"
    image.save(tmp_path / "photo.jpg", exif=exif, icc_profile=b"a profile")
    translate(run, tmp_path / "photo.jpg", "--output", tmp_path / "out")
    made = Image.open(tmp_path / "out" / "photo.jpg")
    assert made.getexif()[0x010F] == "Camera" and made.info["icc_profile"] == b"a profile"


def test_weights_replaces_the_run(run, tmp_path):
    source = picture(tmp_path / "a.png")
    words = [str(source), "--weights", str(run / "latest_net_G.pth"), "--output", str(tmp_path / "out")]
    assert main([*words, "--device", "cpu"]) == 0
    assert np.array_equal(
        np.asarray(Image.open(tmp_path / "out" / "a.png")), np.asarray(load(run, device="cpu")(source))
    )
    with pytest.raises(InputError, match="leave out --epoch"):
        main([*words, "--epoch", "3"])


def test_output_format_changes_the_format(run, tmp_path):
    picture(tmp_path / "in" / "a.jpg")
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out", "--output_format", "tif") == 0
    made = Image.open(tmp_path / "out" / "a.tif")
    assert made.format == "TIFF"
    assert np.array_equal(np.asarray(made), np.asarray(load(run, device="cpu")(tmp_path / "in" / "a.jpg")))


def test_the_command_the_call_and_a_test_give_the_same_pixels(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sources = [
        picture(tmp_path / "in" / f"{name}.png", size, seed=seed)
        for name, size, seed in (("a", (30, 21), 1), ("b", (32, 32), 2))
    ]
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out") == 0
    where = ["--dataroot", str(tmp_path / "in"), "--name", run.name, "--checkpoints_dir", str(run.parent)]
    test.main([*where, "--preprocess", "none", "--device", "cpu"])
    for source in sources:
        made = np.asarray(Image.open(tmp_path / "out" / source.name))
        assert np.array_equal(made, np.asarray(load(run, device="cpu")(source)))
        assert np.array_equal(made, np.asarray(Image.open(f"results/run/test_latest/images/{source.stem}_fake_B.png")))


def video(path, size="48x32", sound=True):
    """A second of 10 frames, with a tone."""
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    tone = ["-f", "lavfi", "-i", "sine=duration=1"] if sound else []
    source = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=10:duration=1"]
    subprocess.run(
        [ffmpeg.get_ffmpeg_exe(), "-v", "error", *source, *tone, "-pix_fmt", "yuv420p", str(path)], check=True
    )


def frames(path):
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    reader = imageio_ffmpeg.read_frames(str(path))
    about = next(reader)
    return about, [np.frombuffer(each, np.uint8).reshape(about["size"][1], about["size"][0], 3) for each in reader]


@pytest.mark.parametrize(("sound", "name"), [(True, "ride.mp4"), (False, "ride.webm")])
def test_a_video_keeps_size_rate_and_sound(run, tmp_path, capsys, monkeypatch, sound, name):
    monkeypatch.setattr(bar, "FIRST_LINE", 0.0)
    (tmp_path / "in").mkdir()
    video(tmp_path / "in" / name, sound=sound)
    (tmp_path / "in" / "broken.mp4").write_text("no video")
    assert translate(run, tmp_path / "in", "--output", tmp_path / "out", "--batch_size", "4") == 1
    printed = capsys.readouterr()
    assert f"{name}: 4 of 10 frames (40 %)" in printed.out
    assert "translated 1 of 2 videos" in printed.out and "broken.mp4: not a video" in printed.err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]
    (before, sources), (after, made) = frames(tmp_path / "in" / name), frames(tmp_path / "out" / name)
    for key in ("size", "fps", "audio_codec"):
        assert before.get(key) == after.get(key)
    assert bool(after.get("audio_codec")) == sound and len(made) == len(sources) == 10
    for each, result in zip(sources, made):
        wanted = load(run, device="cpu")(each).astype(int)
        assert np.abs(result - wanted).mean() < 12  # the codec is lossy


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere.png", "--output", "out"], "nowhere.png: no such file"),
        (["in"], "--output: missing"),
        (["--output", "out"], "no images are given"),
        (["in", "--output", "in"], "would be overwritten"),
        (["in", "in/sub/a.png", "--output", "out"], "run them separately"),
        (["empty", "--output", "out"], "no images"),
        (["in", "--output", "out", "--batch_size", "0"], "--batch_size"),
        (["in", "--output", "out", "--target", "Male"], "one target only"),
        (["in", "--output", "out", "--epoch", "9"], "9_net_G.pth"),
    ],
)
def test_wrong_arguments_write_no_file(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "in" / "a.png")
    picture(tmp_path / "in" / "sub" / "a.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=said):
        translate(run, *words)
    assert not (tmp_path / "out").exists()


def test_an_output_folder_that_cannot_be_made_is_one_error(run, tmp_path):
    picture(tmp_path / "in" / "a.png")
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match=r"^--output .*/file/out: can.t be written .*; choose another folder$"):
        translate(run, tmp_path / "in", "--output", tmp_path / "file" / "out")
    with pytest.raises(InputError, match=r"^--output .*/file: this is a file; give a folder"):
        translate(run, tmp_path / "in", "--output", tmp_path / "file")


def test_images_of_formats_that_are_not_read_are_reported(run, tmp_path, capsys):
    picture(tmp_path / "in" / "a.jfif")
    for name in ("b.gif", "c.psd", "d.txt"):
        (tmp_path / "in" / name).touch()
    with pytest.warns(Notice, match=r"in also has 1 \.gif, 1 \.psd files, which are not read"):
        assert translate(run, tmp_path / "in", "--output", tmp_path / "out") == 0
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["a.jfif"]
    assert translate(run, tmp_path / "in" / "*", "--output", tmp_path / "out") == 0
    assert "also matches 1 .gif, 1 .psd files, which are not read" in capsys.readouterr().err


def test_a_target_that_stargan_has_not_learnt_is_one_error_and_without_a_target_a_notice_names_it(tmp_path):
    small = ("--dataroot", ".", "--device", "cpu")
    faces = make_run(tmp_path, *STARGAN, "--image_size", "64", "--d_conv_dim", "4", small=small)
    picture(tmp_path / "in" / "a.png")
    with pytest.raises(InputError, match="target Old: the run has not learnt 'Old'"):
        translate(faces, tmp_path / "in", "--output", tmp_path / "out", "--target", "Old")
    assert not (tmp_path / "out").exists()
    with pytest.warns(Notice, match=r"no target given: translating to Male, the first of Male, Young, Male\+Young"):
        assert translate(faces, tmp_path / "in", "--output", tmp_path / "first") == 0
    assert translate(faces, tmp_path / "in", "--output", tmp_path / "male", "--target", "Male") == 0
    assert (tmp_path / "first/a.png").read_bytes() == (tmp_path / "male/a.png").read_bytes()
