"""Images with attributes and images in a folder per domain, trained together: ``--dataset_mode celeba_and_folders``.

<dataroot> is read as by ``celeba``, --rafd_image_dir as by ``labelled_folders`` (by default <dataroot>, too).

The label of an image, with a mask that marks its known part (section 3.2 of the StarGAN paper, eq. 7):

    [ attributes (0 if unknown) | domain, one-hot (0 if unknown) | attributes known? | domain known? ]
"""

import torch
from torch.nn.functional import one_hot

from data import flags
from data.base_dataset import BaseDataset
from data.celeba_dataset import CelebADataset
from data.flags import domain_folder
from data.labelled import find_attribute_file
from data.labelled_folders_dataset import LabelledFoldersDataset
from util.errors import InputError
from util.numerics import seeding
from util.processes import distributed


class CelebAAndFoldersDataset(BaseDataset):
    """Items {A: (C, H, W), label: (attributes + domains + 2,), A_paths}.

    In training, steps with attributes and steps with domains alternate; the images of the smaller part are repeated
    within an epoch.
    """

    modify_commandline_options = staticmethod(flags.celeba_and_folders)
    reads_plain_folders = True

    def __init__(self, opt):
        super().__init__(opt)
        self.parts = [CelebADataset(opt), LabelledFoldersDataset(opt)] if opt.isTrain else parts_of_a_test(opt)
        self.roots = list(dict.fromkeys(root for part in self.parts for root in part.roots))
        common = [name for name in opt.selected_attrs if name in opt.domains]
        if common:
            raise InputError(f"--domains {common[0]}: an attribute has the same name; rename the folder")

    def files(self):
        return [path for part in self.parts for path in part.files()]

    def __len__(self):
        if not self.opt.isTrain:
            return sum(map(len, self.parts))
        return 2 * self._turns() * distributed.step_size(self.opt)

    def _turns(self):
        return -(-max(map(len, self.parts)) // distributed.step_size(self.opt))

    def visiting_order(self, seed, epoch, shuffled):
        """Indices for alternating steps of the two parts, each part in its own order; in a test, all in order."""
        if not self.opt.isTrain:
            return range(len(self))
        size, order = distributed.step_size(self.opt), []
        first, second = (self._rounds(part, seed, epoch, shuffled) for part in (0, 1))
        for start in range(0, self._turns() * size, size):
            order += first[start : start + size] + second[start : start + size]
        return order

    def _rounds(self, part, seed, epoch, shuffled):
        """The indices of a part for an epoch; each repetition of the part has a new order."""
        length, wanted, order = len(self.parts[part]), self._turns() * distributed.step_size(self.opt), []
        while len(order) < wanted:
            own = seeding.derive(seed, part, len(order) // length)
            order += seeding.order(own, epoch, length) if shuffled else range(length)
        first = part * len(self.parts[0])
        return [first + index for index in order[:wanted]]

    def __getitem__(self, index):
        first = len(self.parts[0])
        item = self.parts[0][index] if index < first else self.parts[1][index - first]
        return {**item, "label": self.masked(item.get("label"))}

    def masked(self, label):
        """The label of the whole data set for the label of a part; None: all unknown."""
        attributes, domains = len(self.opt.selected_attrs), len(self.opt.domains)
        if label is None:
            return torch.zeros(attributes + domains + 2)
        if isinstance(label, int):
            hot = one_hot(torch.tensor(label), domains).float()
            return torch.cat((torch.zeros(attributes), hot, torch.tensor([0.0, 1.0])))
        return torch.cat((label, torch.zeros(domains), torch.tensor([1.0, 0.0])))


def parts_of_a_test(opt):
    """The parts of a test: images with attributes, images in a folder of the phase, otherwise any images."""
    parts = [CelebADataset(opt)] if opt.attr_path or find_attribute_file(opt.dataroot) else []
    if domain_folder(opt) != opt.dataroot:
        parts.append(LabelledFoldersDataset(opt))
    return parts or [CelebADataset(opt)]
