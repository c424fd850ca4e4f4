"""A folder for each domain: ``--dataset_mode labelled_folders``.

It reads <dataroot>/<phase>/<domain>/..., or, without a folder for the phase, <dataroot>/<domain>/..., with sub-folders.

A test needs no folders of domains: it reads all images below <dataroot>/<phase>, or below <dataroot>.
"""

import os

from data import flags
from data.flags import domain_folder, find_domains
from data.folders import find_images
from data.image_paths import make_dataset
from data.labelled import LabelledImages, labelled_transform, print_sizes
from util.errors import InputError, nearest


class LabelledFoldersDataset(LabelledImages):
    """Items {A: (C, H, W), label: index of the domain, A_paths}; no label in a test."""

    modify_commandline_options = staticmethod(flags.labelled_folders)

    def __init__(self, opt):
        super().__init__(opt)
        if opt.isTrain:
            self.paths, self.labels = find_labelled(opt)
        else:
            self.paths, self.labels = find_unlabelled(opt), None
        self.roots = [*self.roots, domain_folder(opt)]
        self.transform = labelled_transform(opt, "rafd")
        print_sizes(opt, "rafd", self.paths[0])


def find_labelled(opt):
    """(paths, indices of their domains), domain by domain, at most --max_dataset_size of each."""
    folder, there = domain_folder(opt), find_domains(opt)
    if not os.path.isdir(folder):
        find_images(opt, opt.phase, [opt.phase])  # raises an error that lists the folders
    for domain in opt.domains:
        if domain not in there:
            hint = nearest(domain, there) or f" there are {', '.join(there) or 'none'}"
            raise InputError(f"--domains {domain}: no folder of that name with images in {folder};{hint}")
    if len(opt.domains) < 2:
        found = f"only {there[0]}" if there else "none"
        raise InputError(f"{folder}: needs a folder with images for each of at least two domains, found {found}")
    paths, classes = [], []
    for number, domain in enumerate(opt.domains):
        own = make_dataset(os.path.join(folder, domain), opt.max_dataset_size)
        paths += own
        classes += [number] * len(own)
    print(f"{folder}: {', '.join(f'{classes.count(i)} {domain}' for i, domain in enumerate(opt.domains))}")
    return paths, classes


def find_unlabelled(opt):
    folder = domain_folder(opt)
    if folder == opt.dataroot or not os.path.isdir(folder):
        return find_images(opt, "", [])
    paths = make_dataset(folder, opt.max_dataset_size)
    return paths or find_images(opt, opt.phase, [opt.phase])
