"""A data set as people wrote them for the original: make_dataset, get_params, get_transform, a free-form dict."""

import os

from data.base_dataset import BaseDataset, get_params, get_transform
from data.image_folder import make_dataset
from PIL import Image


class KStyleDataset(BaseDataset):
    @staticmethod
    def modify_commandline_options(parser, is_train):
        parser.add_argument("--brightness", type=float, default=1.0)
        parser.set_defaults(max_dataset_size=4)
        return parser

    def __init__(self, opt):
        BaseDataset.__init__(self, opt)
        self.dir_A = os.path.join(opt.dataroot, opt.phase + "A")
        self.A_paths = sorted(make_dataset(self.dir_A, opt.max_dataset_size))
        self.transform = get_transform(opt, grayscale=False)

    def __getitem__(self, index):
        image = Image.open(self.A_paths[index % len(self.A_paths)]).convert("RGB")
        params = get_params(self.opt, image.size)
        A = get_transform(self.opt, params)(image)
        return {
            "extra": index,
            "A": A,
            "B": self.transform(image) * self.opt.brightness,
            "A_paths": self.A_paths[index],
        }

    def __len__(self):
        return len(self.A_paths)
