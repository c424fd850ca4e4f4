"""Finding image files below a folder."""

import os

from torch.utils.data import Dataset

from data.image_file import open_image
from util.errors import InputError

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".tif", ".tiff", ".webp")
IMG_EXTENSIONS = [spelling for extension in EXTENSIONS for spelling in (extension, extension.upper())]


def is_image_file(filename):
    """Whether a name or path looks like an image; hidden files (.x.png, ._x.png) don't."""
    name = os.path.basename(filename)
    return name.lower().endswith(EXTENSIONS) and not name.startswith(".")


def make_dataset(dir, max_dataset_size=float("inf")):
    """Paths of the images in a folder and its sub-folders, linked ones too: sorted, then the first so many.

    Hidden folders are left out. A link to a folder it lies in is not followed. Dangling links to images stay in
    the list, so that opening them says what is wrong.
    """
    if not os.path.isdir(dir):
        raise InputError(f"{dir}: there is no such folder")
    paths = sorted(_walk(os.fspath(dir), frozenset()))
    return paths[: int(min(max_dataset_size, len(paths)))]


def _walk(folder, above):
    """Image paths below `folder`; `above` holds the identities of the folders it lies in, to notice loops."""
    try:
        status = os.stat(folder)
        here = (status.st_dev, status.st_ino)
        if here in above:
            return
        inside = above | {here}
        with os.scandir(folder) as scan:
            entries = list(scan)
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if _is_folder(entry):
            yield from _walk(entry.path, inside)
        elif is_image_file(entry.name) and (entry.is_symlink() or entry.is_file()):
            yield entry.path


def _is_folder(entry):
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def default_loader(path):
    return open_image(path)


class ImageFolder(Dataset):
    """All images below a folder, without labels: the image, or (image, path) with return_paths."""

    def __init__(self, root, transform=None, return_paths=False, loader=default_loader):
        self.root = root
        self.imgs = make_dataset(root)
        if not self.imgs:
            raise RuntimeError(f"{root}: no images in it ({', '.join(EXTENSIONS)})")
        self.transform = transform
        self.return_paths = return_paths
        self.loader = loader

    def __getitem__(self, index):
        path = self.imgs[index]
        image = self.loader(path)
        if self.transform is not None:
            image = self.transform(image)
        return (image, path) if self.return_paths else image

    def __len__(self):
        return len(self.imgs)
