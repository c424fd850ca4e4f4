"""--economies of all models: joint passes change no gradient, and are not used if samples depend on their batch."""

import copy

import pytest
import torch
from torch import nn

from models import create_model, prepare
from models.batches import is_per_sample, run_batches
from models.legacy import loss_of
from options.train_options import TrainOptions
from util.numerics import seeding

SMALL = ("--ngf 2 --ndf 2 --netG resnet_4blocks --load_size 32 --crop_size 32 --init_gain 1 --pool_size 0 --seed 0 "
         "--n_layers_D 2 --netD n_layers")  # fmt: skip
STARGAN = "--model stargan --g_conv_dim 2 --d_conv_dim 2 --g_repeat_num 1 --d_repeat_num 3 --image_size 16 --seed 0"


def build(folder, words):
    command = ["--dataroot", "none", "--checkpoints_dir", str(folder), "--device", "cpu", *words.split()]
    opt = TrainOptions(command).parse()
    torch.manual_seed(0)
    model = create_model(opt)
    prepare(model, [], opt)
    for net in model.networks_by_name().values():
        net.double()
    return model


def feed(model, size_A=(32, 32), size_B=(32, 32)):
    generator = torch.Generator().manual_seed(1)
    images = model.opt.batch_size
    sides = {
        side: torch.rand(images, 3, *size, generator=generator, dtype=torch.double) * 2 - 1
        for side, size in (("A", size_A), ("B", size_B))
    }
    label = (torch.rand(images, 5, generator=generator) > 0.5).double()
    model.set_input({**sides, "label": label, "A_paths": ["a"] * images, "B_paths": ["b"] * images})


def step(model, **sizes):
    """Gradients and losses of all updates of a step with learning rate 0, and the batch size of each network call."""
    gradients, calls = {}, {}
    for name, net in model.networks_by_name().items():
        net.register_forward_hook(
            lambda m, inputs, output, name=name: calls.setdefault(name, []).append(len(inputs[0]))
        )

    def note(optimizers, loss_function, frozen=()):
        model.set_requires_grad(frozen, False)
        loss = loss_of(loss_function)
        loss.backward()
        phase = f"phase {len([key for key in gradients if key.endswith('loss')])}"
        gradients[f"{phase} loss"] = loss.detach()
        for name, net in model.networks_by_name().items():
            for key, parameter in net.named_parameters():
                if parameter.grad is not None:
                    gradients[f"{phase} {name}.{key}"], parameter.grad = parameter.grad, None
        model.set_requires_grad(frozen, True)

    model.step = note
    seeding.seed_step(0, 0)
    feed(model, **sizes)
    model.optimize_parameters()
    return gradients, calls


# flags, images in each call of the networks with economies, and without
TWO_WAY = {"G_A": [1] * 3, "G_B": [1] * 3, "D_A": [1] * 3, "D_B": [1] * 3}
CASES = [
    (f"{SMALL} --model cycle_gan", {"G_A": [2, 1], "G_B": [1, 2], "D_A": [1, 2], "D_B": [1, 2]}, TWO_WAY),
    (f"{SMALL} --model cycle_gan --batch_size 2", {"G_A": [4, 2], "D_A": [2, 4]}, {"G_A": [2] * 3, "D_A": [2] * 3}),
    (f"{SMALL} --model cycle_gan --norm none", {"G_A": [2, 1], "D_A": [1, 2]}, TWO_WAY),
    (f"{SMALL} --model cycle_gan --lambda_identity 0", {"G_A": [1, 1], "D_B": [1, 2]}, {"G_A": [1, 1], "D_B": [1] * 3}),
    (f"{SMALL} --model cycle_gan --gan_mode wgangp --lambda_gp 10", {"G_A": [2, 1], "D_A": [1] * 4}, {"D_A": [1] * 4}),
    (f"{SMALL} --model cycle_gan --norm batch", TWO_WAY, TWO_WAY),
    (f"{SMALL} --model cycle_gan --normG batch", {"G_A": [1] * 3, "D_A": [1, 2]}, TWO_WAY),
    (f"{SMALL} --model cycle_gan --no_dropout no", {"G_A": [1] * 3, "D_A": [1, 2]}, TWO_WAY),
    (f"{SMALL} --model pix2pix", {"G": [1], "D": [1, 1, 1]}, {"G": [1], "D": [1, 1, 1]}),
    (f"{SMALL} --model pix2pix --norm instance", {"G": [1], "D": [2, 1]}, {"G": [1], "D": [1, 1, 1]}),
    (f"{SMALL} --model cut", {"D": [2, 1]}, {"D": [1, 1, 1]}),
    (f"{SMALL} --model dclgan", {"D_A": [2, 1], "D_B": [2, 1]}, {"D_A": [1] * 3, "D_B": [1] * 3}),
    (f"{STARGAN} --batch_size 3 --n_critic 1", {"D": [6, 3, 3]}, {"D": [3] * 4}),
    (f"{STARGAN} --batch_size 3 --n_critic 1 --separate_gp", {"D": [6, 3, 3]}, {"D": [3] * 4}),
]


