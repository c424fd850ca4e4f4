"""BaseModel: the update step, the two domains of a batch, --accumulate, and what the training loop reads."""

import pytest
import torch
from distributed import cases
from small_models import options

from models.base_model import BaseModel
from util.errors import InputError


class Tiny(BaseModel):
    """A generator and a discriminator of one convolution each, trained by plain gradient descent."""

    generator_names = ("G",)

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names = ["G", "D/loss_real"]
        self.visual_names = ["real_A", "fake_B", "real_B"]
        self.model_names = ["G", "D"]
        self.netG, self.netD = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 1, 1)
        if self.isTrain:
            self.optimizer_G, self.optimizer_D = (torch.optim.SGD(n.parameters(), 0.5) for n in (self.netG, self.netD))
            self.optimizers = [self.optimizer_G, self.optimizer_D]

    def set_input(self, input):
        self.real_A, self.real_B = self.sides(input)

    def forward(self):
        self.fake_B = self.netG(self.real_A)

    def backward_G(self):
        self.loss_G = (self.netD(self.fake_B) - 1).square().mean()
        return self.loss_G

    def optimize_parameters(self):
        self.run_forward()
        self.step([self.optimizer_G], self.backward_G, frozen=[self.netD])


def batch(images=2):
    generator = torch.Generator().manual_seed(0)
    sides = {side: torch.rand(images, 3, 4, 4, generator=generator) for side in "AB"}
    return {**sides, "A_paths": ["a"] * images, "B_paths": ["b"] * images}


def make(folder, *words, fed=True):
    torch.manual_seed(0)
    model = Tiny(options(folder, "--model", "template", *words))
    if fed:
        model.set_input(batch())
        model.forward()
    return model


def copies(net):
    return [parameter.detach().clone() for parameter in net.parameters()]


def same(net, before):
    return all(torch.equal(now, then) for now, then in zip(net.parameters(), before))


# --- step() ----------------------------------------------------------------------------------------------------------


def test_a_step_is_gradient_descent_on_the_loss_for_the_parameters_of_its_optimizer(tmp_path):
    model = make(tmp_path)
    before, of_D = copies(model.netG), copies(model.netD)
    gradients = torch.autograd.grad(model.backward_G(), list(model.netG.parameters()), retain_graph=True)
    model.step([model.optimizer_G], model.backward_G, frozen=[model.netD])
    for now, then, gradient in zip(model.netG.parameters(), before, gradients):
        torch.testing.assert_close(now, then - 0.5 * gradient)
    assert same(model.netD, of_D)


def test_a_frozen_network_passes_gradients_on_but_gets_none_and_learns_again_afterwards(tmp_path):
    model = make(tmp_path)
    before = copies(model.netG)
    model.step([model.optimizer_G], model.backward_G, frozen=[model.netD, None])
    assert not same(model.netG, before)
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.netD.parameters())


def test_a_step_starts_without_the_gradients_of_earlier_backward_passes(tmp_path):
    model, other = make(tmp_path), make(tmp_path)
    (1000 * model.netG(model.real_A).sum()).backward(retain_graph=True)
    for each in (model, other):
        each.step([each.optimizer_G], each.backward_G)
    assert same(model.netG, copies(other.netG))


def test_losses_of_several_functions_are_summed_and_an_optimizer_that_is_none_is_skipped(tmp_path):
    model, other = make(tmp_path), make(tmp_path)
    model.step([None, model.optimizer_G], [model.backward_G, lambda: 3 * model.fake_B.mean()])
    other.step([other.optimizer_G], lambda: other.backward_G() + 3 * other.fake_B.mean())
    for one, two in zip(model.netG.parameters(), other.netG.parameters()):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_changes_no_parameter(tmp_path, bad):
    model = make(tmp_path)
    before = copies(model.netG), copies(model.netD)
    model.step([model.optimizer_G, model.optimizer_D], lambda: model.backward_G() * bad)
    assert same(model.netG, before[0]) and same(model.netD, before[1])
    [(_, skipped)] = model._updates.take()
    assert skipped == 1
    model.forward()
    model.step([model.optimizer_G], model.backward_G)
    assert not same(model.netG, before[0])


