"""The contract of a model: its lists of names, its update step, and the methods that training and testing call."""

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Hashable

import torch

from models import fit_out, legacy, networks, schedules, stability
from models.batches import MicroBatches, SharedPasses
from models.builders import NetworksOfModel, naming_unfit_images
from models.legacy import ForOlderPlugins, RunFolder, loss_of, scored_by_name, translate_by_forward
from util.errors import InputError
from util.namespace import framework
from util.numerics.finite import Updates
from util.numerics.precision import Precision
from util.processes import gradients
from util.run import warm_start, weights
from util.util import source_side


class BaseModel(NetworksOfModel, ForOlderPlugins, ABC):
    """Subclass it in models/<name>_model.py as <Name>Model; ``--model <name>`` then finds it.

    ``__init__`` fills four lists, and creates the attributes that they name:

    ========================  =====================================================================================
    ``loss_names``            ``D`` stands for ``self.loss_D``: printed, logged, plotted
    ``visual_names``          ``fake_B`` stands for ``self.fake_B``, (N, C, H, W) in [-1, 1] or an HWC numpy image
    ``model_names``           ``G`` stands for ``self.netG``: moved to the device, saved, loaded, printed
    ``optimizers``            the optimizers themselves: their learning rates are scheduled
    ========================  =====================================================================================

    The class attributes below describe the model to the rest of the program; a model sets those that apply.
    """

    generator_names: tuple[str, ...] = ()  # networks that generate images: ("G",) stands for self.netG
    discriminator_losses: dict[str, tuple[str, ...]] = {}  # discriminator -> its loss_names on real and fake images
    scored_visuals: dict[str, tuple[str, str | None]] = {}  # translation -> (its input, a real image of its domain)
    pool_names: tuple[str, ...] = ()  # attributes that are an ImagePool
    in_parts = False  # True: no loss compares samples of a batch, so --accumulate may split it
    captures: tuple[str, ...] = ()  # for --capture: the tensors of set_input() that a step reads; not inherited

    def __init__(self, opt):
        self.opt = opt
        self._own = own = framework(opt)
        self.isTrain = opt.isTrain
        self.device = opt.device
        self.gpu_ids = opt.gpu_ids
        self.save_dir = RunFolder(os.path.join(opt.checkpoints_dir, opt.name))
        self.loss_names = []
        self.model_names = []
        self.visual_names = []
        self.optimizers, self.schedulers = [], []
        self.image_paths = []
        self.metric = 0  # what --lr_policy plateau follows
        self._flags_read, self._steps_begun = set(), 0  # see models/stability.py; calls of run_forward(), for lazy R1
        self._updates = Updates()
        self._gradient_means = gradients.GradientMeans(compress=getattr(own, "compress_gradients", False))
        self._ema = None  # WeightAverages of the generators, with --ema
        self._precision = Precision(getattr(own, "precision", "fp32"), opt.device)
        self._passes = SharedPasses(getattr(own, "economies", False))
        self._batch = self._micro_batches = None  # of the running step, with --accumulate
        self._decided = None  # what decide() returned ahead of the running step, with --capture

    # --- methods that a model defines ------------------------------------------------------------------------------

    @staticmethod
    def modify_commandline_options(parser, is_train):
        """Add the model's flags, and change defaults with parser.set_defaults. Returns the parser."""
        return parser

    @abstractmethod
    def set_input(self, input):
        """Take a batch from the loader (a dict), move it to ``self.device``, and set ``self.image_paths``."""

    @abstractmethod
    def forward(self):
        """Run the generators, in training and at test; a domain that a test's data lacks is None."""

    @abstractmethod
    def optimize_parameters(self):
        """One training step: forward pass, losses, gradients, updates."""

    def decide(self) -> dict[str, Hashable]:
        """What the host chooses for the next step, by name: the choices that change which operations a step makes.

        A step reads them by decided(). With --capture each combination of choices is a CUDA graph.
        """
        return self.decide_penalties()

    def translate(self, images: torch.Tensor, **condition) -> dict[str, torch.Tensor]:
        """A batch (N, C, H, W) in [-1, 1] -> its translations by name. Needs no set_input() and writes no attribute.

        A model without a translate() of its own is run by set_input() and forward(), which do write attributes.
        """
        if condition:
            raise InputError(f"--model {self.opt.model}: its translate() takes images only, not {', '.join(condition)}")
        return translate_by_forward(self, images)

    def _translation_pairs(self):
        """scored_visuals; for a plug-in without them, the visuals called fake_B and fake_A."""
        return self.scored_visuals or scored_by_name(self.visual_names)

    def data_dependent_initialize(self, data):
        """Called once with the first batch, before setup(): for a model whose networks depend on the data's sizes."""

    def compute_visuals(self):
        """Called before the visuals are read: for images that the training step does not compute."""

    # --- methods that a model calls --------------------------------------------------------------------------------

    def sides(self, input):
        """(real_A, real_B) of a batch, on the device, swapped for --direction BtoA. Sets image_paths.

        At test a domain that the data lacks is None. The images of a plain folder belong to the domain that the test
        translates from, which for a two-sided model may be either; image_paths are those of this domain.
        """
        translated = source_side(self.opt)
        if "B" not in input and self.opt.dataset_mode == "single":
            input = {translated: input["A"], f"{translated}_paths": input["A_paths"]}
        sides = ("A", "B") if self.opt.direction == "AtoB" else ("B", "A")
        other = "B" if translated == "A" else "A"
        self.image_paths = input.get(f"{translated}_paths") or input[f"{other}_paths"]
        moved = {side: input[side].to(self.device, non_blocking=True) for side in sides if side in input}
        self.keep_batch({**input, **moved})
        return tuple(moved.get(side) for side in sides)

    def keep_batch(self, batch: dict) -> None:
        """Called by set_input() or sides(): keep the batch for --accumulate, which passes slices to take_part()."""
        self._batch = batch if getattr(self._own, "accumulate", 1) > 1 else None

    def take_part(self, part: dict) -> None:
        """Set a slice of the kept batch as the model's input."""
        self.set_input(part)

    def batched(self, net, *batches, ahead=None):
        """net(batch) for each batch, and None for None; in one pass where that is exact (--economies).

        `ahead` is a batch for which batched() will be called with the same network later in this step. Where exact, it
        shares the pass of the others, and the later call returns the kept result.
        """
        results = self._passes.run(net, batches, ahead)
        return results if len(results) > 1 else results[0]

    def decided(self, name: str) -> Hashable:
        """A choice of decide(), made ahead of the step with --capture, and otherwise now."""
        return (self.decide() if self._decided is None else self._decided)[name]

    def run_forward(self) -> None:
        """forward(); with --accumulate, step() runs it for each micro-batch instead."""
        self._passes.clear()
        self._steps_begun += 1
        if getattr(self._own, "accumulate", 1) == 1:
            self.forward()
        elif self._batch is None:
            raise InputError(f"--accumulate: set_input() of {type(self).__name__} must call self.keep_batch(input)")
        else:
            self._micro_batches = MicroBatches(self, self._batch)

    def step(self, optimizers, loss_function, frozen=()):
        """One update: freeze, zero gradients, compute the loss, backward, average over processes, step, unfreeze.

        `loss_function()` returns the scalar to minimise over the parameters of `optimizers`, or calls backward() on
        it; the losses of a list of functions are summed. An optimizer that is None is skipped. Networks in `frozen`
        pass gradients on, but get none. If the loss or a gradient is not finite, the optimizers change nothing, and
        --on_nan decides what follows. With several processes, loss and gradients are means over all their images.
        """
        optimizers = [optimizer for optimizer in optimizers if optimizer is not None]
        phase = "+".join(legacy.place_of(optimizer, self) for optimizer in optimizers)
        self.set_requires_grad(frozen, False)
        try:
            for optimizer in optimizers:
                optimizer.zero_grad(set_to_none=True)
            loss = self._backward(phase, optimizers, loss_function)
            self._precision.unscale(phase, optimizers)
            with gradients.averaged():
                parameters, bad = self._updates.apply(loss, optimizers)
            self._updates.note(parameters, self._precision.update(phase, loss, bad))
        finally:  # --capture makes the step again after some errors
            self.set_requires_grad(frozen, True)

    def _backward(self, phase, optimizers, loss_function):
        """Compute the loss and its gradients, over all micro-batches and processes; returns the loss."""
        means = self._gradient_means.of(optimizers)
        total = 0
        for share, last in self._micro_batches.run(optimizers) if self._micro_batches else [(1, True)]:
            with naming_unfit_images(self.image_paths):
                loss = loss_of(loss_function)
            total = total + loss.detach() * share
            if means and last:
                means.arm(total)
            self._precision.scale(phase, loss if share == 1 else loss * share).backward()
        return means.finish(total) if means else total

    # --- methods that train.py and test.py call --------------------------------------------------------------------

    def setup(self, opt):
        """Move the networks to the device, load weights (test, --continue_train, --init_from), create schedulers."""
        opt = framework(opt)
        fit_out.before_loading(self.networks_by_name(), opt, self.device)
        if self.isTrain:
            self.schedulers = [networks.get_scheduler(optimizer, opt) for optimizer in self.optimizers]
            legacy.report_unlisted(self)
        if not self.isTrain or opt.continue_train:
            self._load_weights(opt)
        elif getattr(opt, "init_from", None):
            warm_start.fill(self.networks_by_name(), opt.init_from, weights.tag_of(opt))
        if self.isTrain and getattr(opt, "ema", None):
            self.average_weights(opt.ema)
        self.print_networks(opt.verbose)
        fit_out.after_loading(self.networks_by_name(), opt, self.device, self._precision)
        stability.begin(self)

    def parallelize(self):
        """Called after setup(); the originals wrapped networks here. Ours need no wrapper."""

    def test(self):
        """forward() and compute_visuals() without gradients."""
        with torch.no_grad():
            self.forward()
            self.compute_visuals()

    def get_image_paths(self):
        return self.image_paths

    def update_learning_rate(self):
        """Step the schedulers: after each epoch or, with --n_iters, after every --lr_update_step iterations."""
        schedules.advance(self.schedulers, self.optimizers[0], self._own, self.metric)

    def get_current_visuals(self):
        """Name -> image tensor or array, in the order of visual_names; at test without those that are None."""
        names = [name for name in self.visual_names if isinstance(name, str)]
        if not self.isTrain:
            names = [name for name in names if getattr(self, name, None) is not None]
        return OrderedDict((name, getattr(self, name)) for name in names)

    def get_current_losses(self):
        """Name -> float, in the order of loss_names; ``D/loss_real`` is read from ``self.loss_D_loss_real``."""
        values = {}
        for name in self.loss_names:
            if isinstance(name, str):
                value = getattr(self, "loss_" + name.replace("/", "_"))
                values[name] = float(value.detach() if isinstance(value, torch.Tensor) else value)
        return OrderedDict(values)

    def reports_own_losses(self):
        """Whether the model overrides get_current_losses(), which is then the only source of its losses."""
        return type(self).get_current_losses is not BaseModel.get_current_losses
