"""The data set to copy: ``--dataset_mode template``.

Save your copy as data/<name>_dataset.py with a class <Name>Dataset (without underscores; case does not matter), and
train with ``python train.py --dataset_mode <name>``. No registration is needed.

The template works without changes: A is any image below --dataroot, B is the same image with changed tones, so that a
model can learn the change. Try ``python train.py --model template --dataset_mode template --dataroot <folder>``.
"""

from data.base_dataset import BaseDataset, get_transform
from data.image_folder import make_dataset
from data.pictures import load_image
from util.errors import InputError
from util.flags import Float


class TemplateDataset(BaseDataset):
    @staticmethod
    def modify_commandline_options(parser, is_train):
        """Add your own flags, and defaults that suit the data.

        Called when the command line is parsed; is_train is True in train.py and False in test.py. Flags on the command
        line override set_defaults() here, which overrides set_defaults() of the model.
        """
        parser.add_argument("--new_dataset_option", type=Float(above=0), default=1.0, help="exponent of B's tones")
        parser.set_defaults(max_dataset_size=10, new_dataset_option=2.0)
        return parser

    def __init__(self, opt):
        """Find the files, and build what all items share. Do not open images here."""
        super().__init__(opt)  # sets self.opt and self.root = opt.dataroot
        # All images below the folder, sorted, at most max_dataset_size. For a folder per phase, use
        # make_dataset(os.path.join(self.root, opt.phase)).
        self.paths = make_dataset(self.root, opt.max_dataset_size)
        if not self.paths:
            raise InputError(f"--dataroot {self.root}: no images below it")
        # Resizes, crops and flips by --preprocess and --no_flip, and makes a tensor in [-1, 1]. For the same crop and
        # flip of two images, draw params = get_params(opt, size) in __getitem__ and pass it to both transforms.
        self.transform = get_transform(opt, grayscale=opt.input_nc == 1)

    def files(self):
        """The image files, for the check before training and for scripts/check_data.py. Optional."""
        return self.paths

    def __len__(self):
        """The number of items in an epoch."""
        return len(self.paths)

    def __getitem__(self, index):
        """The item at an index: a dict of tensors, numbers and strings, which the loader stacks into a batch.

        The model's set_input reads the keys; the built-in models read A, B, A_paths and B_paths. You may draw from
        random, numpy.random and torch: all are seeded for each item. The user sees an InputError as one line.
        """
        path = self.paths[index]
        A = load_image(path, self.transform)
        B = ((A + 1) / 2) ** self.opt.new_dataset_option * 2 - 1
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
