"""--capture yes on a CPU: the code of captured steps, with a call in the place of each replay."""

import copy

import pytest
import torch
from same import assert_same
from test_golden_curves import SINCUT, STARGAN, batch

from models import capturable, captured_step, create_model, prepare
from options.train_options import TrainOptions
from util.errors import InputError
from util.numerics import capturing, seeding
from util.run import states

TINY = "--netG resnet_4blocks --ngf 2 --ndf 2 --load_size 32 --crop_size 32".split()
PATCHES = [*TINY, "--netG", "resnet_6blocks", "--num_patches", "8", "--netF_nc", "8"]
CASES = {
    "pix2pix, dropout": ["--model", "pix2pix", *TINY],
    "fastcut, flips": ["--model", "fastcut", *PATCHES],
    "stargan, n_critic": ["--model", "stargan", *STARGAN, "--batch_size", "4"],
    "pix2pix, parts": ["--model", "pix2pix", *TINY, "--no_dropout", "--accumulate", "2"],
}
SLOW = {  # of cycle_gan, test_resume.py has a quick case
    "cycle_gan, pools": ["--model", "cycle_gan", *TINY, "--pool_size", "2", "--batch_size", "2"],
    "cycle_gan, parts": ["--model", "cycle_gan", *TINY, *"--pool_size 2 --accumulate 2 --gan_mode wgangp".split()],
    "cut": ["--model", "cut", *PATCHES],
    "fastcut, parts": ["--model", "fastcut", *PATCHES, "--accumulate", "2"],
    "stargan, parts": ["--model", "stargan", *STARGAN, "--batch_size", "2", "--accumulate", "2"],
    "dclgan": ["--model", "dclgan", *PATCHES],
    "simdcl": ["--model", "simdcl", *PATCHES],
    "sincut": ["--model", "sincut", *SINCUT, *"--netF_nc 8 --num_patches 8 --lazy_R1 2".split()],
    "template": ["--model", "template", *TINY, "--dataset_mode", "aligned"],
    "colorization": ["--model", "colorization", *TINY],
    "fp16": ["--model", "pix2pix", *TINY, "--precision", "fp16"],
    "bf16": ["--model", "cycle_gan", *TINY, "--precision", "bf16", "--grad_checkpoint"],
    "spectral norm": ["--model", "cycle_gan", *TINY, "--spectral_norm", "--channels_last"],
    "wgan-gp, averages": ["--model", "cycle_gan", *TINY, *"--gan_mode wgangp --lambda_gp 1 --ema 0.9".split()],
    "lazy R1": ["--model", "pix2pix", *TINY, *"--lambda_r1 1 --lazy_r1 2 --diffaugment color,cutout".split()],
}
TWO_KINDS = ("fastcut, flips", "fastcut, parts", "stargan, n_critic", "stargan, parts", "lazy R1", "sincut")


@pytest.fixture(autouse=True)
def captured_early(monkeypatch):
    monkeypatch.setattr(captured_step, "WARM_UP", 1)


