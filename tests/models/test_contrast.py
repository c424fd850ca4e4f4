"""What the contrastive models share: shared passes change no gradient; flags, optimizers, files and tests."""

import copy
import math

import pytest
import torch
from small_models import SMALL, build, feed, options, train

from models import create_model, networks, prepare
from models.contrast import parse_layers
from options.test_options import TestOptions
from util.errors import InputError
from util.numerics import seeding

NAMES = ("cut", "fastcut", "dclgan", "simdcl")


def generators_gradients(model, flipped, **fed):
    """Of every network, in float64, for the generators' loss alone; and the images that went through the stems."""
    passed = []
    feed(model, dtype=torch.double, **fed)
    model.draw_flip = lambda: flipped
    for name in model.model_names:
        if name.startswith("G"):
            getattr(model, "net" + name).model[1].register_forward_hook(
                lambda module, inputs, output: passed.append((len(output), output.requires_grad))
            )
    seeding.seed_step(2, 0)  # the same patches for both
    model.forward()
    model.compute_G_loss().backward()
    found = {
        f"{name}.{key}": torch.zeros_like(p) if p.grad is None else p.grad
        for name, net in model.networks_by_name().items()
        for key, p in net.named_parameters()
    }
    return found, model.get_current_visuals(), passed


# model and flags, flipped, images that the generators see: with economies and without
EXACT = [
    ("--model cut", False, 4, 6),
    ("--model cut --batch_size 2", False, 8, 12),
    ("--model cut --nce_idt no", False, 2, 3),
    ("--model cut --norm none --nce_layers 0,4,7", False, 4, 6),
    ("--model cut --flip_equivariance", True, 6, 6),
    ("--model fastcut", False, 2, 3),
    ("--model fastcut --batch_size 2", True, 6, 6),
    ("--model cut --netF sample --nce_includes_all_negatives_from_minibatch --batch_size 2", False, 8, 12),
    ("--model dclgan", False, 6, 8),
    ("--model dclgan --batch_size 2 --no_antialias --nce_layers 4,10", False, 12, 16),
    ("--model dclgan --flip_equivariance", True, 8, 8),
    ("--model dclgan --nce_idt no", False, 4, 6),
    ("--model simdcl", False, 6, 8),
    ("--model simdcl --batch_size 2", False, 12, 16),
    ("--model simdcl --flip_equivariance", True, 8, 8),
]

# Where one of them would not be exact, it is off by itself.
SLOW = [
    ("--model cut --normG batch", False, 6, 6),
    ("--model cut --no_dropout no", False, 6, 6),
    ("--model cut --no_antialias --nce_layers 0,4,8", False, 6, 6),
    ("--model cut --norm none --nce_layers 0,4,8", False, 6, 6),
    ("--model dclgan --normG batch --batch_size 2", False, 16, 16),
    ("--model dclgan --no_dropout no", False, 8, 8),
    ("--model simdcl --normG batch", False, 8, 8),
]


@pytest.mark.parametrize(("words", "flipped", "less", "more"), EXACT + SLOW, ids=lambda value: str(value))
def test_economies_change_no_gradient(words, flipped, less, more, tmp_path):
    thrifty = build(tmp_path, *words.split())
    spendthrift = build(tmp_path, *words.split(), "--economies", "no")
    for name, net in spendthrift.networks_by_name().items():
        net.load_state_dict(copy.deepcopy(getattr(thrifty, "net" + name).state_dict()))
    ours, images, passed = generators_gradients(thrifty, flipped)
    theirs, same_images, passed_there = generators_gradients(spendthrift, flipped)
    assert (sum(n for n, _ in passed), sum(n for n, _ in passed_there)) == (less, more)
    for name, image in same_images.items():
        torch.testing.assert_close(images[name], image, rtol=1e-10, atol=1e-10)
    scale = max(float(g.abs().max()) for g in theirs.values())
    assert scale > 1e-4
    for key, gradient in theirs.items():
        torch.testing.assert_close(ours[key], gradient, rtol=1e-8, atol=1e-12 * scale, msg=key)
    assert any(float(g.abs().max()) > 1e-6 for key, g in theirs.items() if key.startswith("F")) or "sample" in words


