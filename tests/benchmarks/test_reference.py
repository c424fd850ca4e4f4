"""The originals' step of benchmarks/reference.py: its losses are those of our models, on the same weights and batch."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # behind the project

import fake_cuda
import launches
import reference
import reference_steps
import workload
from workload import Setting

from models.architectures import adjustable

GAN = ["--ngf", "8", "--ndf", "4", "--num_patches", "9", "--netF_nc", "64"]
NETS = {
    "pix2pix@256": ["--ngf", "2", "--ndf", "2", "--no_dropout"],
    "cycle_gan@32": [*GAN[:4], "--netG", "resnet_4blocks", "--pool_size", "2"],
    "cut@32x2": [*GAN, "--netG", "resnet_6blocks"],
    "fastcut@32": [*GAN, "--netG", "resnet_6blocks"],
    "dclgan@32": [*GAN, "--netG", "resnet_6blocks"],
    "simdcl@32": [*GAN, "--netG", "resnet_6blocks"],
    "stargan@64x2": ["--g_conv_dim", "4", "--d_conv_dim", "4", "--g_repeat_num", "1", "--n_critic", "2"],
}
SHIFTED = torch.tensor([0.25, 0.75])  # alpha of the gradient penalty


def in_float64(text, words):
    """Our model and the original's step on its weights and batch, both in float64."""
    ours = workload.Training(Setting.parse(text), words, "cpu")
    for net in (*ours.model.networks_by_name().values(), getattr(ours.model, "criterionGAN", torch.nn.Identity())):
        net.double()
    ours.batch = {name: value.double() if torch.is_tensor(value) else value for name, value in ours.batch.items()}
    theirs = reference.STEPS[ours.model.opt.model](ours.model)
    # What is drawn at random: the same for both.
    ours.model.draw_target_labels = theirs.draw_target_labels = lambda labels: labels.flip(0)
    ours.model.draw_gp_alpha = theirs.draw_alpha = lambda number: SHIFTED.view(-1, 1, 1, 1).double()
    theirs.draw_ids = lambda positions: places(positions, ours.model.opt.num_patches)
    for net in ours.model.networks_by_name().values():
        net.draw_patch_ids = lambda positions, number, device: places(positions, number)
    flips = iter([True, True, False, False, True, True])
    ours.model.draw_flip = theirs.draw_flip = lambda: next(flips)
    return ours, theirs


def places(positions, number):
    # Not at the upper border, where the features of a narrow network may be zero in all channels: the original's
    # projection of such a patch has no gradient.
    return torch.arange(positions // 2, positions, 3)[:number]


SLOW = ("dclgan@32", "cut@32x2")  # simdcl and fastcut are like them


@pytest.mark.parametrize("text", [pytest.param(text, marks=[pytest.mark.slow] * (text in SLOW)) for text in NETS])
def test_losses_are_equal(text, monkeypatch):
    # torch's instance norm has wrong gradients on the CPU for these layouts.
    monkeypatch.delitem(reference_steps.PLAIN, adjustable.InstanceNorm2d)
    ours, theirs = in_float64(text, NETS[text])
    for number in range(3):
        ours.step()
        workload.seeding.seed_step(0, number)  # the pools draw from it
        theirs.set_input(ours.batch)
        theirs.optimize_parameters()
        expected = ours.model.get_current_losses()
        assert set(theirs.losses) >= set(expected)
        found = {name: float(torch.as_tensor(theirs.losses[name]).detach()) for name in expected}
        assert found == pytest.approx(expected, rel=1e-7, abs=1e-9)
        assert len(set(expected.values())) > 2


def test_its_networks_are_made_of_the_layers_of_torch_and_its_weights_are_its_own():
    training = reference.ReferenceTraining(Setting.parse("cycle_gan@32"), NETS["cycle_gan@32"], "cpu")
    ours = workload.Training(Setting.parse("cycle_gan@32"), NETS["cycle_gan@32"], "cpu").model
    net = training.model.netG_A
    assert {type(module).__module__.split(".")[0] for module in net.model if not hasattr(module, "conv_block")} == {
        "torch"
    }
    assert str(net.state_dict().keys()) == str(ours.netG_A.state_dict().keys())
    before = {name: value.clone() for name, value in net.state_dict().items()}
    training.steps(1)
    assert any(not torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_flags_of_our_step_are_left_out():
    words = ["--precision", "bf16", "--ngf", "4", "--accumulate", "2", "--channels_last", "--compile", "default"]
    assert reference.fitting(words) == ["--ngf", "4"]


def test_it_launches_more_than_our_step():
    setting, words = Setting.parse("pix2pix@256"), ["--economies", "yes"]
    originals = launches.count(setting, words, before=1, originals=True)
    ours = launches.count(setting, words, before=1)
    assert originals.counts["convolution"] == ours.counts["convolution"]
    assert originals.total > 200


@pytest.mark.parametrize("model", ["cut@32", "stargan@64x2"])
def test_the_host_waits_in_the_originals_step(model):
    """For patch positions that it draws, and for losses that it reads."""
    training = reference.ReferenceTraining(Setting.parse(model), NETS.get(model, NETS["cut@32x2"]), "cpu")
    with pytest.raises(Exception, match="copy to the device|item|local_scalar"), fake_cuda.fake_cuda():
        fake_cuda.move(training.model)
        training.batch = fake_cuda.batch_like(training.batch)
        with launches.Launches():
            training.step()


def test_precision_is_pytorchs_default():
    assert reference.tf32() == "on CUDA convolutions in TF32, matrix products in float32 (PyTorch's defaults)"
