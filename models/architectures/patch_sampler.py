"""Projectors map feature maps of a generator to unit vectors (Park et al., ECCV 2020; MappingF: Han et al., 2021)."""

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from models.architectures.layers import init_weights


class Normalize(nn.Module):
    """Divide by the length along dimension 1 plus 1e-7; a zero vector stays zero and has a finite gradient."""

    def __init__(self, power=2):
        super().__init__()
        self.power = power

    def forward(self, x):
        # The gradient of vector_norm at zero is 0; that of the root of a sum would be infinite.
        return x / (torch.linalg.vector_norm(x, self.power, dim=1, keepdim=True) + 1e-7)


def made_now(make, device):
    return make()


class PatchSampleF(nn.Module):
    """Samples vectors at random positions of each feature map; with `use_mlp`, ``mlp_i`` projects those of map i.

    With `widths`, the channels of the maps, the MLPs are created at once, otherwise in the first forward pass.
    `gpu_ids` is not read; callers of the original pass it.
    """

    keeps_float32 = True  # under --precision bf16, fp16: small, and rounding would change the length of its vectors

    def __init__(self, use_mlp=False, init_type="normal", init_gain=0.02, nc=256, gpu_ids=(), widths=None):
        super().__init__()
        self.use_mlp = use_mlp
        self.init_type = init_type
        self.init_gain = init_gain
        self.nc = nc
        self.l2norm = Normalize(2)
        self.generator = None  # function device -> torch.Generator for the patch ids
        self.drawn = made_now  # function (function that draws, device) -> what it draws
        self.mlp_init = False
        if use_mlp and widths is not None:
            self._build(widths)

    def _build(self, widths):
        for i, width in enumerate(widths):
            setattr(self, f"mlp_{i}", nn.Sequential(nn.Linear(width, self.nc), nn.ReLU(), nn.Linear(self.nc, self.nc)))
        init_weights(self, self.init_type, self.init_gain)
        self.mlp_init = True

    def create_mlp(self, feats):
        """Build the MLPs for the channels of these feature maps, on their device."""
        self._build([feat.shape[1] for feat in feats])
        self.to(feats[0].device)

    def draw_patch_ids(self, num_positions, num_patches, device):
        """A LongTensor of num_patches different positions of a map, or of all positions if there are fewer."""
        generator = self.generator(device) if self.generator else None
        return torch.randperm(num_positions, device=device, generator=generator)[:num_patches]

    def draw(self, feats, num_patches):
        """Random ids for each map, as forward() takes them."""
        return [
            self.drawn(partial(self.draw_patch_ids, feat[0, 0].numel(), num_patches, feat.device), feat.device)
            for feat in feats
        ]

    def forward(self, feats, num_patches=64, patch_ids=None):
        """(vectors, ids): two lists with an entry per map.

        feats: (B, C_i, H_i, W_i). ids: (P_i,) positions in a flattened map, the same for all images of the batch;
        drawn if `patch_ids` is None. vectors: (B*P_i, nc), image after image. With num_patches 0 all positions are
        used: vectors are (B, nc, H_i, W_i), and ids are empty lists. Then each channel, not each vector, is divided by
        its length over the positions of an image.
        """
        if self.use_mlp and not self.mlp_init:
            self.create_mlp(feats)
        if num_patches == 0:
            return [self._project_map(i, feat) for i, feat in enumerate(feats)], [[] for _ in feats]
        ids = self.draw(feats, num_patches) if patch_ids is None else patch_ids
        ids = [torch.as_tensor(i, device=feat.device) for i, feat in zip(ids, feats)]
        return [self._project(i, gather(feat, ids[i])) for i, feat in enumerate(feats)], ids

    def _project(self, i, rows):
        """Normalised along dimension 1: for (B*P_i, C_i) each vector, for (B, H_i W_i, C_i) each channel."""
        return self.l2norm(getattr(self, f"mlp_{i}")(rows) if self.use_mlp else rows)

    def _project_map(self, i, feat):
        return self._project(i, at_least_float32(feat.flatten(2).mT)).mT.unflatten(2, feat.shape[2:])


