"""Subclasses of built-in models and plug-ins in the style of the original programs train and translate."""

import numpy as np
import pytest
import torch
from distributed.cases import EQUAL, batch, build, parameters, steps

import models
from models import networks
from models.base_model import BaseModel
from models.colorization_model import ColorizationModel
from models.cut_model import CUTModel
from models.cycle_gan_model import CycleGANModel
from models.dclgan_model import DCLGANModel
from models.legacy import loss_of
from models.pix2pix_model import Pix2PixModel
from models.simdcl_model import SimDCLModel
from models.template_model import TemplateModel
from util.errors import InputError


def trained(monkeypatch, name, model_class, *words, count=2, images=1, batch_size=1):
    """A model of that class after a few steps."""
    monkeypatch.setattr(models, "find_model_using_name", lambda _: model_class)
    model = build([*EQUAL[name], *words], batch_size)
    steps(model, slice(None), images, count=count)
    return model


def assert_equal(one, other, atol=0.0):
    for key, value in parameters(one).items():
        torch.testing.assert_close(parameters(other)[key], value, rtol=0, atol=atol, msg=key)


class InOldStyle(Pix2PixModel):
    """As in the original program: the methods call backward() and return nothing."""

    def backward_D(self):
        fake = torch.cat((self.real_A, self.fake_B), 1)
        self.loss_D_fake = self.criterionGAN(self.netD(fake.detach()), False)
        self.loss_D_real = self.criterionGAN(self.netD(torch.cat((self.real_A, self.real_B), 1)), True)
        self.loss_D = (self.loss_D_fake + self.loss_D_real) * 0.5
        self.loss_D.backward()

    def backward_G(self):
        self.loss_G_GAN = self.criterionGAN(self.netD(torch.cat((self.real_A, self.fake_B), 1)), True)
        self.loss_G_L1 = self.criterionL1(self.fake_B, self.real_B) * self.opt.lambda_L1
        self.loss_G = self.loss_G_GAN + self.loss_G_L1
        self.loss_G.backward()


class WithOwnStep(Pix2PixModel):
    def optimize_parameters(self):
        self.forward()
        self.set_requires_grad(self.netD, True)
        self.optimizer_D.zero_grad()
        self.backward_D()
        self.optimizer_D.step()
        self.set_requires_grad(self.netD, False)
        self.optimizer_G.zero_grad()
        self.backward_G()
        self.optimizer_G.step()


@pytest.mark.parametrize("model_class", [InOldStyle, WithOwnStep])
def test_overrides_that_call_backward_give_the_same_training(monkeypatch, model_class):
    ours, theirs = (trained(monkeypatch, "pix2pix", each) for each in (Pix2PixModel, model_class))
    assert_equal(ours, theirs, atol=1e-9)


def test_overrides_that_call_backward_work_with_accumulate(monkeypatch):
    whole = trained(monkeypatch, "pix2pix", InOldStyle, images=2, batch_size=2)
    parts = trained(monkeypatch, "pix2pix", InOldStyle, "--accumulate", "2", images=2)
    assert_equal(whole, parts, atol=1e-6)


def add_by_backward(self):
    Pix2PixModel.backward_G(self)
    (self.fake_B.mean() * 3).backward()


def add_by_return(self):
    return Pix2PixModel.backward_G(self) + self.fake_B.mean() * 3


def add_and_call(self):
    (Pix2PixModel.backward_G(self) + self.fake_B.mean() * 3).backward()


def test_a_term_may_be_added_by_backward_or_by_the_returned_loss(monkeypatch):
    styles = [
        type("Model", (Pix2PixModel,), {"backward_G": method})
        for method in (add_by_return, add_by_backward, add_and_call)
    ]
    first, *others = (trained(monkeypatch, "pix2pix", style) for style in styles)
    for other in others:
        assert_equal(first, other, atol=1e-9)
    plain = parameters(trained(monkeypatch, "pix2pix", Pix2PixModel))
    assert any(not torch.equal(value, plain[key]) for key, value in parameters(first).items())


class OwnBasic(CycleGANModel):
    """Calls backward() and returns the loss, as in the original program."""

    def backward_D_basic(self, netD, real, fake):
        loss = (self.criterionGAN(netD(real), True) + self.criterionGAN(netD(fake.detach()), False)) * 0.5
        loss.backward()
        return loss


class OwnD(OwnBasic):
    def backward_D_A(self):
        fake_B = self.fake_B_pool.query(self.fake_B)
        self.loss_D_A = self.backward_D_basic(self.netD_A, self.real_B, fake_B)


@pytest.mark.parametrize("model_class", [OwnBasic, OwnD])
def test_overrides_of_cycle_gan_that_call_backward_give_the_same_training(monkeypatch, model_class):
    assert_equal(*(trained(monkeypatch, "cycle_gan", each) for each in (CycleGANModel, model_class)), atol=1e-9)


