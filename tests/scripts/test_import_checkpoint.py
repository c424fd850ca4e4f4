"""Generator files of other programs become runs: the architecture is read from the weights, the pixels agree."""

import itertools

import numpy as np
import pytest
import torch

from metamer import load
from models import networks
from models.architectures.infer import generator_flags
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


def test_statistics_that_old_instance_norms_kept_do_not_make_them_batch_norms():
    state = networks.define_G(3, 3, 4, "resnet_9blocks", "instance").state_dict()
    state |= {"model.2.running_mean": torch.zeros(4), "model.2.running_var": torch.ones(4)}
    assert generator_flags(state)["normG"] == "instance"


@pytest.mark.parametrize("netG", ["resnet_6blocks", "unet_128"])
def test_an_imported_file_translates_as_its_network(tmp_path, netG):
    torch.manual_seed(0)
    net = networks.define_G(3, 3, 4, netG, "instance", use_dropout=False)
    torch.save(net.state_dict(), tmp_path / "net.pth")
    main([str(tmp_path / "net.pth"), "--name", "theirs", "--checkpoints_dir", str(tmp_path), "--no_dropout"])
    image = torch.rand(1, 3, 128, 128) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(load(tmp_path / "theirs", device="cpu")(image), net(image), atol=1e-6)


def test_two_files_are_both_directions(tmp_path):
    nets = {side: networks.define_G(3, 3, 4, "resnet_6blocks", "instance") for side in "AB"}
    files = [str(tmp_path / f"latest_net_G_{side}.pth") for side in nets]
    for net, path in zip(nets.values(), files, strict=True):
        torch.save(net.state_dict(), path)
    main([*files, "--name", "both", "--checkpoints_dir", str(tmp_path)])
    image = torch.rand(1, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        back = load(tmp_path / "both", direction="BtoA", device="cpu")(image)
        assert np.allclose(back, nets["B"](image), atol=1e-6)


def test_files_that_are_no_generators_are_refused(tmp_path):
    torch.save(networks.define_D(3, 4, "basic").state_dict(), tmp_path / "D.pth")
    where = ["--name", "x", "--checkpoints_dir", str(tmp_path)]
    with pytest.raises(InputError, match="D.pth: neither a ResNet nor a U-Net"):
        main([str(tmp_path / "D.pth"), *where])
    torch.save(networks.StarGANGenerator(4, 3, 1).state_dict(), tmp_path / "star.pth")
    with pytest.raises(InputError, match="import_stargan_checkpoint"):
        main([str(tmp_path / "star.pth"), *where])
    with pytest.raises(InputError, match="--name"):
        main([str(tmp_path / "D.pth")])
    assert not (tmp_path / "x").exists()
