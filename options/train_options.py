"""The options of a training."""

import argparse
import os
from typing import Any

from options import checks, flags, saved
from options.base_options import BaseOptions
from options.parser import OptionParser
from options.test_options import OptionsInTraining
from options.training_flags import LR_SCALES
from util.errors import InputError, nearest
from util.flags import Declaration
from util.metrics.table import METRICS, followed
from util.processes import distributed
from util.run import folder as run_folder

OTHER_DEFAULTS = "the default of CUT's program was --model cut, that of DCLGAN's --model dclgan"
RATES = ("lr", "lr_G", "lr_D", "lr_F", "g_lr", "d_lr")  # the flags that --scale_lr multiplies


class TrainOptions(BaseOptions):
    def initialize(self, parser: OptionParser) -> OptionParser:
        parser = super().initialize(parser)
        flags.add_training(parser)
        self.isTrain = True
        return parser

    def restore(self, parser: OptionParser) -> dict[str, Any]:
        """With --continue_train the options of the run are the defaults, so that no flag has to be repeated."""
        opt = parser.parse_known_args()[0]
        self.restarted = is_restarted(opt)
        self.trained = saved.read(parser) if opt.continue_train or self.restarted else None
        return saved.given_values(self.trained) if self.trained else {}

    def takes_over(self, flag: Declaration) -> bool:
        return flag.resumed

    def of_test(self, opt: argparse.Namespace) -> argparse.Namespace:
        """The options of an evaluation during this training, whose options are `opt`."""
        return OptionsInTraining(opt).parse()

    def finish(self, opt: argparse.Namespace, given: set[str]) -> None:
        super().finish(opt, given)
        if self.restarted:
            print("the launcher has restarted the run: it continues from the last checkpoint")
            opt.continue_train, opt.overwrite, opt.init_from, opt.pretrained_name = True, False, None, None
        self.as_given = scale_rates(opt)
        set_length(opt, given)
        if opt.lr_policy == "plateau" and opt.eval_metrics is not None:
            opt.plateau_mode = plateau_mode(opt)
        opt.name = checks.full_name(opt)
        checks.check_name(opt.name)
        folder = os.path.join(opt.checkpoints_dir, opt.name)
        checks.check_start(opt)
        if opt.continue_train:
            checks.check_against_trained(opt, given, self.trained, self.parser)
            if self.trained and "epoch_count" in given and run_folder.states(folder):
                opt.epoch_count = self.trained["epoch_count"]
                print("--epoch_count: ignored, because the checkpoint holds the position of the run")
        elif run_folder.checkpoints(folder) and not opt.overwrite:
            raise InputError(
                f"--name {opt.name}: {folder} holds checkpoints; continue them with --continue_train, delete them with "
                "--overwrite, or choose another name"
            )

    def check_runs(self, opt: argparse.Namespace) -> None:
        if opt.continue_train:
            checks.check_run_exists(opt, opt.pretrained_name or opt.name, self.trained)

    def print_options(self, opt: argparse.Namespace) -> None:
        super().print_options(opt)
        if not self.trained and "model" not in self.parser.given():
            print(f"no --model given: the model is {opt.model} ({OTHER_DEFAULTS})")


def is_restarted(opt: argparse.Namespace) -> bool:
    """Whether the launcher has restarted a run (torchrun --max_restarts) that has checkpoints."""
    if not distributed.restarted():
        return False
    return distributed.value_of_rank0(bool(run_folder.states(os.path.join(opt.checkpoints_dir, checks.full_name(opt)))))


def scale_rates(opt: argparse.Namespace) -> dict[str, float]:
    """Multiply the learning rates by the factor of --scale_lr; returns the former rates."""
    if opt.scale_lr not in LR_SCALES:
        hint = nearest(opt.scale_lr, LR_SCALES)
        raise InputError(f"--scale_lr {opt.scale_lr}: choose {', '.join(LR_SCALES)};{hint}".rstrip(";"))
    opt.lr_scale = LR_SCALES[opt.scale_lr](distributed.step_size(opt) / opt.batch_size)
    rates = {name: getattr(opt, name) for name in RATES if isinstance(getattr(opt, name, None), int | float)}
    for name, rate in rates.items():
        setattr(opt, name, rate * opt.lr_scale)
    return rates


def plateau_mode(opt: argparse.Namespace) -> str:
    """Return "max" or "min": whether larger or smaller values of the metric of --lr_policy plateau are better."""
    return "max" if METRICS[followed(opt)].higher else "min"


def set_length(opt: argparse.Namespace, given: set[str]) -> None:
    """Set the length of the run in epochs or in iterations: by the given flags, otherwise by the model's defaults."""
    epochs, iterations = (sorted(given & {name, f"{name}_decay"}) for name in ("n_epochs", "n_iters"))
    if epochs and iterations:
        raise InputError(
            f"--{epochs[0]}, --{iterations[0]}: a run has a length in epochs or iterations; give one of them"
        )
    if epochs:
        opt.n_iters = opt.n_iters_decay = 0
    if opt.n_iters + opt.n_iters_decay and opt.epoch_count > 1:
        raise InputError(
            f"--epoch_count {opt.epoch_count}: the length of this run is in iterations (--n_iters); leave the flag out"
        )
    if opt.lr_update_step is None:
        opt.lr_update_step = min(1000, max(1, opt.n_iters_decay // 100))
