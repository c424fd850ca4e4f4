"""The datasets and trained weights that the authors of these models published, with their addresses.

https comes before http, which does not authenticate the server; the last address of some sets is an older server with
the same files.
"""

from typing import NamedTuple

BERKELEY = ("https://efrosgans.eecs.berkeley.edu", "http://efrosgans.eecs.berkeley.edu")
OLDER_CYCLEGAN = "https://people.eecs.berkeley.edu/~taesung_park/CycleGAN"
OLDER_PIX2PIX = "https://people.eecs.berkeley.edu/~tinghuiz/projects/pix2pix"


class Entry(NamedTuple):
    """A dataset, or trained weights: these have `options`, from which test.py builds the network."""

    name: str
    of: tuple  # publications that use it, from FAMILIES
    archive: str  # name of the file that is downloaded
    addresses: tuple
    holds: tuple  # folders or files in the archive
    about: str
    options: dict | None = None
    sha256: str | None = None

    @property
    def is_weights(self):
        return self.options is not None


FAMILIES = ("cyclegan", "pix2pix", "cut", "stargan")

# name, what it shows
UNPAIRED_SETS = (
    ("apple2orange", "apples and oranges, from ImageNet"),
    ("summer2winter_yosemite", "Yosemite in summer and winter, from Flickr"),
    ("horse2zebra", "horses and zebras, from ImageNet"),
    ("monet2photo", "paintings of Monet and landscape photos"),
    ("cezanne2photo", "paintings of Cezanne and landscape photos"),
    ("ukiyoe2photo", "ukiyo-e prints and landscape photos"),
    ("vangogh2photo", "paintings of van Gogh and landscape photos"),
    ("maps", "aerial photos and maps, unpaired"),
    ("facades", "facade photos and label maps, unpaired"),
    ("iphone2dslr_flower", "flowers taken with phones and with DSLR cameras"),
    ("ae_photos", "plain photos and photos enhanced by hand"),
)

# name, what it shows (left is A, right is B), its folders
PAIRED_SETS = (
    ("facades", "facade photos (A) and label maps (B)", ("train", "val", "test")),
    ("maps", "aerial photos (A) and maps (B)", ("train", "val")),
    ("edges2shoes", "edge drawings (A) and shoes (B)", ("train", "val")),
    ("edges2handbags", "edge drawings (A) and handbags (B)", ("train", "val")),
    ("night2day", "one place by night (A) and by day (B)", ("train", "val", "test")),
)


def _unpaired(name, about, of=("cyclegan", "cut"), holds=("trainA", "trainB", "testA", "testB")):
    homes = (*(f"{host}/cyclegan" for host in BERKELEY), OLDER_CYCLEGAN)
    addresses = tuple(f"{home}/datasets/{name}.zip" for home in homes)
    return Entry(name, of, f"{name}.zip", addresses, holds, about)


def _paired(name, about, holds):
    homes = (*(f"{host}/pix2pix" for host in BERKELEY), OLDER_PIX2PIX)
    addresses = tuple(f"{home}/datasets/{name}.tar.gz" for home in homes)
    return Entry(name, ("pix2pix",), f"{name}.tar.gz", addresses, holds, about)


SETS = (
    *(_unpaired(*each) for each in UNPAIRED_SETS),
    _unpaired("grumpifycat", "Russian Blue cats and Grumpy Cat", ("cut",), ("trainA", "trainB")),
    _unpaired("single_image_monet_etretat", "a painting and a photo, for SinCUT", ("cut",), ("trainA", "trainB")),
    _unpaired("mini", "a few images, to try a set-up with", ("cyclegan",), ("trainA", "trainB")),
    *(_paired(*each) for each in PAIRED_SETS),
    _unpaired("mini_pix2pix", "a few pairs, to try a set-up with", ("pix2pix",), ("train",)),
    _unpaired("mini_colorization", "a few colour photos, to try a set-up with", ("pix2pix",), ("train",)),
    Entry(
        "celeba",
        ("stargan",),
        "celeba.zip",
        ("https://www.dropbox.com/s/d1kjpkqklf0uw77/celeba.zip?dl=1",),
        ("images", "list_attr_celeba.txt"),
        "CelebA: 202,599 aligned faces of 178 x 218 with 40 attributes each",
    ),
)

# Options of the released networks. A file of CycleGAN has one generator, so --model test runs it.
RESNET = {"model": "test", "dataset_mode": "single", "netG": "resnet_9blocks", "norm": "instance", "no_dropout": True}
UNET = {"model": "pix2pix", "dataset_mode": "aligned", "netG": "unet_256", "norm": "batch", "no_dropout": False}

CYCLEGAN_WEIGHTS = (
    ("apple2orange", "apples to oranges"),
    ("orange2apple", "oranges to apples"),
    ("summer2winter_yosemite", "summer to winter"),
    ("winter2summer_yosemite", "winter to summer"),
    ("horse2zebra", "horses to zebras"),
    ("zebra2horse", "zebras to horses"),
    ("monet2photo", "Monet's paintings to photos"),
    ("style_monet", "photos to paintings after Monet"),
    ("style_cezanne", "photos to paintings after Cezanne"),
    ("style_ukiyoe", "photos to ukiyo-e prints"),
    ("style_vangogh", "photos to paintings after van Gogh"),
    ("sat2map", "aerial photos to maps"),
    ("map2sat", "maps to aerial photos"),
    ("cityscapes_photo2label", "street photos to label maps"),
    ("cityscapes_label2photo", "label maps to street photos"),
    ("facades_photo2label", "facade photos to label maps"),
    ("facades_label2photo", "label maps to facade photos"),
    ("iphone2dslr_flower", "phone photos to shallow depth of field"),
)

PIX2PIX_WEIGHTS = (
    ("edges2shoes", "edge drawings to shoes", "AtoB"),
    ("sat2map", "aerial photos to maps", "AtoB"),
    ("map2sat", "maps to aerial photos", "BtoA"),
    ("facades_label2photo", "label maps to facade photos", "BtoA"),
    ("day2night", "day to night", "BtoA"),
)


def _weights(name, about, of, folder, options):
    addresses = tuple(f"{host}/{of}/{folder}/{name}.pth" for host in BERKELEY)
    return Entry(name, (of,), f"{name}.pth", addresses, ("latest_net_G.pth",), about, options)


WEIGHTS = (
    *(_weights(name, about, "cyclegan", "pretrained_models", RESNET) for name, about in CYCLEGAN_WEIGHTS),
    *(
        _weights(name, about, "pix2pix", "models-pytorch", {**UNET, "direction": direction})
        for name, about, direction in PIX2PIX_WEIGHTS
    ),
)

# Datasets whose licence forbids redistribution, and how to get them.
GATED = {
    "cityscapes": "its licence forbids redistribution. Register at https://www.cityscapes-dataset.com, download and "
    "unpack gtFine_trainvaltest.zip and leftImg8bit_trainvaltest.zip, then run datasets/prepare_cityscapes_dataset.py",
    "rafd": "its licence forbids redistribution. Request it from the Radboud Faces Database, sort the images into a "
    "folder per expression, then run datasets/split_dataset.py --domains",
}
