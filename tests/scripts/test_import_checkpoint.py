"""scripts/import_checkpoint.py: the architecture is read from the weights, and results are those of the network."""

import functools
import itertools
import json
import os

import numpy as np
import pytest
import torch
from PIL import Image

import test
from metamer import load
from models import create_model, networks
from models.architectures.infer import discriminator_flags, generator_flags
from options.train_options import TrainOptions
from scripts.import_checkpoint import main
from util.errors import InputError


@pytest.mark.parametrize("netG", ["resnet_9blocks", "resnet_6blocks", "unet_128", "unet_256"])
@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
def test_the_architecture_is_read_from_the_weights(netG, norm):
    for dropout, plain_down, plain_up in itertools.product((True, False), repeat=3):
        net = networks.define_G(1, 2, 3, netG, norm, dropout, no_antialias=plain_down, no_antialias_up=plain_up)
        wanted = {"netG": netG, "ngf": 3, "input_nc": 1, "output_nc": 2, "normG": norm}
        if netG.startswith("resnet"):
            wanted |= {"no_dropout": not dropout, "no_antialias": plain_down, "no_antialias_up": plain_up}
        assert generator_flags(net.state_dict()) == wanted


def test_instance_norm_statistics_of_old_files_are_not_read_as_batch_norm():
    state = networks.define_G(3, 3, 4, "resnet_9blocks", "instance").state_dict()
    state |= {"model.2.running_mean": torch.zeros(4), "model.2.running_var": torch.ones(4)}
    assert generator_flags(state)["normG"] == "instance"


@pytest.mark.parametrize("netG", ["resnet_6blocks", "unet_128"])
def test_an_imported_file_translates_like_its_network(tmp_path, netG):
    torch.manual_seed(0)
    net = networks.define_G(3, 3, 4, netG, "instance", use_dropout=False)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    main([str(tmp_path / "net.pth"), "--name", "theirs", "--checkpoints_dir", str(tmp_path), "--no_dropout"])
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(load(tmp_path / "theirs", device="cpu")(image), net(image), atol=1e-6)


def test_two_files_become_a_two_sided_run(tmp_path):
    nets = {side: networks.define_G(3, 3, 4, "resnet_6blocks", "instance") for side in "AB"}
    files = [str(tmp_path / f"latest_net_G_{side}.pth") for side in nets]
    for net, path in zip(nets.values(), files, strict=True):
        torch.save(net.state_dict(), path)
    main([*files, "--name", "both", "--checkpoints_dir", str(tmp_path)])
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        back = load(tmp_path / "both", direction="BtoA", device="cpu")(image)
        assert np.allclose(back, nets["B"](image), atol=1e-6)


def originals(folder, **nets):
    """Files with the names that the originals give them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, net in nets.items():
        torch.save(net.state_dict(), folder / f"latest_net_{name}.pth")
    return folder


def test_a_folder_of_cut_becomes_a_run_for_test_call_and_training(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    G = networks.define_G(3, 3, 4, "resnet_4blocks", "instance", no_antialias=False, no_antialias_up=False)
    D = networks.define_D(3, 8, "n_layers", 2, "instance", no_antialias=False)
    folder = originals(tmp_path / "grumpycat_CUT", G=G, D=D, F=D)
    main([str(folder)])
    run = tmp_path / "checkpoints" / "grumpycat_CUT"
    options = json.loads((run / "train_opt.json").read_text())["options"]
    assert (options["model"], options["n_layers_D"], options["ndf"], options["no_antialias"]) == ("cut", 2, 8, False)
    assert not (run / "latest_net_F.pth").exists()  # the file is no projector
    made = load(run, device="cpu")(torch.zeros(1, 3, 30, 41))
    Image.new("RGB", (41, 30), (128, 128, 128)).save(tmp_path / "gray.png")
    with torch.no_grad():
        assert torch.allclose(made, G(torch.zeros(1, 3, 30, 41)), atol=1e-6)
    data = tmp_path / "photos"
    data.mkdir()
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(data / "a.png")
    assert (
        test.main(["--dataroot", str(data), "--name", "grumpycat_CUT", "--preprocess", "none", "--device", "cpu"]) == 0
    )
    page = np.asarray(Image.open("results/grumpycat_CUT/test_latest/images/a_fake_B.png"))
    assert np.array_equal(page, np.asarray(load(run, device="cpu")(data / "a.png")))
    words = ["--model", "cut", "--netG", "resnet_4blocks", "--ngf", "4", "--ndf", "8", "--n_layers_D", "2", "--netD"]
    words += ["n_layers", "--init_from", str(run), "--name", "on", "--dataroot", ".", "--device", "cpu"]
    opt = TrainOptions(words).parse()
    model = create_model(opt)
    model.setup(opt)
    for mine, theirs in ((model.netG, G), (model.netD, D)):
        assert all(torch.equal(value, mine.state_dict()[key]) for key, value in theirs.state_dict().items())


def test_two_antialiased_generators_become_a_dclgan(tmp_path):
    make = functools.partial(networks.define_G, 3, 3, 4, "resnet_4blocks", "instance", no_antialias=False)
    folder = originals(tmp_path / "cats", G_A=make(no_antialias_up=False), G_B=make(no_antialias_up=False))
    main([str(folder), "--name", "dcl", "--checkpoints_dir", str(tmp_path)])
    assert load(tmp_path / "dcl", direction="BtoA", device="cpu").opt.model == "dclgan"
    with pytest.raises(InputError, match="--model cut: two generators can be cycle_gan, dclgan, simdcl"):
        main([str(folder), "--name", "x", "--checkpoints_dir", str(tmp_path), "--model", "cut"])


def test_the_discriminator_is_read_from_its_weights():
    for netD, layers, norm, plain in itertools.product(
        ("n_layers", "pixel"), (1, 3), ("batch", "instance"), (True, False)
    ):
        state = networks.define_D(3, 5, netD, layers, norm, no_antialias=plain).state_dict()
        wanted = {"netD": netD, "ndf": 5, "normD": norm} | ({"n_layers_D": layers} if netD == "n_layers" else {})
        assert discriminator_flags(state) == wanted
    state = networks.StarGANDiscriminator(64, 5, 3, 4).state_dict()
    assert discriminator_flags(state) == {"d_conv_dim": 5, "d_repeat_num": 4, "image_size": 64}


class Exploit:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    torch.save({"model.1.weight": Exploit(str(tmp_path / "harm"))}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil.pth: refused, it holds more than tensors"):
        main([str(tmp_path / "evil.pth"), "--checkpoints_dir", str(tmp_path / "runs")])
    assert not (tmp_path / "harm").exists() and not (tmp_path / "runs").exists()


def test_files_that_are_no_generators_are_refused(tmp_path):
    torch.save(networks.define_D(3, 4, "basic").state_dict(), tmp_path / "D.pth")
    where = ["--name", "x", "--checkpoints_dir", str(tmp_path)]
    with pytest.raises(InputError, match="D.pth: not a ResNet, a U-Net or a StarGAN"):
        main([str(tmp_path / "D.pth"), *where])
    with pytest.raises(InputError, match="no generator of 'latest'"):
        main([str(tmp_path), *where])
    assert not (tmp_path / "x").exists()