def test_batch_norm_statistics_are_those_without_economies(tmp_path):
    runs = [build(tmp_path, "--model", "cut", "--normG", "batch", "--economies", word) for word in ("yes", "no")]
    states = []
    for model in runs:
        feed(model)
        model.forward()
        model.compute_G_loss()
        states.append(model.netG.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_keys_get_no_gradient_and_need_no_graph(tmp_path):
    passed = {}
    for word in ("yes", "no"):
        model = build(tmp_path, "--model", "fastcut", "--economies", word)
        passed[word] = generators_gradients(model, True)[2]
    # translation, query, key: in a mirrored step the key needs its own pass
    assert [graph for _, graph in passed["yes"]] == [True, True, False]
    assert [graph for _, graph in passed["no"]] == [True, True, True]


def test_images_of_two_sizes_are_translated_one_after_the_other(tmp_path):
    for name in NAMES:
        model = build(tmp_path, "--model", name, "--preprocess", "none")
        train(model, 1, size_A=(32, 40), size_B=(36, 32))
        assert model.fake_B.shape[2:] == (32, 40)


def test_defaults_are_those_of_the_original_programs(tmp_path):
    cut, fast, dcl, sim = (options(tmp_path, "--model", name) for name in NAMES)
    for opt in (cut, fast, dcl, sim):
        assert (opt.init_type, opt.no_dropout, opt.no_antialias, opt.no_antialias_up) == ("xavier", True, False, False)
        assert (opt.pool_size, opt.netF, opt.netF_nc, opt.nce_T, opt.num_patches) == (0, "mlp_sample", 256, 0.07, 256)
        assert (opt.drop_last, opt.finetune_crop, opt.round_to_4, opt.save_epoch_freq) == (True, True, True, 5)
        assert (opt.lambda_GAN, opt.economies, opt.lr_F) == (1.0, True, None)
        assert opt.nce_includes_all_negatives_from_minibatch is False
    for opt in (cut, dcl, sim):
        assert (opt.nce_idt, opt.flip_equivariance, opt.n_epochs, opt.n_epochs_decay) == (True, False, 200, 200)
    assert (fast.nce_idt, fast.flip_equivariance, fast.n_epochs, fast.n_epochs_decay) == (False, True, 150, 50)
    assert [opt.lambda_NCE for opt in (cut, fast, dcl, sim)] == [1.0, 10.0, 2.0, 1.0]
    assert [opt.gan_mode for opt in (cut, fast, dcl, sim)] == ["lsgan", "lsgan", "hinge", "hinge"]
    assert cut.nce_layers == fast.nce_layers == "0,4,8,12,16" and dcl.nce_layers == sim.nce_layers == "4,8,12,16"
    assert (dcl.lambda_IDT, sim.lambda_IDT, sim.lambda_SIM) == (1.0, 1.0, 10.0)


REFUSED = [
    ("--model cut --netG unet_256 --crop_size 256 --load_size 256", "--netG unet_256: .*no features.*resnet_9blocks"),
    ("--model cut --nce_layers 0,99", "--nce_layers 0,99: .*layers 0 to"),
    ("--model cut --nce_layers 8,4", "--nce_layers 8,4: .*ascending"),
    ("--model cut --nce_layers 4,x", "--nce_layers 4,x: numbers"),
    ("--model cut --nce_layers ,", "--nce_layers ,: numbers"),
    ("--model cut --lambda_GAN 0 --lambda_NCE 0", "nothing left to learn"),
    ("--model dclgan --lambda_GAN 0 --lambda_NCE 0 --nce_idt no", "nothing left to learn"),
    ("--model cut --output_nc 1", "--input_nc 3 and --output_nc 1: .*--lambda_NCE 0"),
    ("--model dclgan --output_nc 1", "--input_nc 3 and --output_nc 1: .*--nce_idt no"),
    ("--model cut --netF strided_conv", "--netF strided_conv: .*size of map.*choose mlp_sample, sample"),
    ("--model cut --netF global_pool", "--netF global_pool: one vector.*--batch_size 2 .*--nce_includes_all"),
    ("--model dclgan --netF global_pool", "--netF global_pool: one vector.*--batch_size 2 or more$"),
    ("--model cut --num_patches 1 --batch_size 2", "--num_patches 1: one vector.*--nce_includes_all"),
    ("--model cut --netF mapping", "--netF mapping: choose mlp_sample, sample"),
    ("--model cut --CUT_mode C", "--CUT_mode C: choose CUT, cut, FastCUT, fastcut"),
    ("--model cut --num_patches 0", "--num_patches.* at least 1"),
    ("--model cut --nce_T 0", "--nce_T.* above 0"),
    ("--model simdcl --netF sample", "--netF sample: simdcl"),
    ("--model simdcl --netF_nc 2", "--netF_nc 2"),
    ("--model simdcl --DCL_mode DCL", "--DCL_mode DCL: that is --model dclgan"),
    ("--model dclgan --DCL_mode SIM", "--DCL_mode SIM: that is --model simdcl"),
    ("--model sincut --output_nc 1 --lambda_NCE 0", "the identity loss .*--lambda_identity 0"),
    ("--model sincut --accumulate 2", "--accumulate 2, --nce_includes_all.*micro-batches"),
]


@pytest.mark.parametrize(("words", "says"), REFUSED)
def test_impossible_settings_are_refused_with_one_line(words, says, tmp_path):
    with pytest.raises(InputError, match=says) as caught:
        create_model(options(tmp_path, *SMALL, *words.split()))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["4", "0, 4,8", "-1"])
