"""SimDCL: DCLGAN with a similarity loss between the real and the generated images of each domain.

Han, Shoeiby, Petersson, Armin, CVPR workshops 2021. The networks F3 to F6 map the patch vectors of an image, made by
F1 or F2, to one vector per image. The loss is the distance of these vectors within A and within B:

    L = L_DCLGAN + lambda_SIM ( |F3(a) - F6(G_B(b))| + |F4(G_A(a)) - F5(b)| )

|.| is the mean absolute difference, as released: in the released L1Loss("sum") the argument is not the reduction.
"""

import torch

from models import flags, networks
from models.dclgan_model import DCLGANModel
from util.errors import InputError


class SimDCLModel(DCLGANModel):
    captures = DCLGANModel.captures  # see BaseModel
    mode = "sim"
    adam_F = None  # as released: the projectors' Adam follows --lr, --beta1 and --beta2, unlike in DCLGAN
    learns_keys = True  # gradients of the similarity loss reach the vectors of real images, too

    modify_commandline_options = staticmethod(flags.simdcl)

    def __init__(self, opt):
        super().__init__(opt)
        self.loss_names.insert(self.loss_names.index("G") + 1, "Sim")
        # As released: idt_A = G_A(real_B) is shown beside fake_B, the other output of G_A, and idt_B beside fake_A.
        self.visual_names = [{"idt_A": "idt_B", "idt_B": "idt_A"}.get(name, name) for name in self.visual_names]
        self.patches = []
        self.criterionSim = torch.nn.L1Loss()
        self.reported_weight_D = 1  # as released: unlike DCLGAN's

    def check_weights(self):
        super().check_weights()
        opt = self.opt
        if opt.netF != "mlp_sample":
            raise InputError(f"--netF {opt.netF}: simdcl stacks the vectors of all layers, so it needs mlp_sample")
        if min(opt.netF_nc, opt.num_patches) < 3:
            raise InputError(
                f"--netF_nc {opt.netF_nc} --num_patches {opt.num_patches}: simdcl applies 3x3 convolutions to the map "
                "of patches and channels; give 3 or more for both"
            )

    def uses_patches(self):
        return super().uses_patches() or self.opt.lambda_SIM > 0

    def make_projectors(self):
        opt = self.opt
        init = {"init_type": opt.init_type, "init_gain": opt.init_gain, "gpu_ids": self.gpu_ids, "opt": opt}
        self.netF3, self.netF4, self.netF5, self.netF6 = (
            networks.define_F(len(self.nce_layers), "mapping", **init) for _ in range(4)
        )
        self.model_names += ["F3", "F4", "F5", "F6"]
        return [*super().make_projectors(), self.netF3, self.netF4, self.netF5, self.netF6]

    def nce(self, netF_q, queries, netF_k, keys):
        """PatchNCE as in DCLGAN. For the similarity loss it keeps the keys, and queries at other random places."""
        number = self.opt.num_patches
        k, ids = netF_k(keys, number)
        other_ids = netF_q.draw(queries, number)
        # One pass of the projector for both sets of places.
        joint, _ = netF_q(queries, number, [torch.cat(pair) for pair in zip(ids, other_ids)])
        halves = [vectors.unflatten(0, (len(self.real_A), 2, -1)) for vectors in joint]  # (B, 2, P, nc)
        self.patches.append((k, [half[:, 1].flatten(0, 1) for half in halves]))
        return self.compare([half[:, 0].flatten(0, 1) for half in halves], k)

    def compute_G_loss(self):
        self.patches.clear()
        loss = super().compute_G_loss()
        self.loss_Sim = self.calculate_Sim_loss_all() if self.opt.lambda_SIM > 0 else 0.0
        self.loss_G = loss + self.loss_Sim
        return self.loss_G

    def calculate_Sim_loss_all(self):
        """lambda_SIM times the sum of both distances, from the vectors that nce() kept."""
        (real_A, fake_B), (real_B, fake_A) = (map(self.stack, pair) for pair in self.patches)
        in_A = self.criterionSim(self.netF3(real_A), self.netF6(fake_A))
        in_B = self.criterionSim(self.netF4(fake_B), self.netF5(real_B))
        return (in_A + in_B) * self.opt.lambda_SIM

    def stack(self, patches):
        """The vectors of all layers as (B, layers, P, nc); P is the number of patches of the smallest feature map."""
        images = len(self.real_A)
        number = min(len(vectors) for vectors in patches) // images
        return torch.stack([vectors.unflatten(0, (images, -1))[:, :number] for vectors in patches], 1)


SIMDCLModel = SimDCLModel  # the name in the original program
