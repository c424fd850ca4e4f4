"""The module from which models written for CUT import StyleGAN2's networks, with the constructors of that program.

The networks are in models/architectures/stylegan2.py.
"""

from models.architectures import stylegan2
from models.tables import stylegan2_size


class StyleGAN2Generator(stylegan2.StyleGAN2Generator):
    """`opt` has load_size, crop_size, stylegan2_G_num_downsampling and netG; the other arguments are not read."""

    def __init__(
        self,
        input_nc,
        output_nc,
        ngf=64,
        use_dropout=False,
        n_blocks=6,
        padding_type="reflect",
        no_antialias=False,
        opt=None,
    ):
        flags = {"size": stylegan2_size(opt), "num_downsampling": opt.stylegan2_G_num_downsampling}
        noise = "small" not in opt.netG
        super().__init__(input_nc, output_nc, ngf, n_blocks=n_blocks, injects_noise=noise, **flags)


class StyleGAN2Discriminator(stylegan2.StyleGAN2Discriminator):
    """`size` None: that of opt.load_size and opt.crop_size; n_layers and no_antialias are not read."""

    def __init__(self, input_nc, ndf=64, n_layers=3, no_antialias=False, size=None, opt=None):
        super().__init__(input_nc, ndf, size=size or stylegan2_size(opt))


class TileStyleGAN2Discriminator(stylegan2.StyleGAN2Discriminator):
    """Judges tiles of opt.D_patch_size pixels, each on its own."""

    def __init__(self, input_nc, ndf=64, n_layers=3, no_antialias=False, size=None, opt=None):
        super().__init__(input_nc, ndf, tile=opt.D_patch_size)
