"""Networks and layers of CUT that no model here builds, but that files written for it can import."""

import argparse

import torch
from torch import nn

from models import networks, stylegan_networks


def test_encoder_and_decoder_are_the_halves_of_the_generator():
    torch.manual_seed(0)
    norm = networks.get_norm_layer("instance")
    whole = networks.ResnetGenerator(3, 1, 4, norm, False, 2, no_antialias=False, no_antialias_up=False)
    encoder = networks.ResnetEncoder(3, 1, 4, norm, n_blocks=2)
    decoder = networks.ResnetDecoder(3, 1, 4, norm, n_blocks=0)
    layers = len(encoder.model)
    encoder.model.load_state_dict(whole.model[:layers].state_dict())
    halves = [key.split(".", 1) for key in whole.model[layers:].state_dict()]
    assert [key for _, key in halves] == [key.split(".", 1)[1] for key in decoder.model.state_dict()]
    decoder.model.load_state_dict(dict(zip(decoder.model.state_dict(), whole.model[layers:].state_dict().values())))
    image = torch.randn(2, 3, 16, 20)
    assert torch.equal(decoder(encoder(image)), whole(image))
    strided = networks.ResnetDecoder(3, 1, 4, norm, n_blocks=1, no_antialias=True)
    assert isinstance(strided.model[0], networks.ResnetBlock) and isinstance(strided.model[1], nn.ConvTranspose2d)


def test_patch_discriminator_judges_each_tile_alone():
    torch.manual_seed(0)
    net = networks.PatchDiscriminator(3, 4, 5, networks.get_norm_layer("instance"), no_antialias=True)
    plain = networks.NLayerDiscriminator(3, 4, 2, networks.get_norm_layer("instance"), no_antialias=True)
    plain.load_state_dict(net.state_dict())
    image = torch.randn(2, 3, 32, 48)
    tiles = [image[n : n + 1, :, y : y + 16, x : x + 16] for n in (0, 1) for y in (0, 16) for x in (0, 16, 32)]
    assert torch.allclose(net(image), torch.cat([plain(tile) for tile in tiles]), atol=1e-5)


def test_grouped_channel_norm_and_interpolation():
    x = torch.randn(2, 6, 3, 4)
    groups = networks.GroupedChannelNorm(2)(x).view(2, 2, 3, 3, 4)
    assert torch.allclose(groups.mean(2), torch.zeros(2, 2, 3, 4), atol=1e-6)
    assert torch.allclose(groups.std(2), torch.ones(2, 2, 3, 4), atol=1e-5)
    assert torch.equal(networks.Upsample2(2)(x), x.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_stylegan_networks_have_the_constructors_of_cut():
    opt = argparse.Namespace(load_size=32, crop_size=32, netG="smallstylegan2", stylegan2_G_num_downsampling=1)
    made = stylegan_networks.StyleGAN2Generator(3, 3, 8, False, n_blocks=2, no_antialias=True, opt=opt)
    ours = networks.define_G(3, 3, 8, "smallstylegan2", opt=opt)
    made.load_state_dict(ours.state_dict())
    image = torch.randn(2, 3, 32, 32)
    assert torch.equal(made(image), ours(image))  # so it draws no noise either
    judge = stylegan_networks.StyleGAN2Discriminator(3, 1, 3, True, opt=opt)
    judge.load_state_dict(networks.define_D(3, 1, "stylegan2", opt=opt).state_dict())
    assert judge(image).shape == (2, 1)
    assert stylegan_networks.StyleGAN2Discriminator(3, 1, size=16)(image[..., :16, :16]).shape == (2, 1)
    tiles = stylegan_networks.TileStyleGAN2Discriminator(3, 1, opt=argparse.Namespace(D_patch_size=16))
    assert tiles(image).shape == (8, 1)
