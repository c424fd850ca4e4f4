"""Ten iterations of StarGAN reproduce the original's numbers (tests/parity), and so do its learning rates."""

import argparse
import copy

import numpy as np
import pytest
import torch
from parity_tools import fill, make_input, read
from test_training_parity import NOISE, check_buffers, check_parameters

from models import create_model, networks, prepare
from options.train_options import TrainOptions

CASES = [pytest.param(case, id=case["id"]) for case in read("train_stargan")["cases"]]
NOT_OURS = ("--dataset", "--num_iters")


def build(case, tmp_path, *more):
    cli = dict(zip(case["cli"][::2], case["cli"][1::2]))
    words = [word for flag, value in cli.items() if flag not in NOT_OURS for word in (flag, value)]
    if cli["--dataset"] == "RaFD":
        words += ["--dataset_mode", "labelled_folders", "--domains", *(f"d{i}" for i in range(int(cli["--c_dim"])))]
    where = ["--dataroot", "none", "--checkpoints_dir", str(tmp_path), "--device", "cpu", "--seed", "0"]
    opt = TrainOptions([*where, "--model", "stargan", *words, *more]).parse()
    model = create_model(opt)
    prepare(model, [], opt)
    for net, name in case["fill_names"].items():
        fill(getattr(model, "net" + net), name)
    return model


def step_of(model, step):
    label = torch.tensor(step["label"]["values"])
    label = label.float() if label.dim() == 2 else label

    def draw_gp_alpha(batch_size):
        drawn = np.random.RandomState(step["alpha_seed"]).uniform(0, 1, (batch_size, 1, 1, 1))
        return torch.from_numpy(drawn.astype(np.float32))

    model.draw_target_labels = lambda labels: labels.flip(0)
    model.draw_gp_alpha = draw_gp_alpha
    image = make_input(step["input"])
    model.set_input({"A": image, "label": label, "A_paths": ["a"] * len(image)})
    model.optimize_parameters()
    return model.get_current_losses()


@pytest.mark.parametrize("case", CASES)
def test_training_follows_the_original(case, tmp_path):
    model = build(case, tmp_path)
    filled = {n: copy.deepcopy(getattr(model, "net" + n).state_dict()) for n in case["fill_names"]}
    noise = NOISE[case["id"]]
    for number, step in enumerate(case["steps"]):
        losses = step_of(model, step)
        # The original logs the generator's losses only in steps that update it; here the last values remain in the log.
        assert list(losses)[: len(step["losses"])] == list(step["losses"])
        for name, stored in step["losses"].items():
            worst = max(run[number] for run in noise["losses_per_step"].values())
            allowed = 1e-4 if number == 0 else max(5e-3, 10 * worst)
            assert abs(losses[name] - stored) <= allowed * max(abs(stored), 0.01), (number, name, losses[name], stored)
    noise = noise["max_over_runs"]
    for name, stored in case["networks_after_last_step"].items():
        net = getattr(model, "net" + name)
        squares = sum(float((p.detach().double() ** 2).sum()) for p in net.parameters())
        weights = [(key, p.detach()) for key, p in net.named_parameters() if p.dim() >= 2]
        moved = sum(float(((p - filled[name][key]).double() ** 2).sum()) for key, p in weights) ** 0.5
        assert squares**0.5 == pytest.approx(stored["l2_params"], rel=max(2e-5, 10 * noise["l2_params_rel"]))
        update = stored["l2_update_of_weights"]
        assert moved == pytest.approx(update, rel=max(1e-2, 10 * noise["l2_update_rel"]))
        check_parameters(model, net, stored, noise)
        # The generator's step uses the image of the discriminator's step; the running statistics are the original's.
        check_buffers(net, stored.get("buffers"))


@pytest.mark.parametrize("case", read("schedules")["stargan"], ids=["each", "every_second"])
def test_released_learning_rate(case):
    options = case["options"]
    rates = rates_of(options, original_lr_decay=True)
    assert rates[:-1] == pytest.approx([used for _, used, _ in case["rows"]], rel=1e-7)
    assert rates[-1] == pytest.approx(case["final"][0], abs=1e-15)
    if options["lr_update_step"] == 1:
        assert rates_of(options) == pytest.approx(rates)


def rates_of(options, **more):
    """The rate in each iteration, and the one after the last."""
    decay, step = options["num_iters_decay"], options["lr_update_step"]
    spans = {"n_iters": options["num_iters"] - decay, "n_iters_decay": decay, "lr_update_step": step}
    optimizer = torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))], lr=options["g_lr"])
    scheduler = networks.get_scheduler(optimizer, argparse.Namespace(lr_policy="linear", **spans, **more))
    rates = []
    for iteration in range(1, options["num_iters"] + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if iteration % step == 0:
            scheduler.step()
    return [*rates, optimizer.param_groups[0]["lr"]]


@pytest.mark.parametrize("step", [1, 2, 3])
def test_the_default_learning_rate_decreases_to_0(step):
    options = {"num_iters": 12, "num_iters_decay": 6, "lr_update_step": step, "g_lr": 1e-4}
    rates = rates_of(options)
    assert rates[:7] == [1e-4] * 7 and rates[-1] == 0
    assert rates == sorted(rates, reverse=True)
    assert rates_of(options, original_lr_decay=True)[-1] == pytest.approx(1e-4 * (1 - 1 / step), abs=1e-12)


def test_the_generators_step_reuses_the_image_of_the_discriminators_step(tmp_path):
    """The gradients are those of an image that is generated again."""
    case = read("train_stargan")["cases"][0]
    model = build(case, tmp_path, "--n_critic", "1")
    made = []
    model.netG.register_forward_hook(lambda module, inputs, output: made.append(output))
    step_of(model, case["steps"][0])
    assert len(made) == 2  # the translation and the reconstruction
    ours = [parameter.grad.clone() for parameter in model.netG.parameters()]

    twin = build(case, tmp_path, "--n_critic", "1")
    twin.step = without_steps_of(twin, twin.optimizer_G)
    step_of(twin, case["steps"][0])
    twin.forward()  # as in the original: again, with the same weights
    twin.optimizer_G.zero_grad()
    twin.generator_loss().backward()
    for parameter, gradient in zip(twin.netG.parameters(), ours):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-8)


def without_steps_of(model, left_out):
    step = model.step
    return lambda optimizers, *rest, **more: None if left_out in optimizers else step(optimizers, *rest, **more)


def test_the_discriminator_gets_no_gradient_in_the_generators_step(tmp_path):
    case = read("train_stargan")["cases"][0]
    model = build(case, tmp_path, "--n_critic", "1")
    step = model.step
    seen = []

    def spy(optimizers, loss_function, frozen=()):
        step(optimizers, loss_function, frozen=frozen)
        seen.append([None if p.grad is None else p.grad.norm().item() for p in model.netD.parameters()])

    model.step = spy
    step_of(model, case["steps"][0])
    assert seen[0] == seen[1]