def step_of_cycle_gan(self):
    self.forward()
    self.set_requires_grad([self.netD_A, self.netD_B], False)
    self.optimizer_G.zero_grad()
    self.backward_G()
    self.optimizer_G.step()
    self.set_requires_grad([self.netD_A, self.netD_B], True)
    self.optimizer_D.zero_grad()
    self.backward_D_A()
    self.backward_D_B()
    self.optimizer_D.step()


def step_of_cut(self):
    self.forward()
    self.set_requires_grad(self.netD, True)
    self.optimizer_D.zero_grad()
    self.loss_D = self.compute_D_loss()
    self.loss_D.backward()
    self.optimizer_D.step()
    self.set_requires_grad(self.netD, False)
    self.optimizer_G.zero_grad()
    if self.opt.netF == "mlp_sample":
        self.optimizer_F.zero_grad()
    self.loss_G = self.compute_G_loss()
    self.loss_G.backward()
    self.optimizer_G.step()
    if self.opt.netF == "mlp_sample":
        self.optimizer_F.step()


def step_of_dclgan(self):
    self.forward()
    self.set_requires_grad([self.netD_A, self.netD_B], True)
    self.optimizer_D.zero_grad()
    self.backward_D_A()
    self.backward_D_B()
    self.optimizer_D.step()
    self.set_requires_grad([self.netD_A, self.netD_B], False)
    self.optimizer_G.zero_grad()
    self.optimizer_F.zero_grad()
    self.loss_G = self.compute_G_loss()
    self.loss_G.backward()
    self.optimizer_G.step()
    self.optimizer_F.step()


STEPS = [
    ("cycle_gan", CycleGANModel, step_of_cycle_gan),
    ("cut", CUTModel, step_of_cut),
    ("dclgan", DCLGANModel, step_of_dclgan),
    ("simdcl", SimDCLModel, step_of_dclgan),
]


@pytest.mark.parametrize(("name", "model_class", "step"), STEPS, ids=[name for name, _, _ in STEPS])
def test_an_optimize_parameters_of_the_original_programs_gives_the_same_training(monkeypatch, name, model_class, step):
    own = type("Model", (model_class,), {"optimize_parameters": step})
    assert_equal(*(trained(monkeypatch, name, each) for each in (model_class, own)), atol=1e-9)


CALLED = [
    ("template", TemplateModel, "backward"),
    ("pix2pix", Pix2PixModel, "backward_D"),
    ("pix2pix", Pix2PixModel, "backward_G"),
    ("cycle_gan", CycleGANModel, "backward_G"),
    ("cycle_gan", CycleGANModel, "backward_D_A"),
    ("cycle_gan", CycleGANModel, "backward_D_B"),
    ("cycle_gan", CycleGANModel, "backward_D_basic"),
    ("cut", CUTModel, "compute_D_loss"),
    ("cut", CUTModel, "compute_G_loss"),
    ("cut", CUTModel, "calculate_NCE_loss"),
    ("dclgan", DCLGANModel, "compute_G_loss"),
    ("dclgan", DCLGANModel, "calculate_NCE_loss1"),
    ("dclgan", DCLGANModel, "calculate_NCE_loss2"),
    ("dclgan", DCLGANModel, "backward_D_A"),
    ("dclgan", DCLGANModel, "backward_D_B"),
    ("dclgan", DCLGANModel, "backward_D_basic"),
    ("simdcl", SimDCLModel, "compute_G_loss"),
    ("simdcl", SimDCLModel, "calculate_Sim_loss_all"),
]


@pytest.mark.parametrize(
    ("name", "model_class", "method"), CALLED, ids=[f"{name} {method}" for name, _, method in CALLED]
)
def test_each_loss_method_of_a_subclass_is_called(monkeypatch, name, model_class, method):
    calls = []

    def override(self, *args):
        calls.append(method)
        return getattr(model_class, method)(self, *args)

    trained(monkeypatch, name, type("Model", (model_class,), {method: override}), count=1)
    assert calls


CRITERIA = [
    ("template", ["criterionLoss"]),
    ("pix2pix", ["criterionGAN", "criterionL1"]),
    ("cycle_gan", ["criterionGAN", "criterionCycle", "criterionIdt"]),
    ("cut", ["criterionGAN"]),
    ("dclgan", ["criterionGAN", "criterionIdt"]),
    ("simdcl", ["criterionSim"]),
]


@pytest.mark.parametrize(("name", "criteria"), CRITERIA, ids=[name for name, _ in CRITERIA])
def test_a_replaced_criterion_is_used(name, criteria):
    model, called = build(EQUAL[name], 1), set()
    for attribute in criteria:
        original = getattr(model, attribute)
        setattr(model, attribute, lambda *args, a=attribute, o=original: called.add(a) or o(*args))
    steps(model, slice(None), 1, count=1)
    assert called == set(criteria)


