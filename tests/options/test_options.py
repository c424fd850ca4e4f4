"""Flags: names and defaults, precedence, checks, and what a test restores from a run."""

import json
import math

import pytest

from options import base_options
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.errors import InputError


def train(*words):
    return TrainOptions(["--dataroot", "d", "--device", "cpu", *words]).parse()


def refused(*words, options=TrainOptions):
    with pytest.raises(InputError) as caught:
        options(["--dataroot", "d", "--device", "cpu", *words]).parse()
    message = str(caught.value)
    assert "\n" not in message
    return message


FROZEN = {
    "name": "experiment_name",
    "checkpoints_dir": "./checkpoints",
    "model": "cycle_gan",
    "input_nc": 3,
    "output_nc": 3,
    "ngf": 64,
    "ndf": 64,
    "netD": "basic",
    "netG": "resnet_9blocks",
    "n_layers_D": 3,
    "norm": "instance",
    "init_type": "normal",
    "init_gain": 0.02,
    "no_dropout": True,  # cycle_gan's
    "dataset_mode": "unaligned",
    "direction": "AtoB",
    "serial_batches": False,
    "num_threads": 4,
    "batch_size": 1,
    "load_size": 286,
    "crop_size": 256,
    "max_dataset_size": math.inf,
    "preprocess": "resize_and_crop",
    "no_flip": False,
    "display_winsize": 256,
    "epoch": "latest",
    "load_iter": 0,
    "verbose": False,
    "suffix": "",
    "use_wandb": False,
    "wandb_project_name": "CycleGAN-and-pix2pix",
    "display_freq": 400,
    "display_ncols": 4,
    "display_id": None,
    "display_server": "http://localhost",
    "display_env": None,
    "display_samples": 4,
    "display_port": 8097,
    "update_html_freq": 1000,
    "print_freq": 100,
    "no_html": False,
    "save_latest_freq": 5000,
    "save_epoch_freq": 5,
    "save_by_iter": False,
    "continue_train": False,
    "epoch_count": 1,
    "phase": "train",
    "n_epochs": 100,
    "n_epochs_decay": 100,
    "beta1": 0.5,
    "beta2": 0.999,
    "lr": 0.0002,
    "gan_mode": "lsgan",
    "pool_size": 50,
    "lr_policy": "linear",
    "lr_decay_iters": 50,
    "lambda_A": 10.0,
    "lambda_B": 10.0,
    "lambda_identity": 0.5,
}


def test_names_and_defaults_are_the_originals(monkeypatch):
    monkeypatch.setattr(base_options, "cores", lambda: 64)
    opt = train()
    assert {name: getattr(opt, name) for name in FROZEN} == FROZEN


def test_the_default_number_of_data_workers_is_at_most_the_number_of_cores(monkeypatch):
    monkeypatch.setattr(base_options, "cores", lambda: 1)
    assert train().num_threads == 1
    assert train("--num_threads", "6").num_threads == 6


def test_pix2pix_has_the_defaults_of_the_original():
    opt = train("--model", "pix2pix")
    assert (opt.netG, opt.norm, opt.dataset_mode) == ("unet_256", "batch", "aligned")
    assert (opt.gan_mode, opt.pool_size, opt.lambda_L1, opt.no_dropout) == ("vanilla", 0, 100.0, False)


def test_the_command_line_takes_precedence_over_model_and_dataset():
    opt = train("--model", "colorization", "--gan_mode", "lsgan", "--norm", "instance")
    assert (opt.gan_mode, opt.norm, opt.normG) == ("lsgan", "instance", "instance")
    assert (opt.input_nc, opt.output_nc) == (1, 2)  # from the data set


def test_cmd_line_may_be_a_string_or_a_list_and_parse_may_be_called_again():
    options = TrainOptions("--dataroot d --device cpu --lr 0.1")
    assert options.parse().lr == 0.1
    assert options.parse().lr == 0.1
    assert TrainOptions(["--dataroot", "with blank", "--device", "cpu"]).parse().dataroot == "with blank"


def test_switches_work_alone_and_with_yes_or_no():
    assert train("--no_antialias", "false").no_antialias is False
    assert train("--no_flip").no_flip is True
    assert "yes or no" in refused("--no_flip", "maybe")


def test_a_seed_is_drawn_when_none_is_given():
    assert train().seed != train().seed
    assert train("--seed", "7").seed == 7


