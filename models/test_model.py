"""One direction of a trained model, on a plain folder of images: ``--model test``."""

import os

from models import flags
from models.base_model import BaseModel
from util.errors import InputError
from util.run import folder as run_folder
from util.run import weights


class TestModel(BaseModel):
    """Loads ``<epoch>_net_G<model_suffix>.pth``; for a two-sided run it picks G_A or G_B by --direction."""

    scored_visuals = {"fake": ("real", None)}

    modify_commandline_options = staticmethod(flags.test)

    def __init__(self, opt):
        super().__init__(opt)
        suffix = opt.model_suffix or self._find_suffix()
        self.input_nc, output_nc = opt.input_nc, opt.output_nc
        if suffix == "_B":
            self.input_nc, output_nc = output_nc, self.input_nc
        self.visual_names = ["real", "fake"]
        self.model_names = ["G" + suffix]
        self.generator_names = ("G" + suffix,)
        self.netG = self.make_G(self.input_nc, output_nc)
        setattr(self, "netG" + suffix, self.netG)

    def _find_suffix(self):
        """The suffix of the generator's file: none if there is a net_G, else _A or _B by --direction."""
        opt = self.opt
        tag = weights.tag_of(opt)
        names = {name for name in ("G", "G_A", "G_B") if os.path.exists(self.save_dir / f"{tag}_net_{name}.pth")}
        if "G" in names or not names:
            return ""
        trained = run_folder.read(opt.checkpoints_dir, opt.name) or {}
        return "_A" if opt.direction == trained.get("direction", "AtoB") else "_B"

    def set_input(self, input):
        self.real = input["A"].to(self.device)
        self.image_paths = input["A_paths"]
        if self.real.shape[1] != self.input_nc:
            raise InputError(
                f"--input_nc {self.opt.input_nc} --output_nc {self.opt.output_nc}: this direction needs images of "
                f"{self.input_nc} channels, and the data set gives {self.real.shape[1]}; test with the trained --model"
            )

    def translate(self, images):
        return {"fake": self.netG(images)}

    def forward(self):
        self.fake = self.batched(self.netG, self.real)

    def optimize_parameters(self):
        raise InputError("--model test: it is for test.py; choose another model to train")
