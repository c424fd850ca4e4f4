"""Flags of ``--dataset_mode labelled_folders``, and the domains where none are named."""

import os

from data.folders import phase_of
from data.image_paths import make_dataset
from data.labelled_options import add_labelled_flags
from util.flags import refuse

reads_plain_folders = True


def add_folder_flags(parser):
    parser.add_argument("--rafd_image_dir", help="folder of the domains' folders (none given: --dataroot)")


def domain_folder(opt):
    """Where the domains' folders lie."""
    root = opt.rafd_image_dir or opt.dataroot
    own = os.path.join(root, phase_of(opt) if root == opt.dataroot else opt.phase)
    return own if os.path.isdir(own) else root


def find_domains(opt):
    """Names of the folders with images in them, sorted; none if there is no such place."""
    folder = domain_folder(opt)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    inside = ((name, os.path.join(folder, name)) for name in names if not name.startswith("."))
    return [name for name, path in inside if os.path.isdir(path) and make_dataset(path, 1)]


def add_options(parser, is_train):
    add_labelled_flags(parser, "labelled_folders", "rafd")
    refuse(parser, "--dataset_mode labelled_folders", selected_attrs="name its folders with --domains")
    add_folder_flags(parser)
    opt = parser.parse_known_args()[0]
    domains = opt.domains or (find_domains(opt) if is_train and opt.dataroot else [])
    parser.set_defaults(domains=domains, c_dim=len(domains), selected_attrs=[])
    return parser
