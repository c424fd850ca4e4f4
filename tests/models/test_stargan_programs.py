"""StarGAN as a program: training, testing, resuming, and importing the original's checkpoints."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

import test as test_program
import train as train_program
from datasets.make_shapes import make
from models import networks
from models.multi_domain import MultiDomainModel
from options.test_options import TestOptions
from scripts import import_stargan_checkpoint
from util.errors import InputError

ROOT = Path(__file__).parents[2]
SMALL = "--g_conv_dim 4 --d_conv_dim 4 --g_repeat_num 1 --d_repeat_num 3 --image_size 16 --batch_size 4".split()
SHAPES = (
    "--selected_attrs Striped Red_Fill Green_Fill Blue_Fill --exclusive_attrs Red_Fill Green_Fill Blue_Fill".split()
)
SHORT = "--n_iters 6 --n_iters_decay 4 --print_freq 4 --display_freq 20 --display_id 0 --num_threads 0".split()


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    """Two data sets: attributes (22 images), and folders (3 domains of 6 images, 2 for tests)."""
    root = tmp_path_factory.mktemp("shapes")
    make(root / "attributes", "attributes", size=16, train=16, test=6)
    make(root / "folders", "folders", size=16, train=6, test=2)
    return root


def command(tmp_path, dataroot, *words):
    where = ["--dataroot", dataroot, "--checkpoints_dir", tmp_path / "runs", "--device", "cpu"]
    return [*map(str, where), *words]


def train(tmp_path, dataroot, *words, name="run"):
    more = ("--model", "stargan", "--name", name, "--seed", "3", *SMALL, *SHORT, *words)
    train_program.main(command(tmp_path, dataroot, *more))
    return tmp_path / "runs" / name


def translate(tmp_path, dataroot, *words, name="run"):
    more = ("--name", name, "--results_dir", str(tmp_path / "results"), *words)
    test_program.main(command(tmp_path, dataroot, *more))
    return tmp_path / "results" / name / "test_latest"


def files(page):
    images = page / "images"
    return {path.relative_to(images).as_posix() for path in images.rglob("*.png")}


def test_attributes_train_and_test(shapes, tmp_path, capsys):
    run = train(tmp_path, shapes / "attributes", *SHAPES)
    printed = capsys.readouterr().out
    assert "End of epoch 2 / 2" in printed and " lr: 0 \n" in printed
    records = [json.loads(line) for line in (run / "loss_log.jsonl").read_text().splitlines()]
    assert len(records) == 10 and set(records[-1]["losses"]) > {"D/loss_gp", "G/loss_rec"}
    shown = {path.name for path in (run / "web" / "images").iterdir()}
    assert {"epoch001_real_A.png", "epoch001_Striped.png", "epoch002_Blue_Fill.png"} <= shown
    stored = json.loads((run / "train_opt.json").read_text())["options"]
    assert stored["selected_attrs"] == SHAPES[1:5] and stored["c_dim"] == 4
    page = translate(tmp_path, shapes / "attributes")
    names = {name[:6] for name in files(page)}
    assert files(page) == {f"{n}_{label}.png" for n in names for label in ("real_A", *SHAPES[1:5])} and len(names) == 2
    html = (page / "plain.html").read_text()
    assert html.count("<img") == 2 * 5 and "Red_Fill" in html


def test_fixed_samples_are_translated_to_every_target_with_the_labels_of_the_data(shapes, tmp_path, monkeypatch):
    def recognise(self, images, targets):
        raise AssertionError("the labels are known")

    monkeypatch.setattr(MultiDomainModel, "attributes_for", recognise)
    run = train(tmp_path, shapes / "attributes", *SHAPES, "--display_samples", "2")
    lines = (run / "web" / "assets" / "samples.js").read_text().splitlines()
    shown = [json.loads(f"[{line.removeprefix('metamer.sample(').removesuffix(');')}]")[:3] for line in lines]
    assert [(number, epoch) for number, epoch, _ in shown] == [(1, 1), (2, 1), (1, 2), (2, 2)]
    assert all(list(files) == ["real_A", *SHAPES[1:5]] for _, _, files in shown)
    assert all((run / "web" / file).is_file() for _, _, files in shown for file in files.values())


def test_targets_and_batch_size_do_not_change_results(shapes, tmp_path):
    train(tmp_path, shapes / "attributes", *SHAPES)
    page = translate(tmp_path, shapes / "attributes")
    one = {name: (page / "images" / name).read_bytes() for name in files(page)}
    page = translate(tmp_path, shapes / "attributes", "--targets", "Red_Fill+Striped,Striped", "--batch_size", "2")
    for name in files(page):
        if not name.endswith("+Striped.png"):
            assert (page / "images" / name).read_bytes() == one[name]
    assert any(name.endswith("_Red_Fill+Striped.png") for name in files(page))


def test_labelled_folders_train_and_test(shapes, tmp_path):
    run = train(tmp_path, shapes / "folders", "--dataset_mode", "labelled_folders")
    stored = json.loads((run / "train_opt.json").read_text())["options"]
    assert (stored["domains"], stored["c_dim"], stored["selected_attrs"]) == (["framed", "plain", "striped"], 3, [])
    page = translate(tmp_path, shapes / "folders")
    assert len(files(page)) == 6 * 4 and "striped/00001_framed.png" in files(page)
    (run / "latest_net_D.pth").unlink()  # the targets do not need it
    page = translate(tmp_path, shapes / "attributes" / "images", "--targets", "striped", "--num_test", "3", name="run")
    assert {"000001_real_A.png", "000003_striped.png"} <= files(page)


def test_attributes_of_images_without_labels_are_predicted_by_the_discriminator(shapes, tmp_path, capsys):
    run = train(tmp_path, shapes / "attributes", *SHAPES)
    page = translate(tmp_path, shapes / "folders" / "test" / "plain", "--targets", "Striped")
    assert "attributes of images without labels are predicted by the discriminator" in capsys.readouterr().out
    assert files(page) == {f"0000{n}_{label}.png" for n in (1, 2) for label in ("real_A", "Striped")}
    (run / "latest_net_D.pth").unlink()
    with pytest.raises(
        InputError, match=r"Striped: the images have no labels.*--attr_path.*latest_net_D.pth: no such checkpoint"
    ):
        translate(tmp_path, shapes / "folders" / "test" / "plain", "--targets", "Striped")


def test_exclusive_attributes_alone_need_no_labels_and_no_discriminator(shapes, tmp_path):
    run = train(tmp_path, shapes / "attributes", "--selected_attrs", *SHAPES[2:5], *SHAPES[5:])
    (run / "latest_net_D.pth").unlink()
    page = translate(tmp_path, shapes / "folders" / "test" / "plain")
    assert len(files(page)) == 2 * 4


def test_both_datasets_train_and_test(shapes, tmp_path):
    where = ("--rafd_image_dir", str(shapes / "folders"))
    run = train(tmp_path, shapes / "attributes", *where, "--dataset_mode", "celeba_and_folders", *SHAPES)
    stored = json.loads((run / "train_opt.json").read_text())["options"]
    assert (stored["c_dim"], stored["c2_dim"]) == (4, 3)
    page = translate(tmp_path, shapes / "attributes", *where)
    assert len(files(page)) == (2 + 6) * (1 + 4 + 3)


def test_the_error_for_a_flag_that_contradicts_the_run_names_both_values(shapes, tmp_path):
    train(tmp_path, shapes / "folders", "--dataset_mode", "labelled_folders")
    for words in (("--g_conv_dim", "8"), ("--domains", "framed", "striped")):
        with pytest.raises(InputError, match=f"{words[0]} .*was trained with {words[0]}"):
            translate(tmp_path, shapes / "folders", *words)
    with pytest.raises(InputError, match="--targets dotted: the run has not learnt 'dotted'"):
        translate(tmp_path, shapes / "folders", "--targets", "dotted")
    with pytest.raises(InputError, match="--eval: --model stargan"):
        translate(tmp_path, shapes / "folders", "--eval")


def test_other_models_count_iterations_too(shapes, tmp_path, capsys):
    words = (
        "--model template --dataset_mode template --netG resnet_4blocks --ngf 2 --load_size 16 --crop_size 16".split()
    )
    short = "--n_iters 6 --n_iters_decay 4 --max_dataset_size 4 --display_id 0 --num_threads 0".split()
    short += "--load_size 16 --crop_size 16 --print_freq 1".split()
    train_program.main(command(tmp_path, shapes / "folders", *words, *short))
    printed = capsys.readouterr().out
    assert "End of epoch 3 / 3" in printed and "iters 10\n" in printed  # 4 + 4 + 2 images
    assert "learning rate" not in printed  # a line for each update would drown the losses
    rates = [float(line.split(" lr: ")[1]) for line in printed.splitlines() if line.startswith("(epoch")]
    assert rates == [0.0002] * 6 + [0.00015, 0.0001, 0.00005, 0]


def test_a_resumed_run_equals_the_uninterrupted_run(shapes, tmp_path):
    whole = train(tmp_path, shapes / "attributes", *SHAPES, "--n_critic", "2", name="whole")
    words = (*SHAPES, "--n_critic", "2", "--save_latest_freq", "4")
    program = [sys.executable, "-c", STOPS_AFTER_7, *command(tmp_path, shapes / "attributes", "--model", "stargan")]
    more = ("--name", "cut", "--seed", "3", *SMALL, *SHORT, *words)
    assert subprocess.run([*program, *more], cwd=ROOT, capture_output=True).returncode == 7
    cut = train(tmp_path, shapes / "attributes", *words, "--continue_train", name="cut")
    for name in ("G", "D"):
        first, second = (torch.load(run / f"latest_net_{name}.pth") for run in (whole, cut))
        assert all(torch.equal(value, second[key]) for key, value in first.items())
    shown = [(run / "web" / "images" / "epoch002_Striped.png").read_bytes() for run in (whole, cut)]
    assert shown[0] == shown[1]


STOPS_AFTER_7 = """
import os, sys, torch, train
from models.stargan_model import StarGANModel
torch.set_num_threads(1)
step, done = StarGANModel.optimize_parameters, []
def stopping(self):
    if len(done) == 7: os._exit(7)
    done.append(step(self))