# --- sides() ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "source", "target"), [("AtoB", "A", "B"), ("BtoA", "B", "A")])
def test_the_direction_selects_the_source(tmp_path, direction, source, target):
    model, data = make(tmp_path, "--direction", direction), batch()
    assert torch.equal(model.real_A, data[source]) and torch.equal(model.real_B, data[target])
    assert model.image_paths == data[f"{source}_paths"]


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_images_of_a_plain_folder_are_the_source(tmp_path, direction):
    model = make(tmp_path, "--direction", direction, fed=False)
    model.opt.dataset_mode = "single"
    images = batch()["A"]
    real_A, real_B = model.sides({"A": images, "A_paths": ["x", "y"]})
    assert torch.equal(real_A, images) and real_B is None
    assert model.image_paths == ["x", "y"]


def test_a_domain_that_a_test_lacks_is_none(tmp_path):
    model, data = make(tmp_path, fed=False), batch()
    real_A, real_B = model.sides({"B": data["B"], "B_paths": data["B_paths"]})
    assert real_A is None and torch.equal(real_B, data["B"])
    assert model.image_paths == data["B_paths"]


# --- --accumulate ----------------------------------------------------------------------------------------------------


def test_accumulate_gives_the_step_of_the_whole_batch(tmp_path):
    whole, parts = make(tmp_path, fed=False), make(tmp_path, fed=False)
    parts.opt.accumulate = 2
    for model in (whole, parts):
        model.set_input(batch(2))
        model.optimize_parameters()
    for one, two in zip(whole.netG.parameters(), parts.netG.parameters()):
        torch.testing.assert_close(one, two)
    assert parts.loss_G.item() == pytest.approx(whole.loss_G.item())


def test_accumulate_is_refused_for_a_set_input_that_does_not_keep_the_batch(tmp_path):
    class Forgetful(Tiny):
        def set_input(self, input):
            self.real_A = input["A"]

    model = Forgetful(options(tmp_path, "--model", "template"))
    model.opt.accumulate = 2
    model.set_input(batch())
    with pytest.raises(
        InputError, match=r"--accumulate: set_input\(\) of Forgetful must call self.keep_batch\(input\)"
    ):
        model.optimize_parameters()


# --- what the training loop reads ------------------------------------------------------------------------------------


def test_losses_are_numbers_in_the_order_of_their_names(tmp_path):
    model = make(tmp_path)
    model.loss_G, model.loss_D_loss_real = torch.tensor(2.5, requires_grad=True), 0
    assert list(model.get_current_losses().items()) == [("G", 2.5), ("D/loss_real", 0.0)]


def test_visuals_without_an_image_are_left_out_at_test_only(tmp_path):
    model = make(tmp_path)
    model.real_B = None
    assert list(model.get_current_visuals()) == ["real_A", "fake_B", "real_B"]
    model.isTrain = False
    assert list(model.get_current_visuals()) == ["real_A", "fake_B"]


def test_plateau_steps_only_after_an_evaluation(tmp_path):
    model, metrics = make(tmp_path), []

    class Scheduler:
        step = staticmethod(metrics.append)

    model.opt.lr_policy, model.schedulers = "plateau", [Scheduler()]
    for model.metric in (0.5, None, 0.4):
        model.update_learning_rate()
    assert metrics == [0.5, 0.4]


def test_a_learning_rate_that_changes_is_printed(tmp_path, capsys):
    model = make(tmp_path)
    model.schedulers = [torch.optim.lr_scheduler.StepLR(model.optimizer_G, 2, gamma=0.1)]
    capsys.readouterr()
    for _ in range(2):
        model.optimizer_G.step()
        model.update_learning_rate()
    assert capsys.readouterr().out == "learning rate 0.5000000 -> 0.0500000\n"


# --- translate() -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["template", "pix2pix", "cycle_gan", "cut", "fastcut", "dclgan", "simdcl"])
def test_translate_of_each_model_needs_no_set_input_and_changes_no_attribute(name):
    model = cases.build([*cases.EQUAL[name], "--name", "cases"], 1)
    images = cases.batch(1, 2, torch.float64)["A"]
    before = dict(vars(model))
    made = model.translate(images)
    assert vars(model).keys() == before.keys() and all(vars(model)[key] is value for key, value in before.items())
    [(label, image)] = made.items()
    net = getattr(model, "net" + model.generator_names[0])
    assert label in model.visual_names and torch.equal(image, net(images))
