"""Projectors and PatchNCE: released numbers, correct gradients, and the interfaces that plug-ins use."""

import argparse

import numpy as np
import pytest
import torch
from parity_tools import check_block, fill, make_input, read, uniform
from torch import nn

from models import losses, networks, patchnce, tables

CASES = read("networks")["cases"]


def options(**fields):
    return argparse.Namespace(**{"netF_nc": 8, "nce_T": 0.07, "batch_size": 1, **fields})


# --- the released numbers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "F"], ids=lambda case: case["id"][-2:])
def test_patch_sampler_is_the_released_one(case, lazy):
    made = case["G"]
    G = networks.define_G(3, 3, made["ngf"], made["netG"], made["normG"], no_antialias=False, no_antialias_up=False)
    fill(G, made["fill_name"])
    with torch.no_grad():
        features = G(make_input(case["input"]), case["nce_layers"], encode_only=True)
    widths = None if lazy else [feature.shape[1] for feature in features]
    netF = networks.define_F(3, case["netF"], opt=options(netF_nc=case["netF_nc"]), widths=widths)
    if lazy:
        assert not netF.state_dict()
        netF(features, 1)
    assert [[key, list(value.shape)] for key, value in netF.state_dict().items()] == case["state_dict"]
    assert sum(parameter.numel() for parameter in netF.parameters()) == case["n_params"]
    fill(netF, case["fill_name"])
    ids = [released_ids(feature[0, 0].numel())[: case["num_patches"]] for feature in features]
    assert [i[:4].tolist() for i in ids] == case["patch_ids_head_per_layer"]
    with torch.no_grad():
        vectors, same = netF(features, case["num_patches"], ids)
    for vector, block, given, returned in zip(vectors, case["output_per_layer"], ids, same):
        check_block(vector, block)
        assert torch.equal(torch.as_tensor(given), returned)


def released_ids(positions):
    return np.random.RandomState(0).permutation(positions)


@pytest.mark.parametrize("case", [c for c in CASES if c["kind"] == "mapping"], ids=lambda case: case["id"][-7:])
def test_mapping_is_the_released_one(case):
    net = fill(networks.define_F(case["ctor"]["n_layers"], "mapping"), case["fill_name"])
    assert [[key, list(value.shape)] for key, value in net.state_dict().items()] == case["state_dict"]
    with torch.no_grad():
        check_block(net(make_input(case["input"])), case["output_train"])


def title(case):
    all_of_them = "all" * case["nce_includes_all_negatives_from_minibatch"]
    return f"{case['reference']}-{case['batch_size']}x{case['patches_per_image']}-{case['dim']}{all_of_them}"


@pytest.mark.parametrize("case", read("losses")["patch_nce"], ids=title)
def test_patch_nce_is_the_released_one(case):
    made = {"cut.PatchNCELoss": patchnce.PatchNCELoss, "dclgan.PatchNCELoss": patchnce.CosinePatchNCELoss}
    names = ("batch_size", "nce_T", "nce_includes_all_negatives_from_minibatch")
    criterion = made.get(case["reference"], patchnce.PatchNCELoss2)(options(**{name: case[name] for name in names}))
    q, k = vectors_of(case)
    q.requires_grad_()
    k.requires_grad_()
    loss = criterion(q, k)
    check_block(loss, case["loss_vector"], values=1e-5, norms=1e-5)
    assert float(loss.detach().mean()) == pytest.approx(case["loss_mean"], rel=1e-5)
    loss.mean().backward()
    assert float(q.grad.norm()) == pytest.approx(case["grad_q_l2"], rel=1e-5)
    check_block(q.grad, case["grad_q"], values=1e-5, norms=1e-5)
    assert k.grad is None


def vectors_of(case):
    rows, seed = case["batch_size"] * case["patches_per_image"], case["features"]["seed"]
    k = np.random.RandomState(seed).standard_normal((rows, case["dim"]))
    q = k + 3.0 * np.random.RandomState(seed + 1).standard_normal((rows, case["dim"]))
    if case["features"]["l2_normalized"]:
        q, k = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (q, k))
    else:
        q, k = 0.1 * q, 0.1 * k
    return torch.from_numpy(q).float(), torch.from_numpy(k).float()


# --- PatchNCE --------------------------------------------------------------------------------------------------------


def spelled_out(q, k, temperature):
    """The released form: the score of the positive pair, then all scores with the positive pair masked."""
    scores = q @ k.detach().T
    others = scores.masked_fill(torch.eye(len(q), dtype=torch.bool), losses.MASKED)
    logits = torch.cat((scores.diagonal()[:, None], others), 1) / temperature
    return nn.functional.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long), reduction="none")


