"""Methods of BaseModel for its networks: build them and their optimizers from the options, save, load, print."""

import contextlib
import os
from collections.abc import Iterator, Sequence

import torch

from models import networks
from models.architectures.adjustable import BATCH_NORM, DROPOUT
from util.ema import WeightAverages
from util.errors import InputError
from util.run import states, weights


def adam(parameters, **settings):
    """Fused Adam: on a CPU half the time of the default implementation, and equal except for rounding."""
    return torch.optim.Adam(parameters, **settings, fused=True)


def averaged_file(epoch, name):
    """The file of a network's averaged weights."""
    return f"{epoch}_net_{name}_ema.pth"


def choose_averaged(path, averaged, opt):
    """`averaged` or `path`, by --use_ema; without the flag, the averaged weights if their file exists."""
    use = getattr(opt, "use_ema", None)
    if use and not os.path.exists(averaged):
        raise InputError(f"--use_ema: there is no {averaged}; the run was trained without --ema")
    return averaged if use is not False and os.path.exists(averaged) else path


# Parts of PyTorch's messages about maps that are smaller than a layer needs.
TOO_SMALL = (
    *("Kernel size can't be greater than", "Output size is too small", "Padding size should be less than"),
    *("Expected more than 1 spatial element", "Expected more than 1 value per channel"),
)


@contextlib.contextmanager
def naming_unfit_images(paths: Sequence[str]) -> Iterator[None]:
    """Turn the error of a network whose images have a wrong size into an InputError that names the images."""
    try:
        yield
    except networks.UnfitSize as error:
        raise InputError(f"{', '.join(paths)}: {error}; try --preprocess resize_and_crop") from None
    except (RuntimeError, ValueError) as error:
        if not any(part in str(error) for part in TOO_SMALL):
            raise
        raise InputError(
            f"{', '.join(paths)}: too small for the networks of this model ({str(error).splitlines()[0]}): enlarge the "
            "images with --preprocess resize_and_crop, or choose --netD pixel or a smaller --n_layers_D"
        ) from None


