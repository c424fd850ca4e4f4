"""The images below a folder. The names here are public: data sets written elsewhere import them."""

from torch.utils.data import Dataset

from data.image_paths import EXTENSIONS, IMG_EXTENSIONS, is_image_file, make_dataset
from data.pictures import open_image

__all__ = ["EXTENSIONS", "IMG_EXTENSIONS", "ImageFolder", "default_loader", "is_image_file", "make_dataset"]


def default_loader(path):
    return open_image(path)


class ImageFolder(Dataset):
    """All images below a folder. An item is an image, or (image, path) with return_paths."""

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
