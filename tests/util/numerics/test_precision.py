"""--precision: networks under autocast with float32 outputs, and the loss scales that float16 needs."""

import copy
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from models import networks
from util.errors import InputError
from util.numerics import precision as module
from util.numerics.finite import Updates
from util.numerics.precision import (
    Precision,
    at_least_float32,
    backend_precision,
    backend_tuning,
    full_precision,
    resolve,
)

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
CPU = torch.device("cpu")
ROOT = Path(__file__).resolve().parents[3]


class Net(nn.Module):
    """Records the dtype of its computation; returns `outputs(result)`."""

    def __init__(self, outputs=lambda y: y):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.outputs = outputs
        self.seen = None

    def forward(self, x):
        y = self.linear(x)
        self.seen = y.dtype
        return self.outputs(y)


def under_autocast(word, **arguments):
    torch.manual_seed(0)
    net = Net(**arguments)
    Precision(word, CPU).use_autocast(net)
    return net


# --- autocast ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", HALVES)
def test_a_network_computes_in_half_precision_and_returns_float32(word):
    net = under_autocast(word)
    result = net(torch.ones(1, 4))
    assert (net.seen, result.dtype) == (HALVES[word], torch.float32)
    result.sum().backward()
    assert net.linear.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("word", ["fp32", "tf32"])
def test_with_float32_the_forward_is_not_changed(word):
    assert "forward" not in vars(under_autocast(word))


def test_float64_results_stay_float64():
    net = under_autocast("bf16").double()
    assert net(torch.ones(1, 4, dtype=torch.float64)).dtype == torch.float64
    assert at_least_float32(torch.ones(1, dtype=torch.float64)).dtype == torch.float64


def test_tensors_in_nested_outputs_are_converted():
    net = under_autocast("bf16", outputs=lambda y: (y, [y, [y]], {"name": y}, "word"))
    image, features, named, word = net(torch.ones(1, 4))
    assert {image.dtype, features[0].dtype, features[1][0].dtype, named["name"].dtype} == {torch.float32}
    assert word == "word"


def test_features_in_lists_stay_in_half_precision():
    net = under_autocast("bf16", outputs=lambda y: (y, [y]))
    net.returns_half_features = True
    image, features = net(torch.ones(1, 4))
    assert (image.dtype, features[0].dtype) == (torch.float32, torch.bfloat16)


def test_a_network_with_keeps_float32_stays_in_float32():
    net = Net()
    net.keeps_float32 = True
    Precision("bf16", CPU).use_autocast(net)
    net(torch.ones(1, 4))
    assert net.seen == torch.float32


def test_keys_are_kept_and_a_second_call_changes_nothing():
    net, plain = under_autocast("bf16"), Net()
    Precision("bf16", CPU).use_autocast(net)
    assert list(net.state_dict()) == list(plain.state_dict())
    assert net(torch.ones(1, 4)).dtype == torch.float32


def test_a_deepcopy_uses_the_weights_of_the_copy():
    net = under_autocast("bf16")
    twin = copy.deepcopy(net)
    nn.init.zeros_(twin.linear.weight)
    nn.init.zeros_(twin.linear.bias)
    assert twin(torch.ones(1, 4)).abs().max() == 0
    assert net(torch.ones(1, 4)).abs().max() > 0
    assert twin.seen == torch.bfloat16


def test_full_precision_switches_autocast_off_and_on_again_after_an_error():
    net = under_autocast("bf16")
    with pytest.raises(KeyError), full_precision(), full_precision():
        net(torch.ones(1, 4))
        assert net.seen == torch.float32
        raise KeyError
    net(torch.ones(1, 4))
    assert net.seen == torch.bfloat16


def test_a_gradient_penalty_in_full_precision_is_that_of_float32():
    torch.manual_seed(0)
    netD = networks.define_D(3, 4, "basic", norm="instance")
    real, fake = torch.rand(2, 1, 3, 32, 32)

    def penalty():
        torch.manual_seed(1)
        netD.zero_grad()
        loss = networks.cal_gradient_penalty(netD, real, fake, "cpu")[0]
        loss.backward()
        return [loss.detach(), *(p.grad.clone() for p in netD.parameters() if p.grad is not None)]

    plain = penalty()
    Precision("bf16", CPU).use_autocast(netD)
    with full_precision():
        assert all(torch.equal(one, other) for one, other in zip(penalty(), plain))