@pytest.mark.parametrize(
    ("words", "must_say"),
    [
        (["--netG", "unet_265"], ["--netG", "unet_265", "unet_256"]),
        (["--netD", "stylegan2", "--crop_size", "100"], ["--crop_size 100", "128x128", "patchstylegan2"]),
        (["--netD", "stylegan2", "--stylegan2_size", "250"], ["--stylegan2_size 250", "power of two"]),
        (["--netD", "tilestylegan2", "--D_patch_size", "48"], ["--D_patch_size 48", "--crop_size 256", "multiple"]),
        (["--netG", "stylegan2", "--stylegan2_G_num_downsampling", "4", "--crop_size", "200"], ["multiple of 16"]),
        (["--netG", "resnet_cat"], ["--netG", "--nz", "resnet_9blocks"]),
        (["--gan_mode", "lsgna"], ["--gan_mode", "lsgan", "did you mean"]),
        (["--direction", "BtA"], ["--direction", "AtoB, BtoA"]),
        (["--preprocess", "resize_and_corp"], ["--preprocess", "resize_and_crop"]),
        (["--lr_policy", "plateau"], ["--lr_policy", "metric"]),
        (["--lr", "-1"], ["--lr", "-1", "above 0"]),
        (["--lr", "nan"], ["--lr", "nan"]),
        (["--lr", "fast"], ["--lr", "fast", "number"]),
        (["--batch_size", "0"], ["--batch_size", "0", "at least 1"]),
        (["--batch_size", "1.5"], ["--batch_size", "1.5"]),
        (["--print_freq", "0"], ["--print_freq", "at least 1"]),
        (["--num_threads", "-1"], ["--num_threads", "at least 0"]),
        (["--max_dataset_size", "0"], ["--max_dataset_size"]),
        (["--beta1", "1"], ["--beta1"]),
        (["--lambda_A", "inf"], ["--lambda_A", "inf"]),
        (["--crop_size", "258"], ["--crop_size 258", "multiple of 4", "256 or 260"]),
        (["--model", "pix2pix", "--crop_size", "128"], ["--crop_size 128", "unet_256", "256"]),
        (["--load_size", "128"], ["--load_size 128", "--crop_size 256"]),
        (["--lamda_A", "3"], ["--lamda_A", "--lambda_A"]),
        (["--batch", "2"], ["--batch", "no such flag"]),
        (["stray"], ["stray"]),
        (["--model", "cycle_gna"], ["cycle_gna", "cycle_gan"]),
        (["--dataset_mode", "unalinged"], ["unalinged", "unaligned"]),
        (["--name", "../x"], ["--name"]),
        (["--name", "/abs"], ["--name"]),
        (["--suffix", "{nothing}"], ["--suffix", "nothing"]),
        (["--suffix", "/../../x"], ["--name"]),
        (["--epoch", "../latest"], ["--epoch"]),
        (["--phase", ".."], ["--phase"]),
        (["--epoch_count", "201"], ["--epoch_count 201", "200"]),
        (["--lambda_gp", "10"], ["--lambda_gp", "wgangp"]),
        (["--device", "tpu"], ["--device", "tpu", "cpu"]),
        (["--gpu_ids", "zero"], ["--gpu_ids", "zero"]),
        (["--gpu_ids", "0"], ["--device", "--gpu_ids"]),  # contradicts --device cpu of refused()
        (["--model", "test"], ["--model test", "test.py"]),
    ],
)
def test_errors_for_bad_values_name_the_flag_and_the_correction(words, must_say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refused(*words)
    for part in must_say:
        assert part in message
    assert list(tmp_path.iterdir()) == []  # nothing was created


def test_dataroot_is_required_but_not_for_help(capsys):
    with pytest.raises(InputError, match="--dataroot"):
        TrainOptions([]).parse()
    with pytest.raises(SystemExit) as exit:
        TrainOptions(["--model", "pix2pix", "-h"]).parse()
    assert exit.value.code == 0
    printed = capsys.readouterr().out
    assert "--lambda_L1" in printed
    assert "--dataroot" in printed


def test_suffix_is_formatted_with_options():
    assert train("--name", "n", "--suffix", "{model}_{netG}_s{load_size}").name == "n_cycle_gan_resnet_9blocks_s286"
    assert train("--name", "n", "--suffix", "{lr:.1e}").name == "n_2.0e-04"


def test_gpu_ids_minus_one_is_the_cpu():
    opt = TrainOptions(["--dataroot", "d", "--gpu_ids", "-1"]).parse()
    assert (opt.device.type, opt.gpu_ids) == ("cpu", [])


def trained_run(tmp_path, *words):
    options = TrainOptions(
        ["--dataroot", "d", "--device", "cpu", "--checkpoints_dir", str(tmp_path), "--name", "run", *words]
    )
    options.parse()
    options.save()
    return tmp_path / "run"


def options_of_a_test(tmp_path, *words, dataroot=None):
    dataroot = dataroot or tmp_path / "data"
    (dataroot / "testA").mkdir(parents=True, exist_ok=True)
    command = ["--dataroot", str(dataroot), "--device", "cpu", "--checkpoints_dir", str(tmp_path), "--name", "run"]
    return TestOptions([*command, *words]).parse()


def test_options_are_saved_as_text_and_json(tmp_path):
    folder = trained_run(tmp_path, "--lr", "0.001")
    stored = json.loads((folder / "train_opt.json").read_text())["options"]
    assert (stored["lr"], stored["max_dataset_size"], stored["device"]) == (0.001, "inf", "cpu")
    text = (folder / "train_opt.txt").read_text()
    assert f"{'lr':>25}: {'0.001':<30}\t[default: 0.0002]\n" in text
    assert text.startswith("----------------- Options ---------------\n")
    assert text.endswith("----------------- End -------------------\n")


def test_a_test_restores_the_options_of_networks_and_data(tmp_path):
    trained_run(
        tmp_path,
        *("--netG", "resnet_6blocks", "--ngf", "8", "--norm", "batch", "--no_dropout", "false", "--direction", "BtoA"),
        *("--crop_size", "64", "--load_size", "70", "--preprocess", "scale_width_and_crop", "--seed", "5"),
        *("--batch_size", "3", "--max_dataset_size", "9"),
    )
    opt = options_of_a_test(tmp_path)
    assert (opt.model, opt.netG, opt.ngf, opt.normG, opt.no_dropout) == (
        "cycle_gan",
        "resnet_6blocks",
        8,
        "batch",
        False,
    )
    assert (opt.direction, opt.preprocess, opt.crop_size, opt.load_size) == ("BtoA", "scale_width_and_crop", 64, 64)
    assert (opt.seed, opt.batch_size, opt.max_dataset_size, opt.num_test) == (5, 1, math.inf, math.inf)
    assert (opt.serial_batches, opt.no_flip, opt.isTrain, opt.display_id) == (True, True, False, -1)


def test_the_error_for_a_flag_that_contradicts_the_run_names_both_values(tmp_path):
    trained_run(tmp_path, "--netG", "resnet_6blocks")
    with pytest.raises(InputError, match=r"--netG resnet_9blocks.*resnet_6blocks"):
        options_of_a_test(tmp_path, "--netG", "resnet_9blocks")
    with pytest.raises(InputError, match=r"--model pix2pix.*cycle_gan"):
        options_of_a_test(tmp_path, "--model", "pix2pix", "--netG", "resnet_6blocks")
    assert (
        options_of_a_test(tmp_path, "--netG", "resnet_6blocks").netG == "resnet_6blocks"
    )  # the same word is no contradiction
    assert options_of_a_test(tmp_path, "--crop_size", "128").crop_size == 128


def test_model_test_contradicts_nothing_and_reads_a_plain_folder(tmp_path):
    trained_run(tmp_path, "--netG", "resnet_6blocks")
    opt = options_of_a_test(tmp_path, "--model", "test")
    assert (opt.model, opt.dataset_mode, opt.netG, opt.no_dropout) == ("test", "single", "resnet_6blocks", True)


def test_a_folder_without_phases_is_read_as_single_images(tmp_path):
    trained_run(tmp_path)
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "photo.jpg").touch()
    opt = TestOptions(
        ["--dataroot", str(plain), "--device", "cpu", "--checkpoints_dir", str(tmp_path), "--name", "run"]
    ).parse()
    assert (opt.model, opt.dataset_mode) == ("cycle_gan", "single")


