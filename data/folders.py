"""The folders of a data set, and the message for a missing folder, with the expected and the existing folders."""

import os
from itertools import islice

from data.image_names import about_unread, is_shard
from data.image_paths import EXTENSIONS, image_rule, make_dataset
from data.loading.archive import known_below
from util.errors import InputError, nearest, some_of

SIDE_BY_SIDE = (
    "each image holds A in its left half and B in its right half: scale the two images of a pair to one size, "
    "paste them next to each other and save the result there; or give <phase>A and <phase>B equal names"
)


def phase_of(opt, side=""):
    """opt.phase, or "val" for a test if there is no folder test<side> but a folder val<side>."""
    there = (os.path.isdir(os.path.join(opt.dataroot, phase + side)) for phase in ("test", "val"))
    return "val" if opt.phase == "test" and list(there) == [False, True] else opt.phase


def find_images(opt, name, tree, note=""):
    """Paths of the images in <dataroot>/<name>, at most opt.max_dataset_size.

    InputError for a missing or empty folder; it lists `tree`, the folders that this data set reads, with the text
    `note` about their content.
    """
    folder = os.path.join(opt.dataroot, name) if name else opt.dataroot
    if not os.path.isdir(opt.dataroot):
        if os.path.exists(opt.dataroot):
            raise InputError(f"--dataroot {opt.dataroot}: this is a file; give the folder that holds the images")
        raise InputError(f"--dataroot {opt.dataroot}: there is no such folder{_neighbour(opt.dataroot)}")
    paths = make_dataset(folder, opt.max_dataset_size) if os.path.isdir(folder) else []
    if paths:
        print_shards(folder, paths)
        return paths
    problem = f"no images in it ({' '.join(EXTENSIONS)})" if os.path.isdir(folder) else "there is no such folder"
    there = inventory(opt.dataroot)
    reads = " and ".join(f"<dataroot>/{part}" for part in tree) or "the images anywhere below --dataroot"
    note = f" ({note})" if note else ""
    is_tar = not os.path.isdir(folder) and os.path.isfile(folder + ".tar")
    correction = f"Put {folder}.tar into a folder {folder}" if is_tar else correct(opt, tree, there)
    raise InputError(
        f"{folder}: {problem}. --dataset_mode {opt.dataset_mode} reads {reads}{note}; "
        f"{opt.dataroot} has {describe_all(folder, there)}. {correction}"
    )


def other_kinds(folder, most=10_000):
    """about_unread() of the files below the folder."""
    return about_unread(islice((name for _, _, files in os.walk(folder) for name in files), most))


def describe_all(folder, there):
    """describe(there), and the images of unsupported formats in `folder`."""
    known, others = describe(there), other_kinds(folder)
    if others and known == NOTHING:
        return others
    return f"{known}; {os.path.basename(folder)} has {others}" if others else known


NOTHING = "nothing in it"


def print_shards(folder, paths):
    """Print the number of images in tar files: a tar file that is there by mistake would add its images silently."""
    shards = known_below(folder)
    if shards:
        print(f"{folder}: {len(paths):,} images; {sum(shards.values()):,} are in its {len(shards):,} tar files")


def inventory(root, limit=10_000):
    """{folder: number of its own images and shards} of `root` ("") and two levels below; looks at `limit` entries."""
    counts, queue = {}, [("", 0)]
    for name, depth in queue:
        counts[name] = 0
        try:
            with os.scandir(os.path.join(root, name)) as scan:
                entries = sorted(islice(scan, limit), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if image_rule()(entry.name) or (is_shard(entry.name) and os.path.isfile(entry.path)):
                counts[name] += 1
            elif depth < 2 and not entry.name.startswith(".") and os.path.isdir(entry.path) and len(queue) < 200:
                queue.append((os.path.join(name, entry.name), depth + 1))
    return counts


def describe(there, most=8):
    numbers = {name: f"{count} image{'s' * (count > 1)}" for name, count in sorted(there.items()) if count}
    parts = [f"{name or 'directly in it'} ({number})" for name, number in numbers.items()]
    if not parts:
        folders = sorted(name for name in there if name)
        return f"no images, only the folders {some_of(folders, most)}" if folders else NOTHING
    return some_of(parts, most)


def correct(opt, tree, there):
    """The most likely correction, by the folders that exist (`there`, an inventory)."""
    root, phase = opt.dataroot, opt.phase
    for parent in sorted(name for name in there if name and os.sep not in name):
        if tree and all(os.path.join(parent, part) in there for part in tree):
            return f"Give --dataroot {os.path.join(root, parent)}"
    parent, own = os.path.split(os.path.abspath(root))
    if own in tree:
        return f"Give --dataroot {parent}"
    if tree == [phase]:
        others = [name for name, count in sorted(there.items()) if name and count and os.sep not in name]
        return f"Put the images there, or name another folder with --phase{_list(others)}"
    if tree and all(os.path.join(phase, part[-1]) in there for part in tree):
        pairs = (f"{os.path.join(phase, part[-1])} to {part}" for part in tree)
        return f"Move {' and '.join(pairs)}"
    others = [
        name[:-1] for name in sorted(there) if name[1:].endswith("A") and (name[:-1] + "B" in there or not opt.isTrain)
    ]
    if tree and any(others) and phase not in others:
        return f"Put the images there, or choose another --phase{_list(others)}"
    if tree and there.get(phase):
        return f"If the images in {phase} hold A and B side by side, give --dataset_mode aligned"
    if tree and there[""] and not opt.isTrain:
        return "For a plain folder of images give --dataset_mode single"
    return "Put or link the images there, or give another --dataroot"


def _list(names):
    return f" ({', '.join(names[:5])})" if names else ""


def _neighbour(root):
    parent, own = os.path.split(os.path.abspath(root))
    if not os.path.isdir(parent):
        return ""
    return ";" + hint if (hint := nearest(own, sorted(os.listdir(parent)))) else ""