@pytest.mark.parametrize("temperature", [0.07, 1.0, 20.0])
def test_the_masked_diagonal_is_the_same_logit_at_every_temperature(temperature):
    torch.manual_seed(0)
    q, k = (nn.functional.normalize(torch.randn(12, 5, dtype=torch.double)) for _ in range(2))
    q.requires_grad_()
    released, ours = spelled_out(q, k, temperature), losses.patch_nce(q, k, temperature)
    torch.testing.assert_close(ours, released, rtol=1e-12, atol=1e-12)
    [a], [b] = (torch.autograd.grad(loss.sum(), q) for loss in (released, ours))
    torch.testing.assert_close(a, b, rtol=1e-11, atol=1e-12)


def test_the_cosine_loss_is_that_of_a_loop_over_all_pairs():
    torch.manual_seed(0)
    q, k = torch.randn(9, 5, dtype=torch.double, requires_grad=True), torch.randn(9, 5, dtype=torch.double)
    with torch.no_grad():
        q[4] = 0  # the denominator is eps
    cosines = nn.functional.cosine_similarity(q[:, None], k[None], dim=-1)
    own = cosines.masked_fill(torch.eye(9, dtype=torch.bool), losses.MASKED)
    logits = torch.cat((cosines.diagonal()[:, None], own), 1) / 0.07
    released = nn.functional.cross_entropy(logits, torch.zeros(9, dtype=torch.long), reduction="none")
    ours = losses.CosinePatchNCELoss(options())(q, k)
    torch.testing.assert_close(ours, released, rtol=1e-12, atol=1e-12)
    [a], [b] = (torch.autograd.grad(loss.sum(), q) for loss in (released, ours))
    torch.testing.assert_close(a[:4], b[:4], rtol=1e-9, atol=1e-12)


def test_rows_of_a_short_last_batch_are_grouped_by_its_size():
    torch.manual_seed(0)
    q, k = torch.randn(2, 6, 4)
    criterion = losses.PatchNCELoss(options(batch_size=3, nce_includes_all_negatives_from_minibatch=False))
    short = criterion(q, k, 2)
    torch.testing.assert_close(short, torch.cat([losses.patch_nce(q[:3], k[:3]), losses.patch_nce(q[3:], k[3:])]))
    assert not torch.allclose(short, criterion(q, k))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_are_never_computed_in_half_precision(dtype):
    q, k = torch.randn(2, 4, 8).to(dtype)
    expected = torch.float64 if dtype == torch.float64 else torch.float32
    assert losses.patch_nce(q, k).dtype == expected
    assert losses.CosinePatchNCELoss(options())(q, k).dtype == expected


# --- PatchSampleF ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("made", [{}, {"no_antialias": True}, {"norm": "batch"}], ids=str)
def test_gradients_through_encoder_and_sampler_are_correct(batch, made):
    # At batch 1 PyTorch's instance norm gets gradients wrong on a CPU if their memory is laid out channels last.
    torch.manual_seed(0)
    G = networks.define_G(3, 3, 1, "resnet_4blocks", **{"norm": "instance", "no_antialias": False, **made}, init_gain=1)
    G = G.double()
    netF = networks.PatchSampleF(use_mlp=True, nc=3, init_gain=1.0, widths=[3, 2, 4, 4, 4]).double()
    layers = [0, 4, 8, 12, 13]
    image = torch.randn(batch, 3, 8, 8, dtype=torch.double, requires_grad=True)
    with torch.no_grad():
        ids = netF.draw(G(image, layers, encode_only=True), 3)

    def vectors(image):
        return tuple(netF(G(image, layers, encode_only=True), 3, ids)[0])

    assert torch.autograd.gradcheck(vectors, image, eps=1e-7, atol=1e-4)


def test_ids_are_drawn_in_one_method_and_can_be_given_in_any_form():
    netF = networks.PatchSampleF()
    features = [torch.randn(2, 3, 4, 4), torch.randn(2, 5, 2, 2)]
    vectors, ids = netF(features, 6)
    assert [len(i) for i in ids] == [6, 4]  # a small map gives all of its positions
    assert all(i.dtype == torch.long and len(i.unique()) == len(i) for i in ids)
    assert [tuple(v.shape) for v in vectors] == [(12, 3), (8, 5)]
    for given in (ids, [i.numpy() for i in ids], [i.tolist() for i in ids]):
        again, _ = netF(features, 6, given)
        assert all(torch.equal(a, b) for a, b in zip(vectors, again))
    own = features[0].flatten(2)[1, :, ids[0][2]]
    torch.testing.assert_close(vectors[0][6 + 2], own / own.norm())
    netF.draw_patch_ids = lambda num_positions, num_patches, device: torch.arange(num_patches, device=device)
    assert [i.tolist() for i in netF(features, 2)[1]] == [[0, 1], [0, 1]]