def made(*words):
    opt = TrainOptions(["--dataroot", "none", "--device", "cpu", "--seed", "5", "--name", "captured", *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    return model


def train(model, steps, each=lambda step: None, first=1):
    """Losses of the steps."""
    found = []
    for step in range(first, first + steps):
        seeding.seed_step(5, step)
        images = batch(step, model.opt)
        if model.opt.model == "colorization":
            images.update(A=images["A"][:, :1], B=images["B"][:, :2])
        model.set_input(images)
        model.optimize_parameters()
        each(step)
        found.append(model.get_current_losses())
    return found


def same_training(words, steps):
    plain, captured = made(*words), made(*words, "--capture", "yes")
    flags = {model: [] for model in (plain, captured)}
    losses = []
    for model, seen in flags.items():
        losses.append(
            train(model, steps, lambda step, m=model, s=seen: s.extend(float(bad) for _, bad in m._updates.take()))
        )
    assert losses[0] == losses[1]
    assert flags[plain] == flags[captured]
    assert_same(states.model_state(plain), states.model_state(captured))
    plain.compute_visuals(), captured.compute_visuals()
    assert_same(plain.get_current_visuals(), captured.get_current_visuals())
    return captured.optimize_parameters


@pytest.mark.parametrize("case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW)])
def test_captured_training_is_bit_equal(case):
    step = same_training({**CASES, **SLOW}[case], steps=9)
    assert not step.off
    assert any(kind.checked for kind in step.kinds.values())
    assert len(step.kinds) == (2 if case in TWO_KINDS else 1)


REASONS = {
    "--accumulate 2 with dropout": ["--model", "pix2pix", *TINY, "--accumulate", "2"],
    "--preprocess none": ["--model", "pix2pix", *TINY, "--preprocess", "none"],
    "--grad_checkpoint with dropout": ["--model", "pix2pix", *TINY, "--grad_checkpoint"],
}


@pytest.mark.parametrize("reason", REASONS)
def test_a_model_that_cannot_be_captured_says_why_and_trains_as_it_is(reason, capsys):
    model = made(*REASONS[reason], "--capture", "yes")
    lines = [line for line in capsys.readouterr().out.splitlines() if "--capture" in line]
    assert len(lines) == 1
    assert reason in lines[0]
    assert "optimize_parameters" not in vars(model)


def test_processes_subclasses_and_other_optimizers_are_named(monkeypatch):
    model = made("--model", "pix2pix", *TINY)
    assert capturable.why_not(model) is None
    with monkeypatch.context() as patched:
        patched.setattr(model, "optimizers", [torch.optim.SGD(model.netG.parameters(), lr=0.1)])
        assert "besides Adam" in capturable.why_not(model)
    model.__class__ = type("Mine", (type(model),), {})  # its own terms may depend on what a graph would repeat
    assert capturable.why_not(model) == "Mine declares no `captures` of its own"


@pytest.mark.parametrize("word", ["auto", "no"])
def test_without_the_flag_nothing_changes(word, capsys):
    assert "optimize_parameters" not in vars(made("--model", "pix2pix", *TINY, "--capture", word))
    assert "--capture" not in capsys.readouterr().out


def test_another_word_is_refused():
    with pytest.raises(InputError, match="--capture maybe: choose auto, yes, no"):
        made("--model", "pix2pix", *TINY, "--capture", "maybe")


# --- when graphs are made, dropped and given up ----------------------------------------------------------------------


class Recorded(capturing.Calls):
    """Counts the captures; after each replay `fault` is called with the model and the outcome."""

    def __init__(self, model, fault=None):
        self.model, self.fault, self.captures, self.released = model, fault, 0, 0

    def capture(self, function):
        self.captures += 1
        return lambda: self.faulty(function())

    def faulty(self, outcome):
        if self.fault:
            self.fault(self.model, outcome)
        return outcome

    def release(self):
        self.released += 1


def recorded(*words, fault=None):
    """A model and the Recorded graphs of its steps."""
    model = made("--model", "pix2pix", *TINY, *words, "--capture", "yes")
    model.optimize_parameters.graphs = Recorded(model, fault)
    return model, model.optimize_parameters.graphs


def assert_same_weights(model, steps, *words, **named):
    """As those of a model that has made the same steps without capturing."""
    plain = made("--model", "pix2pix", *TINY, *words)
    train(plain, steps, **named)
    assert_same(states.model_state(plain), states.model_state(model))


def test_a_batch_of_another_size_runs_as_it_is_until_it_is_usual():
    model, graphs = recorded()
    step = model.optimize_parameters
    train(model, 4)
    assert graphs.captures == 1
    usual = batch(5, model.opt)
    wide = {**usual, "A": usual["A"].repeat(1, 1, 1, 2), "B": usual["B"].repeat(1, 1, 1, 2)}
    for number, images in enumerate([wide, usual, *[wide] * 12]):
        seeding.seed_step(5, number)
        model.set_input(images)
        model.optimize_parameters()
        assert model.real_A.shape == images["A"].shape == model.fake_B.shape
        if number < 2 + captured_step.OFTEN - 1:
            assert (graphs.captures, graphs.released) == (1, 0)
    assert (graphs.captures, graphs.released) == (2, 1)
    assert [kind.checked for kind in step.kinds.values()] == [True]
    assert not step.off


def test_after_a_load_graphs_are_made_anew():
    model, graphs = recorded()
    train(model, 5)
    stored = copy.deepcopy(states.model_state(model))
    train(model, 2, first=6)
    assert (graphs.captures, graphs.released) == (1, 0)
    states.load_model_state(model, stored, "the state")
    train(model, 6, first=20)
    assert (graphs.captures, graphs.released) == (2, 1)
    assert not model.optimize_parameters.off


def test_a_step_that_cannot_be_captured_runs_as_it_is(capsys):
    model, graphs = recorded()

    def capture(function):
        model.step([model.optimizer_G], fails, frozen=[model.netD])

    def fails():
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    graphs.capture = capture
    train(model, 3)
    lines = [line for line in capsys.readouterr().out.splitlines() if "can't be captured" in line]
    assert lines == [
        "--capture: the step can't be captured (operation not permitted when stream is capturing), so the steps run as "
        "without it from here on"
    ]
    assert model.optimize_parameters.off
    assert_same_weights(model, 3)


def test_a_replay_that_differs_is_found_and_has_no_consequence(capsys):
    def fault(model, outcome):
        with torch.no_grad():
            next(model.netD.parameters()).mul_(1.001)

    model, _ = recorded(fault=fault)
    train(model, 6)
    assert "--capture: a replay differs from the step in " in capsys.readouterr().out
    assert model.optimize_parameters.off
    assert_same_weights(model, 6)


@pytest.mark.parametrize("steps", [2, 3])  # beside a capture, beside a comparison
def test_a_step_without_memory_beside_graphs_is_made_again_without_them(steps, capsys):
    model, graphs = recorded()
    step, plain = model.optimize_parameters, model.optimize_parameters.plain
    train(model, steps - 1)

    def fails_once():
        if graphs.captures and step._needs_memory:
            step._needs_memory = False
            model.step([model.optimizer_D], lambda: sum(p.sum() for p in model.netD.parameters()))
            raise torch.OutOfMemoryError
        plain()

    step._needs_memory = True
    step._replay = lambda kind: None
    step.plain = fails_once
    train(model, 2, first=steps)
    assert "graphs leave too little memory" in capsys.readouterr().out
    assert step.off
    assert graphs.released == 1
    assert_same_weights(model, steps + 1)


def test_a_replay_with_other_losses_is_found(capsys):
    def fault(model, outcome):
        for _, values in outcome.numbers.values():
            values.mul_(1.1)

    model, _ = recorded(fault=fault)
    train(model, 4)
    assert "a replay differs from the step in loss" in capsys.readouterr().out


def test_parts_are_slices_of_the_tensors_that_a_graph_reads():
    model, _ = recorded("--no_dropout", "--accumulate", "2")
    step, seen = model.optimize_parameters, []
    model.netG.register_forward_pre_hook(lambda net, inputs: seen.append(inputs[0].data_ptr()))
    train(model, 3)
    whole = step.inputs["real_A"]
    assert set(seen) == {part.data_ptr() for part in whole.split(1)}
    assert model.image_paths == ["an image"]  # of the last part


def test_rates_of_a_capture_are_tensors_and_leave_no_trace():
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([weight], lr=0.1, fused=True)
    rates = capturing.Rates([optimizer], torch.device("cpu"))
    group = optimizer.param_groups[0]
    with rates.in_optimizers():
        tensor = group["lr"]
        assert (float(tensor), group["capturable"]) == (pytest.approx(0.1), True)
    assert (group["lr"], group["capturable"]) == (0.1, False)
    group["lr"] = 0.05
    rates.refill()
    assert float(tensor) == pytest.approx(0.05)
    with pytest.raises(KeyError), rates.in_optimizers():
        raise KeyError
    assert group["lr"] == 0.05
