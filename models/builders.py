"""What the pages build from the options: generators, critics, optimizers, and the penalty that --lambda_gp asks for."""

import torch

from models import networks
from models.economies import apart


def adam(parameters, **settings):
    """Adam in one pass over the numbers: half the time of the usual form on a CPU, and equal but for rounding."""
    return torch.optim.Adam(parameters, **settings, fused=True)


class Builders:
    """Mixed into BaseModel, whose opt, device and gpu_ids it reads."""

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

    def make_D(self, input_nc):
        """The discriminator that --netD, --n_layers_D and --normD describe."""
        opt = self.opt
        return networks.define_D(
            input_nc,
            opt.ndf,
            opt.netD,
            n_layers_D=opt.n_layers_D,
            norm=opt.normD,
            init_type=opt.init_type,
            init_gain=opt.init_gain,
            no_antialias=opt.no_antialias,
            gpu_ids=self.gpu_ids,
            opt=opt,
        )

    def make_adam(self, *nets):
        """Adam over the parameters of the networks, in their order, with --lr, --beta1 and --beta2."""
        parameters = [parameter for net in nets for parameter in net.parameters()]
        return adam(parameters, lr=self.opt.lr, betas=(self.opt.beta1, self.opt.beta2))

    def joins(self, net):
        """Whether two batches for this network go through it as one: --economies, where that is exact."""
        return getattr(self.opt, "economies", False) and apart(net)

    def gradient_penalty(self, netD, real, fake):
        """WGAN-GP's penalty (Gulrajani et al. 2017) weighted by --lambda_gp; 0 unless that is set, as released."""
        return networks.cal_gradient_penalty(netD, real, fake, self.device, lambda_gp=self.opt.lambda_gp)[0]
