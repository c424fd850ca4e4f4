"""train.py and test.py as a user runs them, on small synthetic data."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import metamer
import test as test_program
import train as train_program
from util.errors import InputError

ROOT = Path(__file__).resolve().parent.parent


def picture(path, width=40, height=40, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def unpaired(tmp_path):
    for side, images in (("trainA", 3), ("trainB", 4), ("testA", 3), ("testB", 3)):
        for i in range(images):
            picture(tmp_path / "photos" / side / f"{i}.png", seed=i)
    return tmp_path / "photos"


@pytest.fixture
def paired(tmp_path):
    for phase in ("train", "test"):
        for i in range(3):
            picture(tmp_path / "pairs" / phase / f"{i}.png", width=80, seed=i)
    return tmp_path / "pairs"


def where(dataroot, tmp_path, name="run"):
    runs = ("--checkpoints_dir", str(tmp_path / "runs"), "--name", name, "--device", "cpu", "--num_threads", "0")
    return ["--dataroot", str(dataroot), *runs]


SMALL = (
    *("--ngf", "4", "--ndf", "4", "--load_size", "36", "--crop_size", "32", "--n_epochs", "1", "--n_epochs_decay", "1"),
    *("--display_id", "0", "--print_freq", "1", "--display_freq", "1", "--update_html_freq", "1"),
)
CYCLE_GAN = ("--model", "cycle_gan", "--netG", "resnet_4blocks", *SMALL)
PIX2PIX = ("--model", "pix2pix", "--netG", "resnet_4blocks", *SMALL)


def train(dataroot, tmp_path, *words, name="run"):
    train_program.main([*where(dataroot, tmp_path, name), *words])
    return tmp_path / "runs" / name


def translate(dataroot, tmp_path, *words, name="run"):
    test_program.main([*where(dataroot, tmp_path, name), "--results_dir", str(tmp_path / "results"), *words])
    return tmp_path / "results" / name / "test_latest"


def weights(run, name="G_A", tag="latest"):
    return torch.load(run / f"{tag}_net_{name}.pth")


def test_cycle_gan_trains_and_tests(unpaired, tmp_path, capsys):
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--save_epoch_freq", "1")
    networks = ("G_A", "G_B", "D_A", "D_B")
    assert {p.name for p in run.glob("*_net_*.pth")} == {
        f"{t}_net_{n}.pth" for t in ("1", "2", "latest") for n in networks
    }
    records = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    assert len(records) == 8  # 4 images, 2 epochs, every image
    assert set(records[0]["losses"]) == {"D_A", "G_A", "cycle_A", "idt_A", "D_B", "G_B", "cycle_B", "idt_B"}
    printed = capsys.readouterr().out
    assert "The number of training images = 4" in printed
    assert "(epoch: 2, iters: 4, time: " in printed
    assert "learning rate 0.0002000 -> 0.0001000" in printed
    assert (
        printed.rindex("learning rate") < printed.rindex("saving the model") < printed.rindex("End of epoch 2 / 2 \t")
    )
    web = {p.name for p in (run / "web" / "images").iterdir()}
    assert {"epoch001_real_A.png", "epoch002_idt_A.png"} <= web
    page = translate(unpaired, tmp_path)
    made = {p.name for p in (page / "images").iterdir()}
    assert made == {f"{i}_{label}.png" for i in range(3) for label in "real_A fake_B rec_A real_B fake_A rec_B".split()}
    assert "wrote 3 of 3 images" in capsys.readouterr().out
    assert (page / "plain.html").read_text().count("<img") == len(made)


def test_pix2pix_trains_and_tests_in_both_directions(paired, tmp_path):
    for direction in ("AtoB", "BtoA"):
        train(paired, tmp_path, *PIX2PIX, "--direction", direction, name=direction)
        page = translate(paired, tmp_path, name=direction)
        left = np.asarray(Image.open(paired / "test" / "0.png"))[:32, : 40 - 8]
        shown = np.asarray(Image.open(page / "images" / ("0_real_A.png" if direction == "AtoB" else "0_real_B.png")))
        assert shown.shape == left.shape
    first, second = (tmp_path / "results" / d / "test_latest" / "images" for d in ("AtoB", "BtoA"))
    assert (first / "0_real_A.png").read_bytes() == (second / "0_real_B.png").read_bytes()


@pytest.mark.parametrize("model", ["colorization", "template"])
def test_the_other_models_train_and_test(model, paired, tmp_path):
    if model == "colorization":
        pytest.importorskip("skimage")
    run = train(paired, tmp_path, "--model", model, "--netG", "resnet_4blocks", *SMALL)
    assert (run / "latest_net_G.pth").exists()
    page = translate(paired, tmp_path)
    assert len(list((page / "images").glob("*.png"))) == 9


def test_the_template_dataset_trains_the_template_model(unpaired, tmp_path):
    run = train(
        unpaired, tmp_path, "--model", "template", "--dataset_mode", "template", "--netG", "resnet_4blocks", *SMALL
    )
    assert (run / "latest_net_G.pth").exists()


def test_model_test_translates_a_plain_folder(unpaired, tmp_path):
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    for direction, net in (("AtoB", "G_A"), ("BtoA", "G_B")):
        translate(unpaired / "testA", tmp_path, "--model", "test", "--direction", direction, "--no_dropout")
        shown = (tmp_path / "results" / "run" / "test_latest" / "images" / "1_fake.png").read_bytes()
        translate(unpaired / "testA", tmp_path, "--model", "test", "--model_suffix", net[1:])
        assert (tmp_path / "results" / "run" / "test_latest" / "images" / "1_fake.png").read_bytes() == shown
    assert not torch.equal(weights(run, "G_A")["model.1.weight"], weights(run, "G_B")["model.1.weight"])


def test_a_two_sided_run_is_tested_in_either_direction(unpaired, tmp_path, capsys):
    picture(unpaired / "testB" / "extra.png", seed=9)
    run = train(unpaired, tmp_path, *CYCLE_GAN, "--no_dropout")
    pages = tmp_path / "results" / "run" / "test_latest" / "images"
    translate(unpaired, tmp_path)
    made_from_B = [(pages / f"{i}_fake_A.png").read_bytes() for i in range(3)]
    capsys.readouterr()
    translate(unpaired, tmp_path, "--direction", "BtoA")
    assert "--direction BtoA: the run was trained AtoB" in capsys.readouterr().out
    assert [(pages / f"{i}_fake_A.png").read_bytes() for i in range(3)] == made_from_B
    assert (pages / "extra_fake_A.png").exists()  # every image of testB, named after it
    translate(unpaired / "testB", tmp_path, "--direction", "BtoA")  # a plain folder
    assert [(pages / f"{i}_fake_A.png").read_bytes() for i in range(3)] == made_from_B
    assert not list(pages.glob("*_fake_B.png"))
    second = metamer.load(run, direction="BtoA", device="cpu")
    image = Image.open(pages / "extra_real_B.png")
    assert np.array_equal(np.asarray(second(image)), np.asarray(Image.open(pages / "extra_fake_A.png")))


@pytest.mark.parametrize("words", [(), ("--model", "test")])
def test_a_one_sided_run_refuses_the_other_direction(words, paired, tmp_path):
    train(paired, tmp_path, *PIX2PIX)
    with pytest.raises(InputError, match="--direction BtoA: the run 'run' was trained AtoB"):
        translate(paired, tmp_path, "--direction", "BtoA", *words)
    assert not (tmp_path / "results").exists()


def test_a_two_sided_model_translates_one_domain_alone(unpaired, tmp_path):
    train(unpaired, tmp_path, *CYCLE_GAN)
    page = translate(unpaired / "testA", tmp_path)
    assert {p.name.split("_", 1)[1] for p in (page / "images").iterdir()} == {"real_A.png", "fake_B.png", "rec_A.png"}


def test_batch_size_does_not_change_results(paired, tmp_path):
    train(paired, tmp_path, *PIX2PIX)  # batch norm and dropout: both would mix the samples of a batch
    page = translate(paired, tmp_path, "--batch_size", "1")
    one = {p.name: p.read_bytes() for p in (page / "images").iterdir()}
    page = translate(paired, tmp_path, "--batch_size", "3", "--num_threads", "1")
    assert {p.name: p.read_bytes() for p in (page / "images").iterdir()} == one


def test_num_test_limits_the_images_and_is_printed(unpaired, tmp_path, capsys):
    train(unpaired, tmp_path, *CYCLE_GAN)
    page = translate(unpaired, tmp_path, "--num_test", "2")
    assert len(list((page / "images").glob("*_fake_B.png"))) == 2
    assert "wrote 2 of 3 images" in capsys.readouterr().out


def test_the_same_seed_gives_the_same_weights_with_any_num_threads(unpaired, tmp_path):
    first = weights(train(unpaired, tmp_path, *CYCLE_GAN, "--seed", "3", name="first"))
    second = weights(train(unpaired, tmp_path, *CYCLE_GAN, "--seed", "3", "--num_threads", "2", name="second"))
    other = weights(train(unpaired, tmp_path, *CYCLE_GAN, "--seed", "4", name="other"))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_continue_train_starts_from_the_saved_weights(unpaired, tmp_path, capsys):
    run = train(unpaired, tmp_path, *CYCLE_GAN)
    before = weights(run)
    words = ("--continue_train", "--epoch_count", "3", "--n_epochs_decay", "2", "--lr", "1e-12")
    after = weights(train(unpaired, tmp_path, *CYCLE_GAN, *words))
    assert all(torch.allclose(before[key], after[key], atol=1e-9) for key in before)
    assert "(epoch: 3, iters: 1," in capsys.readouterr().out
    page = (run / "web" / "plain.html").read_text()
    assert [f"epoch [{n}]" in page for n in (1, 2, 3)] == [True, True, True]


def test_wgan_gp_uses_its_penalty(unpaired, tmp_path):
    words = (*CYCLE_GAN, "--gan_mode", "wgangp", "--seed", "1")
    plain = weights(train(unpaired, tmp_path, *words, name="plain"), "D_A")
    penalised = weights(train(unpaired, tmp_path, *words, "--lambda_gp", "10", name="penalised"), "D_A")
    assert not all(torch.equal(plain[key], penalised[key]) for key in plain)


def run_program(*words):
    return subprocess.run([sys.executable, *map(str, words)], cwd=ROOT, capture_output=True, text=True, timeout=120)


def test_errors_give_one_line_and_exit_code_2(unpaired, tmp_path):
    done = run_program("train.py", *where(unpaired, tmp_path), "--netG", "resnet_9block")
    assert done.returncode == 2
    assert done.stderr.strip().count("\n") == 0
    assert "--netG resnet_9block" in done.stderr
    assert not (tmp_path / "runs").exists()
    done = run_program("train.py", *where(tmp_path / "nowhere", tmp_path))
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("program", [translate, lambda *words, **name: train(*words, "--continue_train", **name)])
def test_the_error_for_a_missing_run_suggests_existing_runs(program, unpaired, tmp_path):
    for name in ("horses", "cats"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "train_opt.json").write_text("{}")
    with pytest.raises(InputError) as error:
        program(unpaired, tmp_path, name="horse")
    assert "--name horse: " in str(error.value)
    assert "no such run folder; there are cats, horses; did you mean 'horses'?" in str(error.value)
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["cats", "horses"]
    assert not (tmp_path / "results").exists()


def test_a_run_that_can_not_start_leaves_no_folder(unpaired, tmp_path, monkeypatch, capsys):
    (tmp_path / "weights.pth").write_text("no weights")
    with pytest.raises(InputError, match="refused"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--init_from", str(tmp_path / "weights.pth"))
    assert not (tmp_path / "runs" / "run").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="--use_wandb needs the package wandb"):
        train(unpaired, tmp_path, *CYCLE_GAN, "--use_wandb")
    assert not (tmp_path / "runs" / "run").exists()
    assert "-- Options --" not in capsys.readouterr().out  # the options are not printed before the error


def test_the_end_of_a_run_prints_the_next_command_and_that_it_is_finished(unpaired, tmp_path, capsys):
    words = [*CYCLE_GAN, "--n_epochs", "1", "--n_epochs_decay", "0"]
    run = train(unpaired, tmp_path, *words)
    command = f"python test.py {shlex.join(where(unpaired, tmp_path)[:2])} --name run --checkpoints_dir {run.parent}"
    printed = capsys.readouterr().out
    assert f"pictures of the training: {run / 'web' / 'index.html'}\nto test it: {command}\n" in printed
    before = weights(run)
    train(unpaired, tmp_path, "--continue_train")
    printed = capsys.readouterr().out
    further = "to train it further, give a larger --n_epochs (now 1) or --n_epochs_decay (now 0)"
    assert f"the run 'run' is finished (4 images seen); {further}\n" in printed
    assert "(epoch: " not in printed and command in printed
    assert all(torch.equal(before[key], value) for key, value in weights(run).items())


def test_options_are_printed_after_the_checks_with_changed_ones_first(unpaired, tmp_path, capsys):
    train(unpaired, tmp_path, *CYCLE_GAN, "--seed", "5")
    lines = capsys.readouterr().out.splitlines()
    start = next(i for i, line in enumerate(lines) if "-- Options --" in line)
    assert any("was created" in line for line in lines[:start])
    blank = lines.index("", start)
    assert all("[default: " in line for line in lines[start + 1 : blank])
    assert f"{'seed':>25}: {'5':<30}\t[default: None]" in lines[start + 1 : blank]
    assert not any("[default: " in line for line in lines[blank:])
    assert f"{'beta1':>25}: {'0.5':<30}" in lines[blank:]


def test_unreadable_images_are_left_out_and_listed(unpaired, tmp_path, capsys):
    train(unpaired, tmp_path, *CYCLE_GAN)
    (unpaired / "testA" / "1.png").write_text("no image")
    words = [*where(unpaired / "testA", tmp_path), "--results_dir", str(tmp_path / "results")]
    for more in (["--batch_size", "3"], ["--num_threads", "1"]):
        assert test_program.main([*words, *more]) == 1
        printed = capsys.readouterr()
        assert "wrote 2 of 3 images" in printed.out
        assert printed.err.count("not translated: ") == 1 and "1.png: not an image" in printed.err
        made = {path.name for path in (tmp_path / "results" / "run" / "test_latest" / "images").iterdir()}
        assert made == {f"{i}_{label}.png" for i in (0, 2) for label in ("real_A", "fake_B", "rec_A")}
    with pytest.raises(InputError, match=r"1\.png: not an image"):
        test_program.main([*words, "--skip_bad_images", "no"])
    for i in (0, 2):
        (unpaired / "testA" / f"{i}.png").write_text("no image")
    with pytest.raises(InputError, match="no image could be read; the first of 3: "):
        test_program.main(words)
    assert len(list((tmp_path / "results" / "run").iterdir())) == 1  # the former results, and nothing beside them


def test_the_programs_leave_the_wait_policy_of_openmp_to_the_user():
    """PASSIVE makes a single run with two threads slower than with one."""
    program = "import os, train; print(os.environ.get('OMP_WAIT_POLICY'))"
    for chosen, found in (({}, "None"), ({"OMP_WAIT_POLICY": "PASSIVE"}, "PASSIVE")):
        env = {**{name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}, **chosen}
        done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)
        assert done.stdout.strip() == found