def test_a_test_never_overwrites_the_trainings_options(tmp_path):
    folder = trained_run(tmp_path)
    before = (folder / "train_opt.txt").read_text()
    options = TestOptions(
        ["--dataroot", str(tmp_path), "--checkpoints_dir", str(tmp_path), "--name", "run", "--phase", "train"]
    )
    options.parse()
    options.save()
    assert (folder / "train_opt.txt").read_text() == before
    assert (folder / "test_opt.txt").exists()


def test_without_saved_options_the_flags_are_used(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "latest_net_G.pth").touch()
    opt = options_of_a_test(tmp_path, "--model", "cycle_gan", "--netG", "resnet_6blocks", "--norm", "batch")
    assert (opt.netG, opt.normG) == ("resnet_6blocks", "batch")


def test_the_error_names_a_damaged_options_file(tmp_path):
    folder = trained_run(tmp_path)
    (folder / "train_opt.json").write_text("{")
    with pytest.raises(InputError, match="train_opt.json"):
        options_of_a_test(tmp_path)


def test_training_flags_are_unknown_to_a_test(tmp_path):
    with pytest.raises(InputError, match="--lambda_A"):
        options_of_a_test(tmp_path, "--lambda_A", "3")
    with pytest.raises(InputError, match="full name"):
        options_of_a_test(tmp_path, "--suffix", "x")


def test_the_size_of_stylegan2_networks_is_stored_with_the_run():
    assert train().stylegan2_size is None
    assert train("--netG", "stylegan2").stylegan2_size == 256
    assert train("--netD", "patchstylegan2", "--load_size", "100", "--crop_size", "96").stylegan2_size == 128
    assert train("--netG", "stylegan2", "--crop_size", "128,64").stylegan2_size == 64
    assert train("--netG", "stylegan2", "--stylegan2_size", "512").stylegan2_size == 512


def test_flags_without_effect_on_the_network_are_reported(capsys):
    train("--netG", "stylegan2", "--norm", "batch", "--no_dropout")
    printed = capsys.readouterr().out
    assert "--norm: has no effect on --netG stylegan2\n" in printed
    assert "--no_dropout: has no effect on --netG stylegan2\n" in printed
    train("--model", "cut", "--netF", "reshape", "--num_patches", "9")
    assert "--num_patches: has no effect on --netF reshape\n" in capsys.readouterr().out
    train("--netG", "stylegan2")
    assert "has no effect" not in capsys.readouterr().out