def gather(feat, ids):
    """The vectors of a map at `ids`: (B, C, H, W) -> (B*P, C), image after image."""
    # Indexing the last dimension gives the gradient the memory layout of the map. Indexing after a permutation would
    # give another layout, which PyTorch's instance norm misreads on the CPU at batch size 1 (see adjustable.py).
    return at_least_float32(feat.flatten(2).index_select(2, ids).mT.flatten(0, 1))


def at_least_float32(x):
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class PooledF(nn.Module):
    """Projectors without patches and parameters: map -> vectors, or list of maps -> (list of vectors, empty ids).

    num_patches and patch_ids are not read; callers of PatchSampleF pass them.
    """

    keeps_float32 = True

    def __init__(self):
        super().__init__()
        self.l2norm = Normalize(2)

    def forward(self, feats, num_patches=None, patch_ids=None):
        if isinstance(feats, torch.Tensor):
            return self.pool(feats)
        return [self.pool(at_least_float32(feat)).flatten(1) for feat in feats], [[] for _ in feats]


class ReshapeF(PooledF):
    """Average pooling of a map to 4x4, and its 16 vectors normalised: (B, C, H, W) -> (B*16, C)."""

    def pool(self, x):
        return self.l2norm(F.adaptive_avg_pool2d(x, 4).flatten(2).mT.flatten(0, 1))


class PoolingF(PooledF):
    """Max pooling of a map to one vector, normalised: (B, C, H, W) -> (B, C, 1, 1), or (B, C) for a map in a list."""

    def pool(self, x):
        return self.l2norm(F.adaptive_max_pool2d(x, 1))


class StridedConvF(nn.Module):
    """Convolutions that halve a map to about 32 rows, minus a running mean, normalised: (B, C, H, W) -> (B, 64, h, w).

    There is a network ``child_<C>_<H>`` for each size of map, created with the first map of this size. The running
    means are not saved in checkpoints.
    """

    def __init__(self, init_type="normal", init_gain=0.02, gpu_ids=()):
        super().__init__()
        self.init_type = init_type
        self.init_gain = init_gain
        self.l2norm = Normalize(2)
        self.means = {}

    def _build(self, x):
        channels, layers = x.shape[1], []
        for _ in range(round(math.log2(x.shape[2] / 32))):
            after = max(channels // 2, 64)
            layers += [nn.Conv2d(channels, after, 3, 2), nn.ReLU()]
            channels = after
        net = nn.Sequential(*layers, nn.Conv2d(channels, 64, 3))
        return init_weights(net, self.init_type, self.init_gain).to(x.device)

    def forward(self, x):
        name = f"child_{x.shape[1]}_{x.shape[2]}"
        if not hasattr(self, name):
            self.add_module(name, self._build(x))
        x = getattr(self, name)(x)
        self.means[name] = torch.lerp(self.means.get(name, x.detach()), x.detach(), 0.001)
        return self.l2norm(x - self.means[name])


class MappingF(nn.Module):
    """SimDCL's network from the patch vectors of an image to one vector: (B, in_layer, P, nc) -> (B, dim), length 1.

    Han, Shoeiby, Petersson, Armin, "Dual Contrastive Learning for Unsupervised Image-to-Image Translation", CVPR
    workshops 2021. `in_layer` is the number of feature maps. P and nc are at least 3. An input without B is one image.
    `nc`, `patch_num` and `gpu_ids` are not read; callers of the original pass them.
    """

    keeps_float32 = True  # under --precision bf16, fp16: small, and its output has length 1

    def __init__(self, in_layer=4, nc=256, patch_num=256, dim=64, init_type="normal", init_gain=0.02, gpu_ids=()):
        super().__init__()
        self.in_layer = in_layer
        self.model = nn.Sequential(
            nn.Conv2d(in_layer, dim, 3, stride=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(dim, dim),
            nn.ReLU(),
            nn.Linear(dim, dim),
        )
        self.l2norm = Normalize(2)
        init_weights(self, init_type, init_gain)

    def forward(self, x):
        return self.l2norm(self.model(x.view(-1, self.in_layer, *x.shape[-2:])))
