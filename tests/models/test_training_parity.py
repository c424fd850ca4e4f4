"""Training steps of every model reproduce the originals' numbers (tests/parity)."""

import copy
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from parity_tools import fill, make_input

from models import create_model, networks, prepare
from options.train_options import TrainOptions

PARITY = Path(__file__).parent.parent / "parity"
NOISE = json.loads((PARITY / "noise.json").read_text())["cases"]
# Losses taken before any network moved in step 1 are pure forward numbers.
FORWARD_ONLY = {
    "pix2pix": {"D_real", "D_fake"},
    "cycle_gan": {"G_A", "G_B", "cycle_A", "cycle_B", "idt_A", "idt_B"},
    "cut": {"D_real", "D_fake"},
    "fastcut": {"D_real", "D_fake"},
    "dclgan": {"D_A", "D_B", "idt_A", "idt_B"},
    "simdcl": {"D_A", "D_B", "idt_A", "idt_B"},
}


CONTRASTIVE = ("cut", "fastcut", "dclgan", "simdcl")


def cases(model):
    return [
        pytest.param(model, c, id=c["id"]) for c in json.loads((PARITY / f"train_{model}.json").read_text())["cases"]
    ]


@pytest.fixture(autouse=True)
def pinned_patches(monkeypatch):
    def draw(self, num_positions, num_patches, device):
        return torch.from_numpy(np.random.RandomState(0).permutation(num_positions)[:num_patches])

    monkeypatch.setattr(networks.PatchSampleF, "draw_patch_ids", draw)


@pytest.mark.parametrize("economies", [(), ("--economies", "no")], ids=["", "slow_way"])
@pytest.mark.parametrize(("name", "case"), [case for name in CONTRASTIVE for case in cases(name)])
def test_training_follows_the_original_with_and_without_economies(name, case, economies, tmp_path):
    check_training(name, {**case, "cli": [*case["cli"], *economies]}, tmp_path)


@pytest.mark.parametrize(("name", "case"), cases("pix2pix") + cases("cycle_gan"))
def test_training_follows_the_original(name, case, tmp_path):
    check_training(name, case, tmp_path)


def check_training(name, case, tmp_path):
    model = build(case, tmp_path)
    filled = {n: copy.deepcopy(getattr(model, "net" + n).state_dict()) for n in case["fill_names"]}
    noise = NOISE[case["id"]]
    for number, step in enumerate(case["steps"]):
        batch = {side: make_input(spec) for side, spec in step["input"].items()}
        model.set_input({**batch, "A_paths": ["a"], "B_paths": ["b"]})
        model.draw_flip = partial(step.get, "flipped_for_equivariance")
        model.optimize_parameters()
        losses = model.get_current_losses()
        assert set(losses) == set(step["losses"])
        for loss, stored in step["losses"].items():
            worst = max(run[number] for run in noise["losses_per_step"].values())
            allowed = max(1e-3 if number == 0 else 5e-3, 10 * worst)
            if number == 0 and loss in FORWARD_ONLY[name]:
                allowed = 1e-4
            assert abs(losses[loss] - stored) <= allowed * max(abs(stored), 0.01), (number, loss, losses[loss], stored)
    check_end(model, case, filled, noise["max_over_runs"])


def build(case, tmp_path):
    command = ["--dataroot", "none", "--checkpoints_dir", str(tmp_path), "--device", "cpu", "--seed", "0", *case["cli"]]
    size = str(next(iter(case["steps"][0]["input"].values()))["shape"][-1])
    opt = TrainOptions([*command, "--load_size", size, "--crop_size", size]).parse()
    model = create_model(opt)
    prepare(model, [], opt)
    for net, fill_name in case["fill_names"].items():
        fill(getattr(model, "net" + net), fill_name)
    return model


def check_end(model, case, filled, noise):
    for name, stored in case["networks_after_last_step"].items():
        net = getattr(model, "net" + name)
        with torch.no_grad():
            squares = sum(float((p.double() ** 2).sum()) for p in net.parameters())
            weights = [(key, p) for key, p in net.named_parameters() if p.dim() >= 2]
            moved = sum(float(((p - filled[name][key]).double() ** 2).sum()) for key, p in weights)
        assert squares**0.5 == pytest.approx(stored["l2_params"], rel=max(2e-5, 10 * noise["l2_params_rel"]))
        update = stored["l2_update_of_weights"]
        assert moved**0.5 == pytest.approx(update, rel=max(1e-2, 10 * noise["l2_update_rel"]))
        check_parameters(model, net, stored, noise)
        check_buffers(net, stored.get("buffers"))
    for name, stored in case["visuals_of_last_step"].items():
        image = getattr(model, name).detach().double()
        assert list(image.shape) == stored["shape"]
        assert float(image.mean()) == pytest.approx(stored["mean"], abs=max(5e-3, 10 * noise["visuals_abs"]))
        assert float(image.std(unbiased=False)) == pytest.approx(
            stored["std"], abs=max(5e-3, 10 * noise["visuals_abs"])
        )
    assert [o.param_groups[0]["lr"] for o in model.optimizers] == pytest.approx(case["lr_per_optimizer"])
    assert [list(o.param_groups[0]["betas"]) for o in model.optimizers] == case["betas_per_optimizer"]


def check_parameters(model, net, stored, noise):
    lr = model.optimizers[0].param_groups[0]["lr"]
    named = dict(net.named_parameters())
    for which in ("first_param", "last_param"):
        block = stored[which]
        values = named[block["key"]].detach().flatten()[block["idx"]].tolist()
        allowed = max(0.5, 10 * noise["param_after_in_lr"]) * lr
        assert values == pytest.approx(block["after"], abs=allowed), block["key"]


def check_buffers(net, stored):
    if not stored:
        return
    state = net.state_dict()
    for part in ("running_mean", "running_var"):
        norm = sum(float((v.double() ** 2).sum()) for k, v in state.items() if k.endswith(part)) ** 0.5
        assert norm == pytest.approx(stored[f"l2_{part}"], rel=5e-4)
    counts = sorted({int(v) for k, v in state.items() if k.endswith("num_batches_tracked")})
    assert counts == sorted(stored["num_batches_tracked"])
