"""Flags of ``--dataset_mode celeba_and_folders``."""

from data.celeba_options import add_attribute_flags
from data.labelled_folders_options import add_folder_flags, find_domains
from data.labelled_options import add_labelled_flags

reads_plain_folders = True


def add_options(parser, is_train):
    add_labelled_flags(parser, "celeba_and_folders", "celeba", "rafd")
    add_attribute_flags(parser)
    add_folder_flags(parser)
    opt = parser.parse_known_args()[0]
    domains = opt.domains or (find_domains(opt) if is_train and opt.dataroot else [])
    if "images" in domains and not opt.domains and not opt.rafd_image_dir:
        domains = [name for name in domains if name != "images"]  # those are the images with attributes
    parser.set_defaults(domains=domains, c_dim=len(opt.selected_attrs), c2_dim=len(domains))
    if is_train:  # where the model counts iterations it means a batch of each
        parser.set_defaults(**{name: 2 * parser.get_default(name) for name in ("n_iters", "n_iters_decay")})
    return parser
