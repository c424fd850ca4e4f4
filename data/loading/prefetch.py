"""The next batch's pictures on their way to the GPU while the step before still computes."""

import torch


def ahead(batches, device):
    """The same batches, one fetched ahead; on CUDA their pictures (tensors of 3 and more dimensions) are on the device.

    Labels stay where they are: models look at them, and that must not wait for the GPU. Needs pinned memory.
    """
    if device.type != "cuda":
        yield from batches
        return
    stream = torch.cuda.Stream(device)
    waiting = None
    for batch in batches:
        with torch.cuda.stream(stream):
            coming = {name: sent(value, device) for name, value in batch.items()} if type(batch) is dict else batch
            there = torch.cuda.Event()
            there.record(stream)
        if waiting is not None:
            yield arrived(*waiting, device)
        waiting = coming, there
    if waiting is not None:
        yield arrived(*waiting, device)


def sent(value, device):
    return value.to(device, non_blocking=True) if is_picture(value) else value


def arrived(batch, there, device):
    """The batch, for use on the current stream, which waits for its copies without stopping the host."""
    current = torch.cuda.current_stream(device)
    current.wait_event(there)
    for value in batch.values() if type(batch) is dict else ():
        if is_picture(value):
            value.record_stream(current)  # its memory may be used again only when this stream is done with it
    return batch


def is_picture(value):
    return isinstance(value, torch.Tensor) and value.dim() >= 3
