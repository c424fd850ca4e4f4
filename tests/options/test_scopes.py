"""Scopes of flags decide what a test and a continued run restore, and what processes share."""

import argparse

import pytest

import data
import models
from options.parser import OptionParser
from options.test_options import TestOptions
from options.train_options import TrainOptions
from util.flags import SCOPES, SWITCH, Int, declaration, declare

NETWORK = set(
    "model netG netD ngf ndf n_layers_D num_D norm normG normD no_dropout no_antialias no_antialias_up "
    "input_nc output_nc c_dim c2_dim selected_attrs domains g_conv_dim g_repeat_num d_conv_dim d_repeat_num "
    "stylegan2_G_num_downsampling stylegan2_size D_patch_size spectral_norm".split()
)
NOT_RESTORED = set(
    "config name checkpoints_dir dataroot suffix easy_label device gpu_ids verbose epoch load_iter phase num_threads "
    "batch_size drop_last serial_batches no_flip load_size max_dataset_size display_winsize "
    "use_wandb use_tensorboard wandb_project_name skip_bad_images "
    "pairs attr_path celeba_image_dir rafd_image_dir precision compile channels_last "
    "metric_weights perceptual_weights judge".split()
)
NOT_RESUMED = set(
    "config name checkpoints_dir suffix device gpu_ids verbose epoch load_iter continue_train overwrite max_time "
    "pretrained_name init_from".split()
)
MAY_DIFFER = set(
    "device gpu_ids dataroot checkpoints_dir num_threads pairs attr_path celeba_image_dir rafd_image_dir "
    "metric_weights perceptual_weights judge".split()
)

LABELLED = ("celeba", "labelled_folders", "celeba_and_folders")
CHOICES = [*((model, None) for model in models.BUILT_IN), *((None, mode) for mode in data.BUILT_IN)]
CHOICES += [("stargan", mode) for mode in LABELLED]


def parser_of(options, model=None, mode=None):
    """The parser with the flags of a model and of a data set."""
    parser = options([]).initialize(OptionParser([]))
    is_train = options is TrainOptions
    if model:
        models.get_option_setter(model)(parser, is_train)
    if mode in LABELLED and model is None:  # these double the number of a model's iterations
        parser.set_defaults(n_iters=0, n_iters_decay=0)
    if mode:
        data.get_option_setter(mode)(parser, is_train)
    return parser


def parsers(options):
    for model, mode in CHOICES:
        if (options, model) != (TrainOptions, "test"):
            yield parser_of(options, model, mode)


@pytest.mark.parametrize("options", [TrainOptions, TestOptions])
def test_every_built_in_flag_declares_its_scope(options, monkeypatch):
    undeclared = []
    add = OptionParser.add_argument

    def add_argument(self, *names, **settings):
        if "scope" not in settings:
            undeclared.append(names)
        return add(self, *names, **settings)

    monkeypatch.setattr(OptionParser, "add_argument", add_argument)
    names = set().union(*(parser.names() for parser in parsers(options)))
    assert len(names) > 70
    assert {name for own in undeclared for name in own} <= {"--lambda_regression", "--new_dataset_option"}  # templates


def test_the_flags_that_a_test_restores_are_frozen():
    """From the flags of training, since the stored options are those of a trained run."""
    trained = set().union(*(parser.names() for parser in parsers(TrainOptions)))
    for parser in parsers(TestOptions):
        restored = set(parser.names_with(TestOptions([]).takes_over))
        assert restored & trained == (parser.names() & trained) - NOT_RESTORED


def test_the_flags_that_a_continued_run_restores_are_frozen():
    for parser in parsers(TrainOptions):
        assert set(parser.names_with(TrainOptions([]).takes_over)) == parser.names() - NOT_RESUMED


@pytest.mark.parametrize("options", [TrainOptions, TestOptions])
def test_the_flags_that_a_test_must_repeat_are_frozen(options):
    for parser in parsers(options):
        assert set(parser.names_with(lambda flag: flag.scope == "network")) == parser.names() & NETWORK


def test_the_flags_that_may_differ_between_processes_are_frozen():
    for parser in parsers(TrainOptions):
        assert parser.may_differ() == parser.names() & MAY_DIFFER


def test_a_flag_of_a_plug_in_is_a_flag_of_training_and_may_have_another_scope():
    parser = OptionParser([])
    parser.add_argument("--plain")
    parser.add_argument("--width", type=Int(1), scope="network")
    parser.add_argument_group("own").add_argument("--grouped")
    assert [parser.declaration_of(name).scope for name in ("plain", "width", "grouped")] == [
        "training",
        "network",
        "training",
    ]
    with pytest.raises(ValueError, match=r"scope 'nets'.*network"):
        parser.add_argument("--odd", scope="nets")


def test_a_flag_that_is_defined_again_keeps_its_scope():
    parser = parser_of(TrainOptions)
    parser.add_argument("--netG", default="mine")
    parser.add_argument("--checkpoints_dir", default="elsewhere")
    assert parser.declaration_of("netG").scope == "network"
    assert "checkpoints_dir" in parser.may_differ()


def test_exceptions_from_a_scope_are_declared_at_the_flag():
    own = declaration("data", restore=False)
    assert (own.restored, own.resumed, own.shared) == (False, *SCOPES["data"][1:])
    assert declaration("machine", resume=True).resumed


def test_a_plain_argument_parser_takes_the_flags_without_scopes():
    parser = argparse.ArgumentParser()
    declare(parser, scope="data")("--flag", **SWITCH, default=False, resume=True)
    assert parser.parse_args(["--flag"]).flag is True
    assert models.get_option_setter("pix2pix")(parser, True).parse_args([]).lambda_L1 == 100