def test_with_0_patches_all_positions_are_returned_as_a_map():
    netF = networks.PatchSampleF(use_mlp=True, nc=4, init_gain=1.0)
    feature = torch.randn(2, 3, 4, 5)
    [everywhere], ids = netF([feature], 0)
    assert everywhere.shape == (2, 4, 4, 5) and ids == [[]]
    projected = netF.mlp_0(feature.flatten(2).mT)  # (2, 20, 4)
    expected = projected / projected.norm(dim=1, keepdim=True)  # over the positions
    torch.testing.assert_close(everywhere.flatten(2).mT, expected)


def test_a_projector_without_widths_is_built_in_its_first_pass():
    features = [torch.randn(1, 3, 4, 4), torch.randn(1, 5, 2, 2)]
    torch.manual_seed(1)
    ready = networks.define_F(3, "mlp_sample", init_type="xavier", opt=options(), widths=[3, 5])
    torch.manual_seed(1)
    lazy = networks.define_F(3, "mlp_sample", "batch", False, "xavier", 0.02, False, [], options())
    assert not lazy.mlp_init and ready.mlp_init
    lazy.create_mlp(features)
    assert all(torch.equal(a, b) for a, b in zip(ready.state_dict().values(), lazy.state_dict().values(), strict=True))


@pytest.mark.parametrize("word", tables.SAMPLERS)
def test_the_gradient_of_a_zero_vector_is_finite(word):
    # With few outputs, the ReLU is 0 for some patches.
    netF = networks.define_F(3, word, init_gain=1.0, opt=options(netF_nc=1), widths=[3])
    feature = torch.zeros(1, 3, 4, 4, requires_grad=True)
    [vectors], _ = netF([feature], 8)
    for criterion in (losses.CosinePatchNCELoss(options()), lambda q, k: losses.patch_nce(q, k)):
        loss = criterion(vectors, vectors).mean()
        loss.backward(retain_graph=True)
        assert loss.isfinite() and feature.grad.isfinite().all()
        assert all(p.grad.isfinite().all() for p in netF.parameters() if p.grad is not None)


# --- the other words -------------------------------------------------------------------------------------------------


def test_every_value_of_netF_gives_unit_vectors():
    feature = torch.randn(2, 6, 70, 70)
    shapes = {"reshape": (32, 6), "global_pool": (2, 6, 1, 1), "strided_conv": (2, 64, 32, 32)}
    for word, shape in shapes.items():
        net = networks.define_F(3, word, init_gain=1.0, opt=options())
        net(feature)  # the running mean starts as the first output, whose difference from it is 0
        found = net(feature + torch.randn_like(feature))
        assert found.shape == shape
        torch.testing.assert_close(found.norm(dim=1), torch.ones(found.norm(dim=1).shape))
    assert set(tables.PROJECTORS) == {*shapes, "mlp_sample", "sample", "mapping"}
    with pytest.raises(ValueError, match="--netF mlp_smaple: .*did you mean 'mlp_sample'"):
        networks.define_F(3, "mlp_smaple")


def test_strided_conv_has_a_network_per_size_and_a_running_mean():
    net = networks.define_F(3, "strided_conv", init_gain=1.0)
    first = torch.randn(1, 130, 64, 64)
    assert not net(first).any()  # minus the running mean, which starts as this output
    net(torch.randn(1, 4, 32, 32))
    keys = list(net.state_dict())
    assert keys[:2] == ["child_130_64.0.weight", "child_130_64.0.bias"] and keys[-2] == "child_4_32.0.weight"
    assert net.state_dict()["child_130_64.0.weight"].shape == (65, 130, 3, 3)
    other = net.child_130_64(torch.randn(1, 130, 64, 64)).detach()
    before = net.means["child_130_64"]
    net(first)
    assert torch.allclose(before, net.means["child_130_64"], atol=1e-6) and not torch.allclose(before, other)


def test_mapping_takes_batches_and_other_sizes():
    net = networks.define_F(3, "mapping", init_gain=1.0, opt=options())
    batch = uniform(0, (2, 3, 7, 5))
    together = net(batch)
    assert together.shape == (2, 64)
    torch.testing.assert_close(together[1:], net(batch[1]))
    assert float(together[0].detach().norm()) == pytest.approx(1, abs=1e-4)
    assert net(torch.zeros(3, 3, 3)).isfinite().all()


def test_models_patchnce_gives_the_loss_of_CUT_or_of_DCLGAN():
    assert patchnce.PatchNCELoss2 is networks.PatchNCELoss
    given = {"nce_T": 0.07, "batch_size": 1, "nce_includes_all_negatives_from_minibatch": False}
    of_cut, of_dclgan = argparse.Namespace(**given), argparse.Namespace(**given, DCL_mode="DCL")
    assert isinstance(patchnce.PatchNCELoss(of_cut), networks.PatchNCELoss)
    assert isinstance(patchnce.PatchNCELoss(of_dclgan), networks.CosinePatchNCELoss)
    names = "Normalize PatchSampleF ReshapeF PoolingF StridedConvF MappingF define_F PatchNCELoss CosinePatchNCELoss"
    assert all(name in networks.__all__ for name in names.split())
