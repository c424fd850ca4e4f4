"""NarrowConv2d, the last layer of generators: its gradients on the CPU are those of Conv2d."""

import copy

import pytest
import torch
from torch import nn

from models import networks
from models.architectures.adjustable import NarrowConv2d


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize(
    "settings", [{}, {"bias": False}, {"padding": 2}, {"padding": (1, 0)}], ids=["", "no bias", "padded", "unevenly"]
)
@pytest.mark.parametrize("kernel", [3, (3, 2)])
def test_values_and_gradients_are_those_of_a_convolution(images, settings, kernel):
    torch.manual_seed(0)
    ours = NarrowConv2d(4, 2, kernel, **settings).double()
    usual = nn.Conv2d(4, 2, kernel, **settings).double()
    usual.load_state_dict(ours.state_dict())
    x = torch.randn(images, 4, 6, 5, dtype=torch.double)
    found = []
    for conv in (ours, usual):
        y = x.clone().requires_grad_()
        made = conv(y)
        made.sin().sum().backward()
        found.append([made, y.grad, *(p.grad for p in conv.parameters())])
    torch.testing.assert_close(*found, rtol=1e-12, atol=1e-12)
    y = torch.randn(images, 4, 4, 4, dtype=torch.double, requires_grad=True)
    assert torch.autograd.gradcheck(ours, y) and torch.autograd.gradgradcheck(ours, y)


def test_tensors_without_requires_grad_get_no_gradient():
    conv = NarrowConv2d(4, 2, 3).requires_grad_(False)
    x = torch.randn(1, 4, 6, 5, requires_grad=True)
    conv(x).sum().backward()
    assert x.grad is not None and conv.weight.grad is None and conv.bias.grad is None
    conv.requires_grad_(True)
    conv(x.detach()).sum().backward()
    assert conv.weight.grad is not None and conv.bias.grad is not None


def test_half_precision_and_other_layouts_work():
    conv = NarrowConv2d(4, 2, 3)
    x = torch.randn(2, 4, 6, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        made = conv(x)
    made.float().sum().backward()
    assert made.dtype == torch.bfloat16 and conv.weight.grad.isfinite().all()
    expected = torch.autograd.grad(conv(x).sin().sum(), [x, conv.weight])
    laid_out = copy.deepcopy(conv).to(memory_format=torch.channels_last)
    y = x.detach().to(memory_format=torch.channels_last).requires_grad_()
    torch.testing.assert_close(torch.autograd.grad(laid_out(y).sin().sum(), [y, laid_out.weight]), expected)


def test_the_last_convolution_of_generators_is_a_NarrowConv2d():
    assert isinstance(networks.define_G(3, 3, 2, "resnet_4blocks").model[-2], NarrowConv2d)
    assert isinstance(networks.StarGANGenerator(4, 5, 1).main[-2], NarrowConv2d)