@pytest.mark.parametrize(("words", "joint", "single"), CASES, ids=[words.split("--model ")[1] for words, _, _ in CASES])
def test_joint_passes_change_no_gradient(words, joint, single, tmp_path):
    size = {"size_A": (16, 16)} if "stargan" in words else {}
    thrifty, plain = build(tmp_path, words), build(tmp_path, f"{words} --economies no")
    for name, net in plain.networks_by_name().items():
        net.load_state_dict(copy.deepcopy(getattr(thrifty, "net" + name).state_dict()))
    (ours, calls), (theirs, calls_there) = step(thrifty, **size), step(plain, **size)
    assert {name: calls[name] for name in joint} == joint
    assert {name: calls_there[name] for name in single} == single
    assert ours.keys() == theirs.keys()
    scale = max(float(gradient.abs().max()) for gradient in theirs.values())
    for key, gradient in theirs.items():
        torch.testing.assert_close(ours[key], gradient, rtol=1e-8, atol=1e-12 * scale, msg=key)
    for key, value in plain.get_current_losses().items():
        assert thrifty.get_current_losses()[key] == pytest.approx(value, rel=1e-10)
    for name, net in plain.networks_by_name().items():
        for key, value in net.state_dict().items():
            torch.testing.assert_close(getattr(thrifty, "net" + name).state_dict()[key], value, msg=key)


def test_batches_of_two_sizes_are_not_joined(tmp_path):
    model = build(tmp_path, f"{SMALL} --model cycle_gan --preprocess none")
    _, calls = step(model, size_A=(32, 40), size_B=(36, 32))
    assert calls == {"G_A": [1] * 3, "G_B": [1] * 3, "D_A": [1] * 3, "D_B": [1] * 3}
    assert model.idt_A.shape == model.real_B.shape and model.idt_B.shape == model.real_A.shape


def test_a_subclass_with_its_own_forward_computes_identity_images_in_backward_G(tmp_path):
    model = build(tmp_path, f"{SMALL} --model cycle_gan")

    def forward():
        model.fake_B, model.fake_A = model.netG_A(model.real_A), model.netG_B(model.real_B)
        model.rec_A, model.rec_B = model.netG_B(model.fake_B), model.netG_A(model.fake_A)

    model.forward = forward
    for _ in range(2):
        step(model)
        torch.testing.assert_close(model.idt_A, model.netG_A(model.real_B))
        del model.idt_A


@pytest.mark.parametrize("model", ["pix2pix --norm instance", "cycle_gan", "cut", "dclgan"])
def test_the_bias_that_cancels_in_a_wgan_loss_gets_no_rounding_noise(model, tmp_path):
    """In float32 a joint pass leaves a gradient of about 1e-8, which Adam turns into a step of its learning rate."""
    words = f"--model {model} --netF_nc 8 --num_patches 16" if model in ("cut", "dclgan") else f"--model {model}"
    model = build(tmp_path, f"{SMALL} {words} --n_layers_D 1 --gan_mode wgangp")
    for net in model.networks_by_name().values():
        net.float()
    biases = [net.model[-1].bias for name, net in model.networks_by_name().items() if name.startswith("D")]
    before = [bias.tolist() for bias in biases]
    generator = torch.Generator().manual_seed(0)
    A, B = torch.rand(2, 1, 3, 32, 32, generator=generator) * 2 - 1
    model.set_input({"A": A, "B": B, "A_paths": ["a"], "B_paths": ["b"]})
    model.optimize_parameters()
    assert before and [bias.tolist() for bias in biases] == before


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (nn.InstanceNorm2d(2), True),
        (nn.InstanceNorm2d(2, affine=True), True),
        (nn.GroupNorm(1, 2), True),
        (nn.InstanceNorm2d(2, track_running_stats=True), False),
        (nn.BatchNorm2d(2, track_running_stats=False), False),
        (nn.SyncBatchNorm(2), False),
        (nn.Dropout(0.5), False),
        (nn.Dropout2d(0.5), False),
    ],
    ids=str,
)
def test_which_layers_keep_samples_independent(layer, expected):
    assert is_per_sample(nn.Sequential(nn.Conv2d(3, 2, 1), layer)) is expected
    assert is_per_sample(nn.Conv2d(3, 2, 1), layer) is expected


def test_nested_results_of_a_joint_pass_are_split():
    a, b = torch.zeros(2, 3), torch.ones(2, 3)
    calls = []

    def function(x):
        calls.append(len(x))
        return x + 1, [x, (2 * x,)]

    for together in (True, False):
        for batch, (first, [second, (third,)]) in zip((a, b), run_batches(function, [a, b], together)):
            assert torch.equal(first, batch + 1) and torch.equal(second, batch) and torch.equal(third, 2 * batch)
    assert calls == [4, 2, 2]
    assert run_batches(function, [a], True)[0][0].shape == (2, 3) and calls[-1] == 2
