"""--compile: models with traced networks train like uncompiled ones, without graph breaks."""

import pytest
import torch
from test_golden_curves import MODELS, batch

from models import create_model, prepare
from options.train_options import TrainOptions
from util.numerics import compiling, seeding

QUICK = ("pix2pix", "stargan", "template")


@pytest.fixture(autouse=True)
def traced(monkeypatch):
    """Run graphs as they were traced, which needs no compiler and gives bitwise equal results."""
    torch._dynamo.reset()
    monkeypatch.setattr(compiling, "why_not", lambda kind: None)
    monkeypatch.setattr(compiling, "settings", lambda mode, device: {"backend": "eager", "fullgraph": True})
    with torch._dynamo.config.patch(fail_on_recompile_limit_hit=True):
        yield


def losses(name, *words):
    """Of each of three steps, and the names of the networks that were compiled for them."""
    command = ["--model", name, "--dataroot", "none", "--device", "cpu", "--seed", "5", "--name", "compiled"]
    opt = TrainOptions([*command, *MODELS[name], *words]).parse()
    seeding.seed_build(opt.seed)
    model = create_model(opt)
    prepare(model, [], opt)
    found = []
    for step in range(1, 4):
        seeding.seed_step(opt.seed, step)
        model.set_input(batch(step, opt))
        model.optimize_parameters()
        found.append(model.get_current_losses())
    forwards = {
        (each, type(part).__name__): vars(part)["forward"].__func__
        for each, net in model.networks_by_name().items()
        for part in net.modules()
        if is_compiled(part)
    }
    assert not any(forward.broken for forward in forwards.values())
    return found, {each for each, forward in forwards.items() if forward.chosen}


def is_compiled(net):
    return "forward" in vars(net) and isinstance(net.forward.__func__, compiling.Compiled)


@pytest.mark.parametrize("precision", ["fp32", pytest.param("bf16", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]
)
def test_compiled_training_gives_the_weights_of_uncompiled_training(name, precision):
    plain, none = losses(name, "--precision", precision)
    found, nets = losses(name, "--precision", precision, "--compile", "default")
    for here, there in zip(
        found, plain
    ):  # equal except for rounding: some layers compute differently when they are traced
        assert here == pytest.approx(there, rel=1e-3, abs=1e-4)
    assert none == set()
    assert {net[0] for net, _ in nets} >= set("G" if name == "template" else "GD")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_training_with_compiled_blocks_gives_the_weights_of_uncompiled_training(name):
    plain, _ = losses(name)
    found, parts = losses(name, "--compile", "blocks")
    for here, there in zip(found, plain):
        assert here == pytest.approx(there, rel=1e-3, abs=1e-4)
    blocks = {kind for net, kind in parts if net[0] == "G" and kind.endswith("Block")}
    assert bool(blocks) == (name != "sincut"), parts
