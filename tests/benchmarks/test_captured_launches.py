"""Captured steps on fake CUDA tensors: what a graph repeats draws, reads and copies nothing on the host."""

import contextlib
import random
import sys
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from torch.utils._pytree import tree_iter

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))  # behind the project

import fake_cuda
import launches
from workload import Setting

from models import captured_step
from util.numerics import capturing
from util.processes import session

SMALL = "--netG resnet_4blocks --pool_size 2".split()
PATCHES = "--netG resnet_6blocks --num_patches 8 --netF_nc 8 --nce_layers 0,4,8".split()


class Captured(launches.Launches):
    """Raises HostRead for what a graph would not repeat: draws on the host, and any copy from it."""

    def __enter__(self):
        self.patches = contextlib.ExitStack()
        for name in ("random", "uniform", "randint"):
            error = fake_cuda.HostRead(f"random.{name} in a captured step")
            self.patches.enter_context(mock.patch.object(random, name, side_effect=error))
        return super().__enter__()

    def __exit__(self, *error):
        self.patches.close()
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        if function is torch.ops.aten._fused_adam_.tensor_lr:  # it has no form for fakes
            assert named["lr"].is_cuda
            self.counts["_fused_adam_"] += 1
            return None
        assert "fused_adam" not in function._schema.name  # with a rate that a graph would repeat
        result = super().__torch_dispatch__(function, types, arguments, named)
        name = function._schema.name
        on_host = isinstance(result, torch.Tensor) and result.device.type == "cpu"
        if torch.Tag.nondeterministic_seeded in function.tags and on_host:
            raise fake_cuda.HostRead(f"{name}: random numbers of the host")
        if name in ("aten::_to_copy", "aten::copy_") and not on_host:
            source, _ = launches.source_and_target(name, arguments, named or {})
            if source.type == "cpu":
                raise fake_cuda.HostRead(f"{name}: a copy from the host, which a graph would make anew")
        return result


class FakeGraphs(capturing.Calls):
    """Captures under a mode that counts; a replay does nothing."""

    def __init__(self):
        self.counts, self.replays, self.capturing = [], 0, False

    def capture(self, function):
        self.capturing = True
        with Captured() as counter:
            result = function()
        self.capturing = False
        self.counts.append(counter)

        def replay():
            self.replays += 1
            return result

        return replay


def capture(setting, words, steps, processes=None):
    """The FakeGraphs of a model after so many steps, and the CapturedStep."""
    training = launches.narrow(Setting.parse(setting), [*words, "--capture", "yes"])
    with fake_cuda.fake_cuda(), processes or contextlib.nullcontext():
        fake_cuda.move(training.model)
        if training.model._ema is not None:
            training.model._ema.restart()  # averages of the fakes
        training.batch = fake_cuda.batch_like(training.batch)
        step = training.model.optimize_parameters
        step.graphs = processes.graphs if processes else FakeGraphs()
        step._check = lambda kind: setattr(kind, "checked", True)  # it reads the numbers of both steps
        for _ in range(steps):
            training.step()
        before = step.graphs.replays
        with launches.Launches() as around:  # what surrounds a replay may draw and copy, but must not wait
            training.step()
        assert step.graphs.replays == before + 1
    return step, around


@pytest.fixture(autouse=True)
def captured_early(monkeypatch):
    monkeypatch.setattr(captured_step, "WARM_UP", 1)
    monkeypatch.setattr(captured_step, "Snapshot", lambda model: None)  # a copy to the host, once for each kind


# setting -> flags, kinds of steps, draws of each step that are made before it
MODELS = {
    "pix2pix@32": (["--netG", "resnet_4blocks"], 1, 0),
}
SLOW = {
    "stargan@32x2": (["--d_repeat_num", "3", "--n_critic", "2", "--g_repeat_num", "1"], 2, 0),
    "cycle_gan@32x2": (SMALL, 1, 2),
    "cut@32": (PATCHES, 1, 6),
    "fastcut@32": (PATCHES, 2, 3),
    "dclgan@32": ([*PATCHES, "--pool_size", "2"], 1, 8),
    "simdcl@32": ([*PATCHES, "--pool_size", "2"], 1, 14),
}


