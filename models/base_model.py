"""The contract of a model: lists of names, the step, and what the loop, the pages and the checkpoints ask of it."""

import os
from abc import ABC, abstractmethod
from collections import OrderedDict
from pathlib import Path

import torch

from models import fit_out, networks
from models.builders import Builders
from models.parts import Parts
from util.errors import InputError
from util.numerics.finite import Updates
from util.numerics.precision import Precision
from util.processes import distributed, gradients
from util.run import checkpoint, warm_start, weights


class RunFolder(str):
    """A path as text that also takes ``/``: plug-ins of all ages join theirs with os.path.join, ``/`` or ``+``."""

    def __truediv__(self, name):
        return Path(self) / name


class BaseModel(Builders, Parts, ABC):
    """Subclass it in models/<name>_model.py as <Name>Model; ``--model <name>`` then finds it.

    ``__init__`` fills four lists of names, and makes the attributes that they stand for:

    ========================  =====================================================================================
    ``loss_names``            ``D`` stands for ``self.loss_D``: printed, logged, plotted
    ``visual_names``          ``fake_B`` stands for ``self.fake_B``, (N, C, H, W) in [-1, 1] or an HWC numpy image
    ``model_names``           ``G`` stands for ``self.netG``: moved to the device, saved, loaded, printed
    ``optimizers``            the optimizers themselves: their learning rates are scheduled
    ========================  =====================================================================================
    """

    def __init__(self, opt):
        self.opt = opt
        self.isTrain = opt.isTrain
        self.device = opt.device
        self.gpu_ids = opt.gpu_ids
        self.save_dir = RunFolder(os.path.join(opt.checkpoints_dir, opt.name))
        self.loss_names = []
        self.model_names = []
        self.visual_names = []
        self.optimizers = []
        self.schedulers = []
        self.image_paths = []
        self.metric = 0  # what --lr_policy plateau follows
        self.updates = Updates()
        self.averagings = gradients.Averagings()
        self.precision = Precision(getattr(opt, "precision", "fp32"), opt.device)
        # Images of one size let cuDNN pick its fastest kernels once; scale_width makes a new size for every image.
        exactly = getattr(opt, "deterministic", False)
        torch.backends.cudnn.benchmark = opt.preprocess != "scale_width" and not exactly

    # --- what a model writes ---------------------------------------------------------------------------------------

    @staticmethod
    def modify_commandline_options(parser, is_train):
        """Add flags of the model, or change defaults with parser.set_defaults. Returns the parser."""
        return parser

    @abstractmethod
    def set_input(self, input):
        """Take a batch from the loader (a dict), move it to ``self.device``, and set ``self.image_paths``."""

    @abstractmethod
    def forward(self):
        """Run the generators; also what test() calls."""

    @abstractmethod
    def optimize_parameters(self):
        """One step: losses, gradients, updates."""

    generator_names = ()  # names of the networks that translate uses

    def translate(self, images, **condition):
        """Name -> pictures (N, C, H, W) for images (N, C, H, W), all in [-1, 1]."""
        paths = [""] * len(images)
        self.set_input({"A": images, "B": images, "A_paths": paths, "B_paths": paths})
        self.test()
        made = self.get_current_visuals()
        return {name: value for name, value in made.items() if not name.startswith("real")}

    def data_dependent_initialize(self, data):
        """Called once with the first batch, before setup(), if a model overrides it: for networks sized by data."""

    def compute_visuals(self):
        """Called before the visuals are read: for pictures that a step does not need."""

    # --- helpers of the models -------------------------------------------------------------------------------------

    def sides(self, input):
        """(source, target) of a paired or unpaired batch on the device, and sets image_paths. Reads --direction.

        At test a side may be None: a plain folder (one "A") is always the source, a missing one of two stays missing.
        """
        first, second = ("A", "B") if self.opt.direction == "AtoB" else ("B", "A")
        if "B" not in input and self.opt.dataset_mode == "single":
            first, second = "A", "B"
        self.image_paths = input.get(f"{first}_paths") or input[f"{second}_paths"]
        return tuple(input[side].to(self.device) if side in input else None for side in (first, second))

    def step(self, optimizers, loss_function, frozen=()):
        """The one place where an update happens: freeze, zero, loss, backward, average, step, thaw.

        `loss_function()` returns the scalar to minimise over the parameters of `optimizers`; networks in `frozen`
        pass gradients on but collect none for their own parameters. Where the loss or a gradient is not finite the
        optimizers leave everything as it is, and --on_nan decides what follows. In a run of many processes, loss and
        gradients are means over the images of all of them.
        """
        phase = "+".join(str(self.optimizers.index(optimizer)) for optimizer in optimizers)
        self.set_requires_grad(frozen, False)
        for optimizer in optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss = self.learn(phase, optimizers, loss_function)
        self.precision.unscale(phase, optimizers)
        with gradients.averaged():
            parameters, bad = self.updates.apply(loss, optimizers)
        self.updates.note(parameters, self.precision.update(phase, loss, bad))
        self.set_requires_grad(frozen, True)

    def learn(self, phase, optimizers, loss_function):
        """Gradients of the loss, part by part under --accumulate, averaged over the processes; returns the loss."""
        averages = self.averagings.of(optimizers)
        total = 0
        for share, last in self.parts(optimizers):
            loss = loss_function()
            if averages and last:
                averages.arm()
            self.precision.scale(phase, loss if share == 1 else loss * share).backward()
            total = total + loss.detach() * share
        if averages:
            averages.finish()
        return distributed.mean_over_ranks(total)

    def set_requires_grad(self, nets, requires_grad=False):
        """Switch gradients of one network or several; None among them is passed over."""
        for net in nets if isinstance(nets, (list, tuple)) else [nets]:
            if net is not None:
                net.requires_grad_(requires_grad)

    # --- what the loop calls ---------------------------------------------------------------------------------------

    def setup(self, opt):
        """Networks to the device, weights loaded (a test, --continue_train, --init_from), schedulers, printed."""
        fit_out.before_loading(self.networks_by_name(), opt, self.device)
        if self.isTrain:
            self.schedulers = [networks.get_scheduler(optimizer, opt) for optimizer in self.optimizers]
        if not self.isTrain or self._continues_from_exports(opt):
            self.load_networks(weights.tag_of(opt))
        elif getattr(opt, "init_from", None):
            warm_start.fill(self.networks_by_name(), opt.init_from, weights.tag_of(opt))
        self.print_networks(opt.verbose)
        fit_out.after_loading(self.networks_by_name(), opt, self.device, self.precision)

    def _continues_from_exports(self, opt):
        """--continue_train without a state of the whole run, or in a plug-in that loads in its own way."""
        own_way = type(self).load_networks is not BaseModel.load_networks
        return opt.continue_train and (own_way or opt.pretrained_name or not checkpoint.find(self.save_dir))

    def parallelize(self):
        """Called after setup(); the originals wrapped networks here. Ours need no wrapper."""

    def eval(self):
        for net in self.networks_by_name().values():
            net.eval()

    def train(self):
        for net in self.networks_by_name().values():
            net.train()

    def mixes_samples(self):
        """Whether a sample's output depends on the others of its batch: batch statistics, or dropout's one stream."""
        mixing = (torch.nn.modules.batchnorm._BatchNorm, torch.nn.modules.dropout._DropoutNd)
        return any(
            isinstance(m, mixing) and m.training for net in self.networks_by_name().values() for m in net.modules()
        )

    def test(self):
        """forward() and compute_visuals() without gradients."""
        try:
            with torch.no_grad():
                self.forward()
                self.compute_visuals()
        except networks.UnfitSize as error:
            raise InputError(f"{', '.join(self.image_paths)}: {error}; try --preprocess resize_and_crop") from None

    def get_image_paths(self):
        return self.image_paths

    def update_learning_rate(self):
        """At the end of an epoch."""
        before = self.optimizers[0].param_groups[0]["lr"]
        for scheduler in self.schedulers:
            if self.opt.lr_policy == "plateau":
                scheduler.step(self.metric)
            else:
                scheduler.step()
        print(f"learning rate {before:.7f} -> {self.optimizers[0].param_groups[0]['lr']:.7f}")

    def get_current_visuals(self):
        """Name -> image tensor or array, in the order of visual_names; without those that a test could not make."""
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

    # --- checkpoints -----------------------------------------------------------------------------------------------

    def save_networks(self, epoch):
        """Write ``<epoch>_net_<name>.pth`` for every network; `epoch` is a number, "latest" or "iter_<images>"."""
        for name, net in self.networks_by_name().items():
            weights.save_weights(net, os.path.join(self.save_dir, f"{epoch}_net_{name}.pth"))

    def load_networks(self, epoch):
        """Fill every network from ``<epoch>_net_<name>.pth``."""
        folder = self.save_dir
        if self.isTrain and self.opt.pretrained_name:
            folder = os.path.join(self.opt.checkpoints_dir, self.opt.pretrained_name)
        for name, net in self.networks_by_name().items():
            path = os.path.join(folder, f"{epoch}_net_{name}.pth")
            print(f"loading the model from {path}")
            weights.load_weights(net, path)

    def __patch_instance_norm_state_dict(self, state_dict, module, keys, i=0):
        """Plug-ins with a load_networks() of their own call this for every key of a state dict."""
        for name in keys[i:-1]:
            module = getattr(module, name)
        bare = type(module).__name__.startswith("InstanceNorm") and getattr(module, "running_mean", None) is None
        if bare and keys[-1] in ("running_mean", "running_var", "num_batches_tracked"):
            state_dict.pop(".".join(keys))

    def print_networks(self, verbose):
        print("---------- Networks initialized -------------")
        for name, net in self.networks_by_name().items():
            if verbose:
                print(net)
            millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
            print(f"[Network {name}] Total number of parameters : {millions:.3f} M")
        print("-----------------------------------------------")

    def init_networks(self, init_type="normal", init_gain=0.02):
        """Move every network to the device and initialise it anew."""
        for net in self.networks_by_name().values():
            networks.init_weights(net.to(self.device), init_type, init_gain)

    def networks_by_name(self):
        """Name -> network, in the order of model_names."""
        return {name: getattr(self, "net" + name) for name in self.model_names if isinstance(name, str)}

    # --- kept for plug-ins of the contrastive family -----------------------------------------------------------------

    @staticmethod
    def dict_grad_hook_factory(add_func=lambda x: x):
        """(make_hook, saved): the gradient hook ``make_hook(name)`` keeps ``add_func(gradient)`` in ``saved[name]``."""
        saved = {}

        def make_hook(name):
            def hook(gradient):
                saved[name] = add_func(gradient)

            return hook

        return make_hook, saved

    def generate_visuals_for_evaluation(self, data, mode):
        return {}
