"""The data set to copy: ``--dataset_mode template``.

Save your copy as data/<name>_dataset.py with a class <Name>Dataset (no underscores; upper and lower case don't
matter), and train with ``python train.py --dataset_mode <name>``. Nothing needs to be registered.

This one works as it is: A is any image below --dataroot, B the same image with its tones changed, so that a model
has something to learn. Try it with ``python train.py --model template --dataset_mode template --dataroot <folder>``.
"""

from data.base_dataset import BaseDataset, get_transform
from data.image_folder import make_dataset
from data.pictures import load_image
from util.errors import InputError
from util.flags import Float


class TemplateDataset(BaseDataset):
    @staticmethod
    def modify_commandline_options(parser, is_train):
        """Flags of your own, and defaults that suit the data.

        Called while the command line is parsed, with is_train telling train.py from test.py. What is typed there
        wins over set_defaults, and set_defaults here wins over the model's.
        """
        parser.add_argument("--new_dataset_option", type=Float(above=0), default=1.0, help="exponent of B's tones")
        parser.set_defaults(max_dataset_size=10, new_dataset_option=2.0)
        return parser

    def __init__(self, opt):
        """Find the files, build what is the same for all items; open no images yet."""
        super().__init__(opt)  # self.opt, and self.root = opt.dataroot
        # Recursive, sorted, at most that many. make_dataset(os.path.join(self.root, opt.phase)) would read a folder
        # per phase.
        self.paths = make_dataset(self.root, opt.max_dataset_size)
        if not self.paths:
            raise InputError(f"--dataroot {self.root}: no images below it")
        # Resizing, cropping, flipping as --preprocess and --no_flip say, then a tensor in [-1, 1]. To give two
        # images the same crop and flip, draw params = get_params(opt, size) in __getitem__ and pass them to both.
        self.transform = get_transform(opt, grayscale=opt.input_nc == 1)

    def files(self):
        """The image files, for the check before training and scripts/check_data.py. Optional."""
        return self.paths

    def __len__(self):
        """Items per epoch."""
        return len(self.paths)

    def __getitem__(self, index):
        """One item: a dict of tensors, numbers and strings, which the loader stacks into a batch.

        The keys are those the model's set_input reads; A, B, A_paths and B_paths suit the models that come with
        the framework. Draw from random, numpy.random or torch as you like: all are seeded for each item. An
        InputError reaches the user as one line.
        """
        path = self.paths[index]
        A = load_image(path, self.transform)
        B = ((A + 1) / 2) ** self.opt.new_dataset_option * 2 - 1
        return {"A": A, "B": B, "A_paths": path, "B_paths": path}