class NetworksOfModel:
    """Mixed into BaseModel, whose opt, _own, device, gpu_ids, save_dir, model_names and _flags_read it uses."""

    def make_G(self, input_nc, output_nc):
        """The generator that --netG, --normG, --no_dropout and the antialias flags describe."""
        opt = self.opt
        return networks.define_G(
            input_nc,
            output_nc,
            opt.ngf,
            opt.netG,
            norm=opt.normG,
            use_dropout=not opt.no_dropout,
            init_type=opt.init_type,
            init_gain=opt.init_gain,
            no_antialias=opt.no_antialias,
            no_antialias_up=opt.no_antialias_up,
            gpu_ids=self.gpu_ids,
            opt=opt,
        )

    def make_D(self, *channels):
        """The discriminator that --netD, --n_layers_D, --normD and --num_D describe.

        `channels` are those of the images that its input concatenates, in this order: make_D(3) for single images,
        make_D(3, 3) for pairs.
        """
        opt = self.opt
        self._flags_read.add("num_D")
        net = networks.define_D(
            sum(channels),
            opt.ndf,
            opt.netD,
            n_layers_D=opt.n_layers_D,
            norm=opt.normD,
            init_type=opt.init_type,
            init_gain=opt.init_gain,
            no_antialias=opt.no_antialias,
            gpu_ids=self.gpu_ids,
            opt=opt,
            num_D=getattr(self._own, "num_D", 1),
        )
        # The gradients of the last bias on real and on generated images cancel, exactly only if each is a sum of its
        # own: from a joint pass Adam would turn the rest, rounding noise, into steps of up to its learning rate.
        net.one_batch_per_pass = opt.gan_mode == "wgangp"
        return self.as_discriminator(net, *channels)

    def as_discriminator(self, net, *channels):
        """`net` with --spectral_norm applied, prepared for --diffaugment; `channels` as in make_D()."""
        net.judged_channels = channels
        self._flags_read.add("spectral_norm")
        if getattr(self._own, "spectral_norm", False) and not networks.normalise_spectrally(net):
            raise InputError(
                f"--spectral_norm: the layers of --netD {self.opt.netD} scale their weights themselves; choose another "
                "--netD"
            )
        return net

    def make_adam(self, *nets, rate="lr"):
        """Adam over the parameters of the networks, with --beta1 and --beta2.

        `rate` names the flag of the learning rate, for example lr_D; --lr if this flag is not given.
        """
        parameters = [parameter for net in nets for parameter in net.parameters()]
        self._flags_read.add(rate)
        lr = getattr(self.opt, rate, None) or self.opt.lr
        return adam(parameters, lr=lr, betas=(self.opt.beta1, self.opt.beta2))

    def set_requires_grad(self, nets, requires_grad=False):
        """Switch gradients of one network or several; None among them is passed over."""
        for net in nets if isinstance(nets, (list, tuple)) else [nets]:
            if net is not None:
                net.requires_grad_(requires_grad)

    def decide_penalties(self):
        """For decide(): whether the next step has the R1 penalty."""
        lazy = getattr(self._own, "lambda_r1", 0) and self._own.lazy_r1 > 1
        return {"with_r1": self._steps_begun % self._own.lazy_r1 == 0} if lazy else {}

    def gradient_penalty(self, netD, real, fake):
        """lambda_gp times WGAN-GP's penalty (Gulrajani et al. 2017), plus lazy R1 (Mescheder et al. 2018); else 0."""
        penalty = networks.cal_gradient_penalty(netD, real, fake, self.device, lambda_gp=self.opt.lambda_gp)[0]
        weight = getattr(self._own, "lambda_r1", 0)
        return penalty + self.lazy_r1(netD, real, weight, self._own.lazy_r1) if weight else penalty

    def lazy_r1(self, netD, real, weight, every):
        """weight / 2 R1 in each `every`-th step; see models/losses.py."""
        if every > 1 and self._steps_begun == 0:
            name = type(self).__name__
            raise InputError(f"--lazy_r1 {every}: optimize_parameters() of {name} must call self.run_forward()")
        return networks.lazy_r1(netD, real, weight, every, max(0, self._steps_begun - 1))

    def save_networks(self, epoch):
        """Write ``<epoch>_net_<name>.pth`` for every network; `epoch` is a number, "latest" or "iter_<images>"."""
        for name, net in self.networks_by_name().items():
            weights.save_weights(net, os.path.join(self.save_dir, f"{epoch}_net_{name}.pth"))
        if self._ema is not None:
            with self._ema.applied():
                for name, net in self._ema.nets.items():
                    weights.save_weights(net, os.path.join(self.save_dir, averaged_file(epoch, name)))

    def load_networks(self, epoch):
        """Fill every network from ``<epoch>_net_<name>.pth``."""
        folder = self.save_dir
        if self.isTrain and self.opt.pretrained_name:
            folder = os.path.join(self.opt.checkpoints_dir, self.opt.pretrained_name)
        for name, net in self.networks_by_name().items():
            path = os.path.join(folder, f"{epoch}_net_{name}.pth")
            if not self.isTrain:
                path = choose_averaged(path, os.path.join(folder, averaged_file(epoch, name)), self.opt)
            print(f"loading the model from {path}")
            weights.load_weights(net, path)

    def _load_weights(self, opt):
        """From the exported weights; with --continue_train from a state file if an export is missing or damaged.

        train.py loads the state of the whole run after setup(), which replaces these weights; a user's own loop may
        call setup() alone.
        """
        try:
            self.load_networks(weights.tag_of(opt))
        except InputError as error:
            named = opt.epoch != "latest" or opt.load_iter
            found = states.newest_whole(self.save_dir, weights.tag_of(opt) if named else None)
            if not self.isTrain or opt.pretrained_name or not found:
                raise
            print(f"{error}; the weights are taken from {found.path}")
            states.load_networks(self, found.path)

    def take_weights(self, trained):
        """Copy the weights of `trained`, the same model in training: its averaged weights if it has them (--ema)."""
        theirs = trained.networks_by_name()
        averages = trained._ema.averages if trained._ema is not None else {}
        for name, net in self.networks_by_name().items():
            state = averages.get(name) or weights.unwrap(theirs[name]).state_dict()
            weights.unwrap(net).load_state_dict(state)

    def average_weights(self, decay):
        """Average the generators' weights (--ema) after each step of their optimizers that is not skipped."""
        nets = {name: weights.unwrap(net) for name, net in self.networks_by_name().items()}
        nets = {name: nets[name] for name in self.generator_names}
        if not nets:
            raise InputError(
                f"--ema: --model {self.opt.model} declares no generator_names, so it has nothing to average"
            )
        self._ema = WeightAverages(nets, decay)
        for optimizer in self.optimizers:
            if self._trains(optimizer, self.generator_names):
                # A fused Adam skips the step on the device where its found_inf is 1; a skipped step is not averaged.
                optimizer.register_step_post_hook(self._average_after)

    def _average_after(self, optimizer, args, kwargs):
        left_out = getattr(optimizer, "found_inf", None)
        self._ema.update(0.0 if left_out is None else left_out)

    def _trains(self, optimizer, names):
        """Whether the optimizer updates a parameter of the networks with these names."""
        nets = self.networks_by_name()
        wanted = {id(parameter) for name in names for parameter in nets[name].parameters()}
        return any(id(parameter) in wanted for group in optimizer.param_groups for parameter in group["params"])

    def print_networks(self, verbose):
        print("---------- Networks initialized -------------")
        for name, net in self.networks_by_name().items():
            if verbose:
                print(net)
            millions = sum(parameter.numel() for parameter in net.parameters()) / 1e6
            print(f"[Network {name}] Total number of parameters : {millions:.3f} M")
        print("-----------------------------------------------")

    def init_networks(self, init_type="normal", init_gain=0.02):
        """Move every network to the device and draw its weights again."""
        for net in self.networks_by_name().values():
            networks.init_weights(net.to(self.device), init_type, init_gain)

    def networks_by_name(self):
        """Name -> network, in the order of model_names."""
        return {name: getattr(self, "net" + name) for name in self.model_names if isinstance(name, str)}

    def eval(self):
        for net in self.networks_by_name().values():
            net.eval()

    def train(self):
        for net in self.networks_by_name().values():
            net.train()

    def mixes_samples(self):
        """Whether a sample's output depends on its batch: by batch statistics, or by random numbers for the batch."""
        modules = [module for net in self.networks_by_name().values() for module in net.modules()]
        draws = any(getattr(module, "draws_per_sample", False) for module in modules)
        return draws or any(isinstance(module, (BATCH_NORM, DROPOUT)) and module.training for module in modules)