@pytest.mark.parametrize("reentrant", [False, True])
def test_recomputed_activations_are_the_same_under_autocast(reentrant):
    seen = []

    def part(y):
        y = y @ torch.eye(4)
        seen.append(y.dtype)
        return y.tanh()

    net = under_autocast("bf16", outputs=lambda y: checkpoint(part, y, use_reentrant=reentrant))
    net(torch.ones(1, 4)).sum().backward()
    assert seen == [torch.bfloat16] * 2


# --- TF32 -------------------------------------------------------------------------------------------------------------


def switches():
    return torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("word", "allowed"), [("fp32", False), ("tf32", True), ("bf16", True), ("fp16", True)])
def test_tf32_is_off_for_fp32_only_and_the_setting_is_restored(word, allowed, recwarn):
    before = switches()
    with pytest.raises(KeyError), backend_precision(word):
        assert switches() == (allowed, allowed)
        raise KeyError
    assert switches() == before
    assert not recwarn.list


NEWER = """
import torch
from util.numerics.precision import backend_precision

torch.backends.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "tf32"  # a caller with torch's newer API
names = [torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn]
before = [each.fp32_precision for each in names]
with backend_precision("fp32"):
    assert [each.fp32_precision for each in names] == ["ieee"] * 3
    assert torch.backends.cuda.matmul.allow_tf32 is False  # torch's compiler reads this
with backend_precision("tf32"):
    assert [each.fp32_precision for each in names] == ["tf32"] * 3
assert [each.fp32_precision for each in names] == before
"""


