"""One folder of images, for translation in one direction: ``--dataset_mode single``.

It reads all images below <dataroot>; --phase is not used.
"""

from data import flags
from data.base_dataset import BaseDataset, get_transform
from data.folders import find_images
from data.planes import Side


class SingleDataset(BaseDataset):
    """Items {A, A_paths}."""

    modify_commandline_options = staticmethod(flags.single)

    def __init__(self, opt):
        super().__init__(opt)
        self.roots = [self.root]
        self.A_paths = find_images(opt, "", [])
        # The images are the input of the network; against the direction of the training, --output_nc is its channels.
        other_way = (getattr(opt, "test_direction", None) or opt.direction) != opt.direction
        channels = opt.output_nc if other_way else opt.input_nc
        self.side = Side(opt, channels)
        self.transform = get_transform(opt, grayscale=channels == 1)

    def files(self):
        return self.A_paths

    def __len__(self):
        return len(self.A_paths)

    def __getitem__(self, index):
        path = self.A_paths[index]
        A = self.side.load(path, self.transform)
        return {"A": A, "A_paths": path}
