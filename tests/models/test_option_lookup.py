"""Who is asked for the flags of a model: our own <name>_options.py, or a page that says them itself."""

import sys

import pytest

import models
from models.base_model import BaseModel
from options.parser import OptionParser
from util.factory import find_options

PAGE = """
from models.base_model import BaseModel

class Pix2PixModel(BaseModel):
    {body}
    def set_input(self, input): pass
    def forward(self): pass
    def optimize_parameters(self): pass
"""
ITS_OWN = """
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser.add_argument("--my_own", default=3)
        return parser
"""


@pytest.fixture
def in_front(tmp_path, monkeypatch):
    """in_front(name, source): that file comes before ours of the same name, for the length of a test."""
    names = [f"{name}_{kind}" for name in ("pix2pix", "colorization") for kind in ("model", "options")]
    kept = {name: sys.modules.pop(f"models.{name}", None) for name in names}
    monkeypatch.setattr(models, "__path__", [str(tmp_path), *models.__path__])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield lambda name, source: (tmp_path / f"{name}.py").write_text(source)
    for name, module in kept.items():
        sys.modules.pop(f"models.{name}", None)
        vars(models).pop(name, None)
        if module:
            sys.modules[f"models.{name}"] = module
            setattr(models, name, module)


def flags_of(name):
    return models.get_option_setter(name)(OptionParser([]), True).names()


@pytest.mark.parametrize("name", models.BUILT_IN)
def test_the_flags_are_those_of_the_class(name):
    assert models.get_option_setter(name) is models.find_model_using_name(name).modify_commandline_options


def test_the_template_says_its_flags_in_the_page():
    assert find_options("models", "template", "model") is None
    assert find_options("models", "no_such", "model") is None
    assert find_options("models", "contrast", "model") is None  # flags without a page
    assert find_options("models", "pix2pix", "model") is not None


def test_a_page_put_before_ours_is_asked_itself(in_front):
    in_front("pix2pix_model", PAGE.format(body=ITS_OWN))
    assert flags_of("pix2pix") == {"my_own"}
    assert flags_of("colorization") == {"my_own"}  # derived from it, as its class is
    assert "lambda_A" in flags_of("cycle_gan")


def test_a_page_put_before_ours_without_flags_has_none(in_front):
    in_front("pix2pix_model", PAGE.format(body=""))
    assert models.get_option_setter("pix2pix") is BaseModel.modify_commandline_options


def test_a_page_rewritten_where_it_is_wins_over_the_flags_beside_it(in_front):
    in_front("pix2pix_options", "def add_options(parser, is_train): raise AssertionError('nobody asks')")
    in_front("pix2pix_model", PAGE.format(body=ITS_OWN))
    assert flags_of("pix2pix") == {"my_own"}


def test_an_alias_has_the_flags_of_what_it_stands_for():
    assert models.get_option_setter("dcl") is models.get_option_setter("dclgan")
