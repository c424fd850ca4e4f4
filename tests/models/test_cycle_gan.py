"""CycleGAN: its losses are the paper's equations, computed here by hand."""

import pytest
import torch
from small_models import NETWORKS, build, feed
from torch.nn.functional import l1_loss


def made(tmp_path, *words):
    return feed(build(tmp_path, "--model", "cycle_gan", *words, small=NETWORKS), dtype=torch.double)


def expected_terms(model, identity):
    G_A, G_B, a, b = model.netG_A, model.netG_B, model.real_A, model.real_B
    terms = {
        "G_A": ((model.netD_A(G_A(a)) - 1) ** 2).mean(),
        "G_B": ((model.netD_B(G_B(b)) - 1) ** 2).mean(),
        "cycle_A": 3 * l1_loss(G_B(G_A(a)), a),
        "cycle_B": 5 * l1_loss(G_A(G_B(b)), b),
        "idt_A": identity * 5 * l1_loss(G_A(b), b),
        "idt_B": identity * 3 * l1_loss(G_B(a), a),
    }
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.parametrize("identity", [0.5, 0.0])
@pytest.mark.parametrize("economies", ["yes", "no"])
def test_the_generators_loss_is_the_sum_of_the_equations(tmp_path, identity, economies):
    weights = ("--lambda_A", "3", "--lambda_B", "5", "--lambda_identity", str(identity))
    model = made(tmp_path, *weights, "--economies", economies)
    model.run_forward()
    loss = model.backward_G()
    expected = expected_terms(model, identity)
    assert {name: float(getattr(model, f"loss_{name}")) for name in expected} == pytest.approx(expected)
    assert float(loss) == pytest.approx(sum(expected.values()))


def test_each_discriminator_gets_the_output_domain_of_its_generator(tmp_path):
    model = made(tmp_path)
    model.run_forward()
    for D, real, fake, verb in (
        (model.netD_A, model.real_B, model.fake_B, model.backward_D_A),
        (model.netD_B, model.real_A, model.fake_A, model.backward_D_B),
    ):
        expected = (((D(real) - 1) ** 2).mean() + (D(fake) ** 2).mean()) / 2
        assert float(verb()) == pytest.approx(float(expected))


def test_without_the_identity_term_its_images_are_not_shown(tmp_path):
    assert made(tmp_path, "--lambda_identity", "0").visual_names == "real_A fake_B rec_A real_B fake_A rec_B".split()
