"""Buckets of gradients in one process, with a stand-in for the sum. Two processes: see tests/distributed."""

import pytest
import torch
from torch import nn

from util.processes import distributed, gradients


class Sum:
    """What start_sum() returns; wait() doubles the numbers, as a second process with the same gradients would."""

    def __init__(self, tensor):
        self.tensor = tensor

    def wait(self):
        self.tensor.mul_(2)


@pytest.fixture
def sums(monkeypatch):
    """The tensors that are sent."""
    sent = []
    monkeypatch.setattr(distributed, "start_sum", lambda tensor: sent.append(tensor) or Sum(tensor))
    monkeypatch.setattr(distributed, "step_weight", lambda: 0.5)
    return sent


def parameters(*shapes):
    return [nn.Parameter(torch.randn(shape)) for shape in shapes]


def test_the_first_bucket_is_small_and_holds_the_last_parameters():
    made = parameters(*[(2**17,)] * 60)  # of half a MiB each
    buckets = list(gradients.make_buckets(made))
    assert [len(bucket.parameters) for bucket in buckets] == [2, 50, 8]
    assert buckets[0].parameters == [made[-1], made[-2]]


def test_data_types_have_buckets_of_their_own():
    made = [*parameters((3,), (4,)), nn.Parameter(torch.randn(5).double())]
    assert [bucket.flat.dtype for bucket in gradients.make_buckets(made)] == [torch.float64, torch.float32]


def test_gradients_become_pieces_in_the_layout_of_their_parameters_by_one_copy(sums, monkeypatch):
    weight = nn.Parameter(torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last))
    bias, scalar = parameters((5,), ())
    mean = gradients.GradientMean([weight, bias, scalar])
    copies, copy = [], torch._foreach_copy_
    monkeypatch.setattr(torch, "_foreach_copy_", lambda *lists: copies.append(len(lists[0])) or copy(*lists))
    loss = (weight**2).sum() + (3 * bias).sum() + scalar
    mean.arm(loss.detach())
    loss.backward()
    assert mean.finish(loss.detach()) == pytest.approx(loss.item())
    assert copies == [3]
    assert [each.numel() for each in sums] == [48 + 8 + 4 + 3 + 1]  # aligned to 16 bytes; a flag each, and the loss
    torch.testing.assert_close(weight.grad, 2 * weight.detach())
    assert bias.grad.tolist() == [3] * 5
    assert scalar.grad == 1
    assert weight.grad.stride() == weight.stride() != torch.empty(weight.shape).stride()
    flat = mean.buckets[0].flat
    assert all(p.grad.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr() for p in (weight, bias, scalar))
    assert all(p.grad.data_ptr() % gradients.ALIGNED == flat.data_ptr() % gradients.ALIGNED for p in (weight, bias))


def test_what_is_in_its_place_already_is_not_copied(sums, monkeypatch):
    [weight] = parameters((4,))
    mean = gradients.GradientMean([weight], overlap=False)
    weight.sum().backward()
    mean.finish()
    weight.grad.zero_()  # an optimizer's zero_grad(set_to_none=False)
    (2 * weight).sum().backward()
    monkeypatch.setattr(torch, "_foreach_copy_", None)
    mean.finish()
    assert weight.grad.tolist() == [2] * 4


def test_flags_are_read_only_where_a_gradient_is_missing(sums, monkeypatch):
    used, unused, frozen = parameters((2,), (2,), (2,))
    frozen.requires_grad_(False)
    read = []
    monkeypatch.setattr(
        torch.Tensor, "tolist", lambda tensor, whole=torch.Tensor.tolist: read.append(1) or whole(tensor)
    )
    mean = gradients.GradientMean([used, frozen], overlap=False)
    used.sum().backward()
    mean.finish()
    assert not read
    assert frozen.grad is None
    mean = gradients.GradientMean([used, unused], overlap=False)
    mean.finish()
    assert len(read) == 1
    assert unused.grad is None


def test_a_gradient_of_another_process_arrives(sums, monkeypatch):
    here, elsewhere = parameters((2,), (2,))
    mean = gradients.GradientMean([here, elsewhere], overlap=False)
    [bucket] = mean.buckets

    class Other(Sum):
        def wait(self):
            bucket.views[bucket.parameters.index(elsewhere)].fill_(7)
            bucket.used[bucket.parameters.index(elsewhere)] += 1

    monkeypatch.setattr(distributed, "start_sum", Other)
    here.sum().backward()
    mean.finish()
    assert elsewhere.grad.tolist() == [7, 7]


def test_buckets_leave_during_the_backward_pass_and_the_first_takes_the_loss(sums):
    first, last = parameters((2**18,), (2**18,))  # of 1 MiB each: a bucket each
    mean = gradients.GradientMean([first, last])
    seen = []
    hidden = 2 * first
    hidden.register_hook(lambda gradient: seen.append(len(sums)))
    loss = (hidden * last.detach()).sum() + (hidden.detach() * last).sum()
    mean.arm(loss.detach())
    loss.backward()
    assert len(sums) == 2
    assert mean.finish(loss.detach()) == pytest.approx(loss.item(), rel=1e-5)


def test_compressed_sums_travel_in_bfloat16(sums):
    [weight] = parameters((2,))
    mean = gradients.GradientMean([weight], overlap=False, compress=True)
    weight.grad = torch.tensor([1 + 2**-7, 1 + 2**-12])
    mean.finish()
    assert [each.dtype for each in sums] == [torch.bfloat16]
    assert weight.grad.dtype == torch.float32
    assert weight.grad.tolist() == [1 + 2**-7, 1.0]


@pytest.mark.parametrize(
    ("tensor", "dense"),
    [
        (torch.empty(2, 3, 4, 5), True),
        (torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last), True),
        (torch.empty(2, 1, 4, 1).transpose(0, 2), True),
        (torch.empty(4, 6)[:, ::2], False),
        (torch.empty(1, 6).expand(4, 6), False),
        (torch.empty(()), True),
    ],
)
def test_dense_layouts_are_recognised(tensor, dense):
    assert gradients.is_dense(tensor) is dense
    flat = torch.zeros(200)
    piece = gradients.in_layout_of(tensor, flat, 8)
    assert piece.shape == tensor.shape
    if dense:
        assert [s for s, n in zip(piece.stride(), piece.shape) if n > 1] == [
            s for s, n in zip(tensor.stride(), tensor.shape) if n > 1
        ]
    piece.fill_(1)
    assert flat[8 : 8 + tensor.numel()].all() and flat.sum() == tensor.numel()


@pytest.mark.parametrize("compress", [False, True])
def test_compression_in_one_process_prints_that_it_has_no_effect(compress, capsys):
    with gradients.before_every_step(compress):
        pass
    assert ("--compress_gradients: no effect" in capsys.readouterr().out) == compress
