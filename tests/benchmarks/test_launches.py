"""Training steps on fake CUDA tensors: no synchronising reads, and a bounded number of launches."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # after the project on the path

import fake_cuda
import launches
from workload import Setting


def traced(function):
    """The Launches of function(tensor on the device)."""
    with fake_cuda.fake_cuda():
        tensor = torch.empty(2, 3, device=fake_cuda.DEVICE)
        with launches.Launches() as counter:
            function(tensor)
    return counter


READS = {
    "item": lambda x: x.sum().item(),
    "float": lambda x: float(x.sum()),
    "tolist": lambda x: x.tolist(),
    "truth": lambda x: bool(x.sum() > 0),
    "to the CPU": lambda x: x.cpu(),
    "mask": lambda x: x[x > 0],
    "assignment by mask": lambda x: x.index_put_((x > 0,), torch.zeros((), device=x.device)),
    "nonzero": lambda x: x.nonzero(),
    "pageable copy": lambda x: x + torch.ones(3).to(x.device),
}


@pytest.mark.parametrize("name", READS)
def test_a_synchronising_read_is_found(name):
    with pytest.raises(fake_cuda.HostRead):
        traced(READS[name])


def test_views_and_asynchronous_copies_are_no_synchronising_reads():
    counter = traced(lambda x: x.view(3, 2).t()[0] + torch.ones(3, 3)[0, 0].to(x.device, non_blocking=True))
    assert counter.counts == {"_to_copy": 1, "add": 1}


def test_backward_passes_are_counted():
    counter = traced(lambda x: x.requires_grad_().sin().sum().backward())
    assert counter.counts == {"sin": 1, "sum": 1, "ones_like": 1, "cos": 1, "mul": 1}


@pytest.mark.parametrize("enabled", [True, False])
def test_casts_of_autocast_are_counted(enabled):
    weight = torch.nn.Parameter(torch.empty(4, 3, 3, 3))
    bias = torch.nn.Parameter(torch.empty(4))

    def step(parameters, images):
        with torch.autocast("cuda", torch.bfloat16, enabled=enabled):
            first = torch.nn.functional.conv2d(images, *parameters)
            again = torch.nn.functional.conv2d(torch.cat((images, images)).detach(), *parameters)
        assert first.dtype == again.dtype == (torch.bfloat16 if enabled else torch.float32)
        first.float().sum().backward()
        assert {parameter.grad.dtype for parameter in parameters} == {torch.float32}

    with fake_cuda.fake_cuda():
        parameters = [fake_cuda.fake_like(parameter) for parameter in (weight, bias)]
        kept = [fake_cuda.recorded(parameter) for parameter in parameters]
        images = torch.empty(2, 3, 8, 8, device=fake_cuda.DEVICE)
        with launches.Launches() as counter:
            step(parameters, images)
        assert len(kept) == 2
    # To bf16: images twice, weight and bias once (autocast keeps the copies of parameters); the result to float32; in
    # the backward pass its gradient, and those of weight and bias.
    assert counter.counts["_to_copy"] == (8 if enabled else 0)


# {setting: the most operations that a step may launch}. Fewer operations are progress: lower the bound then.
MOST = {"pix2pix@256": 300, "stargan@64x2": 420}
MOST_SLOW = {"cycle_gan@32": 1060, "cut@64": 1010, "dclgan@64": 1510, "simdcl@64": 1910, "fastcut@64": 790}
SLOW = [pytest.param(setting, marks=pytest.mark.slow) for setting in MOST_SLOW]


@pytest.mark.parametrize("setting", [*MOST, *SLOW])
def test_a_step_has_no_synchronising_read_and_a_limited_number_of_launches(setting):
    counter = launches.count(Setting.parse(setting), [], before=1)
    assert 100 < counter.total <= {**MOST, **MOST_SLOW}[setting], counter.counts.most_common(20)


PATHS = ["--channels_last", "--precision fp16 --accumulate 2"]
PATHS_SLOW = ["--precision bf16 --grad_checkpoint", "--deterministic", "--grad_checkpoint", "--gan_mode wgangp"]


@pytest.mark.parametrize("flags", [*PATHS, *(pytest.param(flags, marks=pytest.mark.slow) for flags in PATHS_SLOW)])
def test_every_path_for_cuda_runs_without_a_synchronising_read(flags):
    """Of a CycleGAN with few blocks."""
    small = ["--netG", "resnet_4blocks", "--pool_size", "2", *flags.split()]
    assert 300 < launches.count(Setting.parse("cycle_gan@32x2"), small, before=1).total < 2600