@pytest.mark.parametrize("setting", [*MODELS, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)])
def test_a_captured_step_is_the_device_s_alone(setting):
    words, kinds, draws = {**MODELS, **SLOW}[setting]
    step, around = capture(setting, words, steps=4 * kinds)
    assert not step.off
    assert len(step.kinds) == len(step.graphs.counts) == kinds
    assert all(counter.total > 100 for counter in step.graphs.counts)
    assert {len(kind.tape.draws) for kind in step.kinds.values()} == {draws}
    assert around.total < 12 + 8 * draws  # copies of the batch, the draws and the numbers


FLAGS = {
    "--precision fp16 --ema 0.9": 2,
    "--diffaugment color,translation,cutout --lambda_r1 1 --lazy_r1 2": 6,
    "--gan_mode wgangp --lambda_gp 10 --deterministic --channels_last": 2,
    "--accumulate 2 --precision bf16": 4,
}


@pytest.mark.slow
@pytest.mark.parametrize("flags", FLAGS)
def test_every_path_can_be_captured(flags):
    step, _ = capture("cycle_gan@32", [*SMALL, *flags.split()], steps=8)
    assert not step.off
    assert min(len(kind.tape.draws) for kind in step.kinds.values()) == FLAGS[flags]


class TwoProcesses(contextlib.ExitStack):
    """While entered, this is a process of two, whose exchanges do nothing.

    `found`: (name, whether the tensors are on the device, whether `graphs` captures) of each exchange.
    """

    def __init__(self, graphs):
        super().__init__()
        self.found, self.graphs = [], graphs

    def __enter__(self):
        for name in ("all_reduce", "all_gather"):
            self.enter_context(mock.patch.object(torch.distributed, name, partial(self.exchange, name)))
        self.enter_context(mock.patch.object(torch.distributed, "all_gather_object", self.gather))
        for name, value in {"_size": 2, "_own_images": 1, "_all_images": 2, "_shapes_are_equal": lambda: True}.items():
            self.enter_context(mock.patch.object(session, name, value))
        return super().__enter__()

    def exchange(self, name, *values, **named):
        tensors = [each for each in tree_iter(values) if isinstance(each, torch.Tensor)]
        self.found.append((name, all(each.is_cuda for each in tensors), self.graphs.capturing))
        return mock.Mock()

    def gather(self, values, own):
        values[:] = [own] * 2


# Exchanges of a step: of its gradients, and in DCLGAN of the patches of 3 layers in 2 directions.
SEVERAL = {"pix2pix@32": (["--netG", "resnet_4blocks"], 2, 0)}
SEVERAL_SLOW = {"dclgan@32": ([*PATCHES, "--pool_size", "2"], 2, 6)}


@pytest.mark.parametrize("setting", [*SEVERAL, *(pytest.param(name, marks=pytest.mark.slow) for name in SEVERAL_SLOW)])
def test_a_captured_step_of_several_processes_exchanges_tensors_on_the_device_only(setting):
    processes = TwoProcesses(FakeGraphs())
    words, gradients, patches = {**SEVERAL, **SEVERAL_SLOW}[setting]
    step, _ = capture(setting, words, steps=4, processes=processes)
    assert not step.off
    captured = [(name, on_device) for name, on_device, inside in processes.found if inside]
    assert captured.count(("all_reduce", True)) == gradients
    assert captured.count(("all_gather", True)) == patches
    assert len(captured) == gradients + patches


BREACHES = {
    "a draw": lambda x: torch.rand(2, 3),
    "a permutation": lambda x: torch.randperm(5),
    "a draw in place": lambda x: torch.empty(5).uniform_(),
    "a copy": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "a read": lambda x: x.sum().item(),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_found(name):
    with fake_cuda.fake_cuda():
        tensor = torch.empty(2, 3, device=fake_cuda.DEVICE)
        with pytest.raises(fake_cuda.HostRead), Captured():
            BREACHES[name](tensor)


def test_draws_of_python_s_random_are_found():
    with fake_cuda.fake_cuda(), pytest.raises(fake_cuda.HostRead, match="random.uniform"), Captured():
        random.uniform(0, 1)
    assert 0 <= random.uniform(0, 1) <= 1


def test_the_rate_of_a_capture_reaches_adam_as_a_tensor():
    with fake_cuda.fake_cuda():
        weight = torch.nn.Parameter(torch.empty(2, device=fake_cuda.DEVICE))
        weight.grad = torch.empty_like(weight)
        optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
        optimizer.step()
        with capturing.Rates([optimizer], fake_cuda.DEVICE).in_optimizers(), Captured() as counter:
            optimizer.step()
        assert counter.counts["_fused_adam_"] == 1
        with pytest.raises(AssertionError), Captured():
            optimizer.step()
