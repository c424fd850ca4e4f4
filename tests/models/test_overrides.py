"""Overrides in a subclass of a built-in model: those with other arguments are refused, unused ones are reported."""

import pytest
import torch
from distributed.cases import EQUAL, build

import models
from models.pix2pix_model import Pix2PixModel
from models.simdcl_model import SimDCLModel
from util.errors import InputError


def create(monkeypatch, name, model_class):
    monkeypatch.setattr(models, "find_model_using_name", lambda _: model_class)
    return build(EQUAL[name], 1)


def test_an_override_with_other_arguments_is_refused_at_creation(monkeypatch):
    class Mine(SimDCLModel):
        def calculate_Sim_loss_all(self, feat_realA, feat_fakeB, feat_realB, feat_fakeA):  # as in the original program
            return 0.0

    with pytest.raises(
        InputError, match=r"Mine.calculate_Sim_loss_all\(\): SimDCLModel calls it as calculate_Sim_loss_all"
    ):
        create(monkeypatch, "simdcl", Mine)


def test_losses_and_criteria_that_nothing_uses_are_printed(monkeypatch, capsys):
    class Mine(Pix2PixModel):
        def __init__(self, opt):
            super().__init__(opt)
            self.criterionCycle = torch.nn.L1Loss()
            self.criterionUsed = torch.nn.L1Loss()

        def backward_D_A(self):
            raise AssertionError

        def backward_extra(self):
            return self.criterionUsed(self.fake_B, self.real_B)

        def backward_G(self):
            return super().backward_G() + self.backward_extra()

    create(monkeypatch, "pix2pix", Mine)
    printed = capsys.readouterr().out
    called = "The optimize_parameters() of Pix2PixModel calls backward_D, backward_G"
    for name in ("backward_D_A", "criterionCycle"):
        assert f"Mine: nothing uses {name}. {called}" in printed
    assert printed.count("nothing uses") == 2


def test_overrides_that_the_model_calls_print_nothing(monkeypatch, capsys):
    class Mine(Pix2PixModel):
        def backward_D(self):
            return super().backward_D()

        def backward_G(self):
            return super().backward_G()

    create(monkeypatch, "pix2pix", Mine)
    assert "nothing uses" not in capsys.readouterr().out
