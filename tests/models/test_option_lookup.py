"""The source of a model's flags: models/flags.py, or the class of a user's file."""

import sys
from pathlib import Path

import pytest

import models
from models import flags
from models.base_model import BaseModel
from options.parser import OptionParser
from util.factory import takes_flags_from_table

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
EXTENDED = """
    @staticmethod
    def modify_commandline_options(parser, is_train=True):
        parser = flags.pix2pix(parser, is_train)
        parser.add_argument("--my_own", default=3)
        return parser
"""


@pytest.fixture
def in_front(tmp_path, monkeypatch):
    """in_front(name, source): a user's file that precedes the built-in file of the same name during a test."""
    names = ["pix2pix_model", "colorization_model"]
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
def test_the_setter_of_a_model_is_the_method_of_its_class(name):
    assert models.get_option_setter(name) is models.find_model_using_name(name).modify_commandline_options


def test_all_built_in_models_except_the_template_take_their_flags_from_models_flags():
    for name in models.BUILT_IN:
        assert takes_flags_from_table("models", name, "model") == (name != "template") == (name in flags.BY_NAME)
    assert not takes_flags_from_table("models", "no_such", "model")


def test_a_users_file_before_the_built_in_one_declares_its_own_flags(in_front):
    in_front("pix2pix_model", PAGE.format(body=ITS_OWN))
    assert flags_of("pix2pix") == {"my_own"}
    assert flags_of("colorization") == {"my_own"}  # its flags extend those of pix2pix, like its class
    assert "lambda_A" in flags_of("cycle_gan")


def test_a_users_file_before_the_built_in_one_without_flags_has_none(in_front):
    in_front("pix2pix_model", PAGE.format(body=""))
    assert models.get_option_setter("pix2pix") is BaseModel.modify_commandline_options


OURS = Path(flags.__file__).parent / "pix2pix_model.py"
LINE = "    modify_commandline_options = staticmethod(flags.pix2pix)\n"


def test_a_copy_of_a_built_in_file_takes_its_flags_from_models_flags(in_front):
    in_front("pix2pix_model", OURS.read_text())
    assert models.get_option_setter("pix2pix") is flags.pix2pix


def test_a_built_in_file_edited_to_define_flags_declares_them_itself(in_front):
    source = OURS.read_text()
    assert LINE in source
    in_front("pix2pix_model", source.replace(LINE, ITS_OWN))
    assert flags_of("pix2pix") == {"my_own"}


def test_a_built_in_file_edited_to_extend_flags_declares_them_itself(in_front):
    in_front("pix2pix_model", OURS.read_text().replace(LINE, EXTENDED))
    assert {"my_own", "lambda_L1"} <= flags_of("pix2pix")


def test_the_last_class_of_the_name_declares_the_flags(in_front):
    again = "class pix2pixMODEL(Pix2PixModel):" + ITS_OWN
    in_front("pix2pix_model", OURS.read_text() + "\n\n" + again)
    assert flags_of("pix2pix") == {"my_own"}


def test_a_file_that_mentions_the_line_in_a_docstring_declares_its_own_flags(in_front):
    in_front("pix2pix_model", PAGE.format(body=f'"""{LINE}"""' + ITS_OWN))
    assert flags_of("pix2pix") == {"my_own"}


def test_a_syntax_error_in_a_users_file_is_raised(in_front):
    in_front("pix2pix_model", "class Pix2PixModel(:")
    with pytest.raises(SyntaxError):
        models.get_option_setter("pix2pix")


def test_an_alias_has_the_flags_of_its_model():
    assert models.get_option_setter("dcl") is models.get_option_setter("dclgan")