def test_layers_are_read_from_text(text):
    assert parse_layers(text) == eval(f"[{text}]")


WORKS = [
    "--lambda_NCE 0",
    "--lambda_GAN 0",
    "--nce_idt no",
    "--nce_idt yes --lambda_NCE 0",
    "--netF sample",
    "--netF reshape",
    "--netF global_pool --batch_size 2 --nce_includes_all_negatives_from_minibatch",
    "--netG stylegan2 --nce_layers 0,2,4",
    "--netG smallstylegan2 --nce_layers 0,2 --netD patchstylegan2",
    "--netD stylegan2",
    "--num_patches 7 --netF_nc 5",
    "--num_patches 2000",
    "--nce_layers 0,4,-1",
    "--nce_layers 4",
    "--flip_equivariance",
    "--gan_mode nonsaturating --batch_size 2",
    "--gan_mode wgangp --lambda_gp 10",
    "--normG batch --normD batch",
    "--no_dropout no",
    "--netF_nc 3",
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("words", WORKS)
def test_flags_that_crash_the_original_programs_train(name, words, tmp_path):
    if name == "simdcl" and "--netF " in words:
        pytest.skip("refused in one line, which another test sees")
    assert train(build(tmp_path, "--model", name, *words.split()))


@pytest.mark.parametrize("name", NAMES)
def test_a_last_batch_may_be_short(name, tmp_path):
    model = build(tmp_path, "--model", name, "--batch_size", "3")
    for batch in (3, 2, 1):
        assert train(model, 1, batch=batch)
        assert len(model.fake_B) == batch


@pytest.mark.parametrize("name", NAMES)
def test_a_projector_of_one_channel_stays_finite(name, tmp_path):
    words = ("--netF_nc", "1") if name != "simdcl" else ("--netF_nc", "3")
    losses = train(build(tmp_path, "--model", name, *words), 4)
    assert all(math.isfinite(value) for value in losses.values())


def test_projectors_have_an_optimizer_if_a_loss_trains_them(tmp_path):
    def optimizers(*words):
        made = build(tmp_path, *words).optimizers[2:]
        return [(o.param_groups[0]["lr"], o.param_groups[0]["betas"]) for o in made]

    own, released = (0.0002, (0.5, 0.999)), (0.001, (0.9, 0.999))
    assert optimizers("--model", "cut") == [own]
    assert optimizers("--model", "cut", "--netF", "sample") == []
    assert optimizers("--model", "cut", "--lambda_NCE", "0") == []
    assert optimizers("--model", "dclgan") == [released]
    assert optimizers("--model", "dclgan", "--netF", "sample") == []
    assert optimizers("--model", "dclgan", "--lr_F", "0.0003") == [(0.0003, (0.5, 0.999))]
    assert optimizers("--model", "simdcl") == [own]
    assert optimizers("--model", "simdcl", "--lambda_NCE", "0") == [own]  # for the similarity loss
    assert optimizers("--model", "simdcl", "--lambda_NCE", "0", "--lambda_SIM", "0") == []


@pytest.mark.parametrize(
    ("name", "total"),
    [
        ("cut", lambda x: x["G_GAN"] + (x["NCE"] + x["NCE_Y"]) / 2),
        ("fastcut", lambda x: x["G_GAN"] + x["NCE"]),
        ("dclgan", lambda x: (x["G_A"] + x["G_B"] + x["NCE1"] + x["NCE2"] + x["idt_A"] + x["idt_B"]) / 2),
        ("simdcl", lambda x: (x["G_A"] + x["G_B"] + x["NCE1"] + x["NCE2"] + x["idt_A"] + x["idt_B"]) / 2 + x["Sim"]),
    ],
)
def test_reported_terms_add_up_to_what_is_optimised(name, total, tmp_path):
    losses = train(build(tmp_path, "--model", name, "--lambda_GAN", "0.7", "--lambda_NCE", "1.3"), 1)
    assert losses["G"] == pytest.approx(total(losses), rel=1e-5)
    assert all(value != 0 for value in losses.values())


NAMES_OF_FILES = {
    "cut": "G F D",
    "fastcut": "G F D",
    "dclgan": "G_A F1 D_A G_B F2 D_B",
    "simdcl": "G_A F1 D_A G_B F2 D_B F3 F4 F5 F6",
}


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_saved_under_the_released_names_and_loaded_again(name, tmp_path):
    model = build(tmp_path, "--model", name)
    train(model, 1)
    model.save_networks("latest")
    saved = sorted(path.name for path in (model.save_dir / ".").iterdir())
    assert saved == sorted(f"latest_net_{net}.pth" for net in NAMES_OF_FILES[name].split())
    again = build(tmp_path, "--model", name, "--continue_train")
    for net_name, net in model.networks_by_name().items():
        for one, other in zip(net.state_dict().values(), getattr(again, "net" + net_name).state_dict().values()):
            assert torch.equal(one, other), net_name


@pytest.mark.parametrize("name", NAMES)
def test_a_test_runs_only_passes_whose_results_it_shows(name, tmp_path):
    trained = build(tmp_path, "--model", name)
    train(trained, 1)
    trained.save_networks("latest")
    words = SMALL[:-2]
    opt = options(tmp_path, *words, "--model", name, made=TestOptions)
    model = create_model(opt)
    prepare(model, [], opt)
    calls = []
    for net in model.networks_by_name().values():
        net.register_forward_hook(lambda module, inputs, output: calls.append(len(output)))
    feed(model)
    model.test()
    shown = model.get_current_visuals()
    two_way = name in ("dclgan", "simdcl")
    assert list(shown) == (["real_A", "fake_B", "real_B", "fake_A"] if two_way else ["real_A", "fake_B", "real_B"])
    assert calls == [1] * (2 if two_way else 1)
    model.set_input({"A": torch.rand(1, 3, 32, 32), "A_paths": ["a"]})
    model.test()
    assert list(model.get_current_visuals()) == ["real_A", "fake_B"]
    model.set_input({"B": torch.rand(1, 3, 32, 32), "B_paths": ["b"]})
    model.test()
    assert list(model.get_current_visuals()) == (["real_B", "fake_A"] if two_way else ["real_B"])


@pytest.mark.parametrize("made", [{}, {"norm": "batch"}, {"norm": "none"}, {"use_dropout": True}], ids=str)
def test_feature_widths_does_not_change_the_generator(made):
    from models.contrast import feature_widths

    net = networks.define_G(3, 3, 2, "resnet_4blocks", **{"norm": "instance", "no_antialias": False, **made})
    before = copy.deepcopy(net.state_dict())
    torch.manual_seed(0)
    assert feature_widths(net, [0, 4, 8, 12, -1], 3) == [3, 4, 8, 8, 3]
    drawn = torch.rand(1)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(1))
    assert all(torch.equal(value, before[key]) for key, value in net.state_dict().items())
