"""models/fit_out.py: the effect of each flag on networks of built-in models and plug-ins, and the order of steps."""

import argparse

import pytest
import torch
from torch import nn

from models import fit_out, networks
from models.architectures import adjustable
from util.numerics import compiling
from util.numerics.precision import Precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


class Stays(nn.Sequential):
    """A network without a device, which records its moves."""

    moved = ()

    def to(self, device=None, memory_format=None):
        self.moved = (*self.moved, device or memory_format)
        return self


def plain_network():
    """A network of plain torch layers, as in a plug-in."""
    return Stays(nn.ReflectionPad2d(1), nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.ReLU(True))


def our_network():
    return networks.define_G(3, 3, 4, "resnet_4blocks", "instance")


def options(**flags):
    return argparse.Namespace(**flags)


def test_without_flags_a_network_is_only_moved_to_the_device():
    net = plain_network()
    classes = [type(module) for module in net.modules()]
    fit_out.before_loading({"G": net}, options(), CPU)
    fit_out.after_loading({"G": net}, options(), CPU, Precision("fp32", CPU))
    assert net.moved == (CPU,)
    assert [type(module) for module in net.modules()] == classes
    assert "forward" not in vars(net)


def test_channels_last_is_applied_on_the_device():
    net = plain_network()
    fit_out.before_loading({"G": net}, options(channels_last=True), CPU)
    assert net.moved == (CPU, torch.channels_last)
    assert net[0].keeps_layout and net[2].keeps_layout


@pytest.mark.parametrize(("device", "exact"), [(CPU, False), (CUDA, True)])
def test_paddings_are_made_deterministic_on_cuda_only(device, exact):
    net = plain_network()
    fit_out.before_loading({"G": net}, options(deterministic=True), device)
    assert getattr(net[0], "deterministic", False) == exact


def test_a_deterministic_padding_takes_precedence_over_one_that_keeps_the_layout():
    net = plain_network()
    fit_out.before_loading({"G": net}, options(channels_last=True, deterministic=True), CUDA)
    x = torch.rand(1, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_()
    padded = net[0](x)
    assert torch.equal(padded, adjustable.pad_by_slices(x, (1, 1, 1, 1)))
    assert "Cat" in str(padded.grad_fn) and adjustable.is_channels_last(padded)


def test_gradient_checkpointing_reaches_the_blocks_of_each_network(capsys):
    nets = {"G": our_network(), "D": networks.define_D(3, 4, "basic")}
    fit_out.before_loading(nets, options(grad_checkpoint=True), CPU)
    blocks = [module for module in nets["G"].modules() if isinstance(module, networks.ResnetBlock)]
    assert len(blocks) == 4 and all(block.recomputes for block in blocks)
    assert not networks.ResnetBlock.recomputes
    assert capsys.readouterr().out == ""


def test_networks_without_blocks_are_reported(capsys):
    fit_out.before_loading({"G": plain_network()}, options(grad_checkpoint=True), CPU)
    assert "--grad_checkpoint: these networks have no blocks" in capsys.readouterr().out


def test_the_forward_under_autocast_is_the_one_that_is_compiled(monkeypatch):
    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": "eager"})
    torch._dynamo.reset()
    net = nn.Sequential(nn.Linear(2, 2))
    kinds = []
    net[0].register_forward_hook(lambda module, inputs, output: kinds.append(output.dtype))
    fit_out.after_loading({"G": net}, options(compile="default"), CPU, Precision("bf16", CPU))
    assert isinstance(net.forward.__func__, compiling.Compiled)
    assert net(torch.ones(1, 2)).dtype == torch.float32
    assert kinds == [torch.bfloat16]


def test_networks_of_every_flag_compute_the_same(monkeypatch):
    torch.manual_seed(0)
    net, x = our_network().double(), torch.rand(2, 3, 16, 16, dtype=torch.double)
    expected = net(x).detach()
    fit_out.before_loading({"G": net}, options(channels_last=True, grad_checkpoint=True), CPU)
    fit_out.pad_deterministically(net)
    torch.testing.assert_close(net(x), expected)