@pytest.mark.parametrize("mode", ["lsgan", "vanilla", "hinge"])
def test_a_loss_set_in_the_adversarial_criterion_is_used(monkeypatch, mode):
    class L1(torch.nn.Module):
        def forward(self, prediction, label):
            return (prediction - label).abs().mean()

    class Own(Pix2PixModel):
        def __init__(self, opt):
            super().__init__(opt)
            self.criterionGAN.loss = L1()

    model = trained(monkeypatch, "pix2pix", Own, "--gan_mode", mode, count=1)
    pred_real = model.netD(torch.cat((model.real_A, model.real_B), 1))
    assert model.criterionGAN(pred_real, True) == (pred_real - 1).abs().mean()


def test_a_block_of_a_subclass_is_built_by_its_own_method(monkeypatch):
    class Plain(networks.ResnetBlock):
        def build_conv_block(self, dim, padding_type, norm_layer, use_dropout, use_bias):
            return torch.nn.Conv2d(dim, dim, 1)

    assert isinstance(Plain(4, "reflect", torch.nn.BatchNorm2d, False, True).conv_block, torch.nn.Conv2d)
    monkeypatch.setattr(networks.ResnetBlock, "build_conv_block", Plain.build_conv_block)
    blocks = [m for m in networks.define_G(3, 3, 4, "resnet_6blocks").modules() if isinstance(m, networks.ResnetBlock)]
    assert len(blocks) == 6 and all(isinstance(block.conv_block, torch.nn.Conv2d) for block in blocks)


def test_lab2rgb_of_a_subclass_of_colorization_is_shown(monkeypatch):
    class Gray(ColorizationModel):
        def lab2rgb(self, L, AB):
            return np.full((8, 8, 3), 128.0)

    monkeypatch.setattr(models, "find_model_using_name", lambda _: Gray)
    words = ["--model", "colorization", "--netG", "resnet_4blocks", "--ngf", "4", "--ndf", "4", "--name", "cases"]
    model = build(words, 1)
    model.real_A, model.real_B = torch.zeros(1, 1, 8, 8), torch.zeros(1, 2, 8, 8)
    model.fake_B = model.real_B
    model.compute_visuals()
    assert (model.get_current_visuals()["fake_B_rgb"] == 128).all()


def test_a_replaced_optimizer_that_is_not_in_the_list_is_refused(monkeypatch):
    class Own(Pix2PixModel):
        def __init__(self, opt):
            super().__init__(opt)
            self.optimizer_G = torch.optim.SGD(self.netG.parameters(), lr=0.1)

    with pytest.raises(InputError, match="Own: optimizer_G is not in self.optimizers: put it there in the place of"):
        trained(monkeypatch, "pix2pix", Own)


class NCEInOldStyle(CUTModel):
    def calculate_NCE_loss(self, src, tgt):
        feat_q = self.netG(tgt, self.nce_layers, encode_only=True)
        if self.opt.flip_equivariance and self.flipped_for_equivariance:
            feat_q = [torch.flip(fq, [3]) for fq in feat_q]
        feat_k = self.netG(src, self.nce_layers, encode_only=True)
        feat_k_pool, sample_ids = self.netF(feat_k, self.opt.num_patches, None)
        feat_q_pool, _ = self.netF(feat_q, self.opt.num_patches, sample_ids)
        total = 0.0
        for f_q, f_k, crit, _ in zip(feat_q_pool, feat_k_pool, self.criterionNCE, self.nce_layers):
            total += (crit(f_q, f_k) * self.opt.lambda_NCE).mean()
        return total / len(self.nce_layers)


def test_a_calculate_NCE_loss_of_the_original_program_gives_the_same_training(monkeypatch):
    assert_equal(*(trained(monkeypatch, "cut", each) for each in (CUTModel, NCEInOldStyle)), atol=1e-6)


def test_a_loss_function_without_a_scalar_loss_is_refused():
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(InputError, match="gives no loss"):
        loss_of(lambda: None)
    with pytest.raises(InputError, match="scalar loss"):
        loss_of(lambda: x.backward())
    backward = torch.Tensor.backward
    with pytest.raises(ZeroDivisionError):
        loss_of(lambda: 1 / 0)
    assert torch.Tensor.backward is backward


def test_a_plug_in_without_translate_translates_by_its_forward(monkeypatch):
    class Plain(Pix2PixModel):
        translate = BaseModel.translate

    monkeypatch.setattr(models, "find_model_using_name", lambda _: Plain)
    model = build(EQUAL["pix2pix"], 1)
    images = batch(1, 2, torch.float64)["A"]
    made = model.translate(images)
    assert list(made) == ["fake_B"] and torch.equal(made["fake_B"], model.netG(images))
    with pytest.raises(InputError, match="takes images only, not style"):
        model.translate(images, style=1)
