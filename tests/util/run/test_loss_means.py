"""Mean losses between two printed lines: weighted by images, kept on the device until they are read."""

import math

import pytest
import torch

from models.base_model import BaseModel
from util.run.loss_means import Averages


class Model(BaseModel):
    def __init__(self):
        self.loss_names, self.device = ["G", "D/real", "idt"], torch.device("cpu")

    def set_input(self, input): ...
    def forward(self): ...
    def optimize_parameters(self): ...


def test_means_are_weighted_by_images():
    model = Model()
    averages = Averages(model)
    for value, images in ((1.0, 1), (4.0, 2)):
        model.loss_G, model.loss_D_real, model.loss_idt = torch.tensor(value), torch.tensor(-value), 0.5
        averages.add(images)
    assert averages.take() == {"G": 3.0, "D/real": -3.0, "idt": 0.5}
    averages.add(1)
    assert averages.take()["G"] == 4.0, "it starts anew after every point"


def test_the_mean_of_one_step_is_its_loss():
    model, value = Model(), torch.tensor(0.1)
    model.loss_G, model.loss_D_real, model.loss_idt = value, value, 0.0
    averages = Averages(model)
    averages.add(1)
    assert averages.take()["G"] == float(value)


def test_a_term_that_appears_later_is_averaged_from_then_on():
    model = Model()
    averages = Averages(model)
    model.loss_names = ["G"]
    model.loss_G = torch.tensor(1.0)
    averages.add(1)
    model.loss_names, model.loss_idt = ["G", "idt"], torch.tensor(8.0)
    averages.add(1)
    assert averages.take() == {"G": 1.0, "idt": 8.0}


def test_the_error_names_a_missing_loss():
    model = Model()
    model.loss_G = torch.tensor(1.0)
    averages = Averages(model)
    averages.add(1)
    with pytest.raises(AttributeError, match="loss_D_real"):
        averages.take()


def test_a_loss_on_another_device_is_read_as_a_number():
    model = Model()
    model.device = torch.device("meta")
    model.loss_names, model.loss_G = ["G"], torch.tensor(2.0)
    averages = Averages(model)
    averages.add(3)
    assert averages.take() == {"G": 2.0}


def test_an_overridden_get_current_losses_is_used():
    class Own(Model):
        def get_current_losses(self):
            return {"mine": 7.0}

    averages = Averages(Own())
    averages.add(1)
    assert averages.take() == {"mine": 7.0}


def test_unfinished_sums_can_be_saved():
    model = Model()
    model.loss_G, model.loss_D_real, model.loss_idt = torch.tensor(0.1), torch.tensor(0.3), 0.7
    straight, broken = Averages(model), Averages(model)
    for averages in (straight, broken):
        averages.add(1)
    resumed = Averages(model)
    resumed.load_state_dict(broken.state_dict())
    for averages in (straight, resumed):
        averages.add(2)
    assert straight.take() == resumed.take()


def test_a_non_finite_loss_makes_the_mean_non_finite():
    model = Model()
    model.loss_G, model.loss_D_real, model.loss_idt = torch.tensor(float("nan")), torch.tensor(1.0), 0
    averages = Averages(model)
    averages.add(1)
    assert math.isnan(averages.take()["G"])
