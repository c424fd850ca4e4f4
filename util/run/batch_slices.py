"""Batches of a data set as dicts: their size, their slices, and the samples of a data set one by one."""

import torch

from util.processes import distributed


def batch_size(data):
    """The number of images in a batch: the length of its first tensor."""
    for value in data.values():
        if isinstance(value, torch.Tensor) and value.dim():
            return value.shape[0]
    return len(next(iter(data.values())))


def is_paired(data):
    """Whether each sample of a batch has the true translation of its image: the data set declares it with the entry
    "paired"; without this entry, both sides must come from the same file."""
    if "paired" in data:
        return bool(torch.as_tensor(data["paired"]).all())
    return "A_paths" in data and "B" in data and data["A_paths"] == data.get("B_paths")


def split_batch(batch, size, most=None):
    """Cut the first `most` samples of a batch (None: all) into batches of at most `size` samples.

    Tensors and lists as long as the batch are sliced, other values are kept. One slice of all samples is the batch.
    """
    images = batch_size(batch)
    stop = images if most is None else min(images, most)
    if min(size, stop) == images:
        return [batch]

    def sliced(value, start):
        per_sample = isinstance(value, (torch.Tensor, list, tuple)) and len(value) == images
        return value[start : min(start + size, stop)] if per_sample else value

    return [{key: sliced(value, start) for key, value in batch.items()} for start in range(0, stop, size)]


def samples(dataset, most, one_by_one=False):
    """Yields the first `most` samples of a data set, in its batches or one by one."""
    done = 0
    for batch in dataset:
        yield from split_batch(batch, 1 if one_by_one else batch_size(batch), most - done)
        done += min(batch_size(batch), most - done)
        if done >= most:
            return


def own_samples(dataset, most):
    """Yields this rank's share of the first `most` samples of a data set, one by one."""
    done = 0
    for step, batch in enumerate(dataset):
        everywhere = dataset.images_of(step)[1]
        first, own = distributed.own_share(everywhere)
        for number, part in enumerate(split_batch(batch, 1)[:own], start=done + first):
            if number < most:
                yield part
        done += everywhere
        if done >= most:
            return
