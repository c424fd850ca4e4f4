"""SimDCL's mapping network: one vector per image from its patch vectors, for the similarity loss between images.

Han, Shoeiby, Petersson, Armin, "Dual Contrastive Learning for Unsupervised Image-to-Image Translation",
CVPR workshops 2021.
"""

from torch import nn

from models.architectures.initialization import init_weights
from models.architectures.patch_sampler import Normalize


class MappingF(nn.Module):
    """Patch vectors of `in_layer` feature maps, stacked, to a unit vector: (B, in_layer, P, nc) -> (B, dim).

    A single image, (in_layer, P, nc), gives (1, dim). P and nc are at least 3. `nc`, `patch_num` and `gpu_ids` are not
    read, since the convolution and the mean take any size; callers of the original pass them.
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