StarGANModel.optimize_parameters = stopping
train.main(sys.argv[1:])
"""


def released(folder, c_dim=5):
    torch.manual_seed(0)
    folder.mkdir()
    nets = {"G": networks.StarGANGenerator(4, c_dim, 2), "D": networks.StarGANDiscriminator(32, 4, c_dim, 4)}
    for name, net in nets.items():
        torch.save(net.state_dict(), folder / f"200000-{name}.ckpt")
    return str(folder / "200000-G.ckpt"), nets


def import_it(tmp_path, path, *words):
    words = ["--from", path, "--name", "old", "--checkpoints_dir", str(tmp_path / "runs"), *words]
    import_stargan_checkpoint.main(words)


def test_original_files_become_a_run_that_translates(shapes, tmp_path):
    path, nets = released(tmp_path / "models")
    import_it(tmp_path, path)
    page = translate(tmp_path, shapes / "folders" / "test" / "plain", "--targets", "Blond_Hair", name="old")
    assert Image.open(page / "images" / "00001_Blond_Hair.png").size == (32, 32)
    opt = TestOptions(command(tmp_path, shapes / "attributes", "--name", "old")).parse()
    assert (opt.g_conv_dim, opt.g_repeat_num, opt.d_repeat_num, opt.image_size) == (4, 2, 4, 32)
    for name, net in nets.items():
        stored = torch.load(tmp_path / "runs" / "old" / f"latest_net_{name}.pth")
        assert all(torch.equal(value, stored[key]) for key, value in net.state_dict().items())
    with pytest.raises(InputError, match="holds checkpoints"):
        import_it(tmp_path, path)


def test_an_imported_run_with_folders_needs_their_names(tmp_path):
    path, _ = released(tmp_path / "models", c_dim=3)
    with pytest.raises(InputError, match="the weights are for 3"):
        import_it(tmp_path, path)
    import_it(tmp_path, path, "--domains", "angry", "happy", "sad")
    opt = TestOptions(command(tmp_path, "none", "--name", "old")).parse()
    assert (opt.domains, opt.dataset_mode) == (["angry", "happy", "sad"], "labelled_folders")


def test_files_that_are_no_generators_are_refused(tmp_path):
    path, _ = released(tmp_path / "models")
    with pytest.raises(InputError, match="not a ResNet, a U-Net or a StarGAN"):
        import_it(tmp_path, path.replace("-G", "-D"))
    with pytest.raises(InputError, match="no such checkpoint"):
        import_it(tmp_path, str(tmp_path / "nothing-G.ckpt"))