def test_newer_tf32_settings_of_a_caller_are_restored():
    result = subprocess.run([sys.executable, "-W", "ignore", "-c", NEWER], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# --- float16's scales -------------------------------------------------------------------------------------------------


class Run:
    """One weight, stepped the way BaseModel.step() does it."""

    def __init__(self, precision=None, phase="0"):
        self.precision = precision or Precision("fp16", CPU)
        self.phase = phase
        self.weight = nn.Parameter(torch.ones(1))
        self.optimizer = torch.optim.Adam([self.weight], lr=0.1)
        self.updates = Updates()

    def step(self, factor, offset=0.0):
        """Minimise factor * weight + offset; returns the flag of a skipped step."""
        self.optimizer.zero_grad()
        loss = (factor * self.weight + offset).sum()
        self.precision.scale(self.phase, loss).backward()
        self.precision.unscale(self.phase, [self.optimizer])
        _, bad = self.updates.apply(loss, [self.optimizer])
        return float(self.precision.update(self.phase, loss, bad))

    @property
    def scale(self):
        return self.precision.state_dict()[self.phase]["scale"]


OVERFLOW = 1e35  # multiplied by the scale, it overflows even in float32


def test_the_step_is_that_of_the_unscaled_gradient():
    run, plain = Run(), Run(Precision("fp32", CPU))
    for factor in (1.0, 0.5, -2.0):
        assert run.step(factor) == plain.step(factor) == 0
        assert torch.equal(run.weight.grad, torch.tensor([factor]))
    assert torch.equal(run.weight, plain.weight)
    assert (run.scale, plain.precision.state_dict()) == (65536, {})


def test_an_overflow_skips_the_step_halves_the_scale_and_is_not_reported():
    run = Run()
    assert run.step(OVERFLOW) == 0
    assert run.weight.item() == 1
    assert run.scale == 32768
    assert run.step(1.0) == 0
    assert run.weight.item() < 1


def test_a_loss_that_is_not_finite_is_reported():
    run = Run()
    assert run.step(1.0, offset=float("nan")) == 1
    assert run.step(float("inf")) == 1
    assert run.weight.item() == 1


def test_gradients_that_overflow_at_a_small_scale_are_reported():
    run = Run()
    root = run.weight.register_hook(lambda gradient: gradient * float("inf"))  # a finite loss, whatever the scale
    reports = [run.step(1.0) for _ in range(18)]
    assert reports == [0] * 17 + [1]  # 65536 is 2**16, so the 17th overflow is the last at a scale of at least 1
    root.remove()
    assert run.step(1.0) == 0


def test_a_skipped_step_without_overflow_is_reported():
    """The check of all gradients may be stricter than that of the scaler: then the scale would not decrease."""
    run = Run()
    run.step(1.0)
    loss = torch.ones((), requires_grad=True)
    run.precision.scale("0", loss * run.weight.sum()).backward()
    run.precision.unscale("0", [run.optimizer])
    assert float(run.precision.update("0", loss, torch.ones(()))) == 1


def test_the_scale_grows_after_many_good_steps():
    run = Run()
    run.step(1.0)
    state = run.precision.state_dict()
    state["0"]["growth_interval"] = 3
    run.precision.load_state_dict(state)
    run.step(1.0)
    assert run.scale == 65536
    run.step(1.0)
    assert run.scale == 131072


def test_phases_have_separate_loss_scales():
    precision = Precision("fp16", CPU)
    one, other = Run(precision, "0"), Run(precision, "1+2")
    one.step(OVERFLOW)
    other.step(1.0)
    assert (one.scale, other.scale) == (32768, 65536)


def test_the_state_has_plain_types_and_restores_the_scales():
    run, resumed = Run(), Run()
    for factor in (OVERFLOW, 1.0, OVERFLOW):
        run.step(factor)
    state = run.precision.state_dict()
    assert all(type(value) in (int, float) for value in state["0"].values())
    resumed.precision.load_state_dict(state)
    assert resumed.scale == run.scale == 16384
    for each in (run, resumed):
        each.step(1.0)
    assert resumed.precision.state_dict() == run.precision.state_dict()


def test_scales_of_another_precision_are_ignored():
    run = Run()
    run.step(1.0)
    other = Precision("bf16", CPU)
    other.load_state_dict(run.precision.state_dict())
    assert other.state_dict() == {}


def test_an_optimizer_without_gradients_is_skipped():
    run = Run()
    idle = torch.optim.Adam([nn.Parameter(torch.ones(1))])
    run.precision.scale("0", torch.ones((), requires_grad=True) * 1.0).backward()
    run.precision.unscale("0", [idle])
    assert float(run.precision.update("0", torch.ones(()), torch.zeros(()))) == 0


# --- the word ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "word"), [("cuda", "tf32"), ("cpu", "fp32"), ("mps", "fp32")])
def test_the_default_depends_on_the_device(kind, word):
    assert resolve(None, torch.device(kind)) == word


def test_a_precision_without_effect_on_the_device_is_reported(capsys):
    assert resolve("tf32", CPU) == "tf32"
    assert "only CUDA devices support it" in capsys.readouterr().out
    assert resolve("fp16", CPU) == "fp16"
    assert "slow" in capsys.readouterr().out
    assert resolve("bf16", CPU) == "bf16"
    assert capsys.readouterr().out == ""


def test_the_error_for_a_device_without_the_precision_states_the_correction(monkeypatch):
    monkeypatch.setattr(torch.amp, "is_autocast_available", lambda kind: False)
    with pytest.raises(InputError, match="--precision bf16.*use --precision fp32"):
        resolve("bf16", CPU)


def test_the_error_for_a_gpu_without_bfloat16_states_the_correction(monkeypatch):
    without = types.SimpleNamespace(is_bf16_supported=lambda including_emulation: False, get_device_name=str)
    monkeypatch.setattr(module.torch, "cuda", without)
    with pytest.raises(InputError, match="--precision bf16.*use --precision fp16"):
        resolve("bf16", torch.device("cuda", 0))


@pytest.mark.parametrize(
    ("preprocess", "exact", "expected"),
    [
        *[("crop", False, True), ("resize_and_crop", False, True), ("crop", True, False)],
        *[(sizes_differ, False, False) for sizes_differ in ("none", "scale_width", "scale_shortside")],
    ],
)
def test_cudnn_benchmark_is_on_for_images_of_one_size_inside_the_context(preprocess, exact, expected):
    before = torch.backends.cudnn.benchmark
    with pytest.raises(KeyError), backend_tuning(types.SimpleNamespace(preprocess=preprocess, deterministic=exact)):
        assert torch.backends.cudnn.benchmark is expected
        raise KeyError
    assert torch.backends.cudnn.benchmark is before
