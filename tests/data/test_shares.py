"""Division of an epoch's images among ranks."""

import pytest

from data.loading.loader import PositionSampler
from util.numerics import seeding
from util.processes import distributed, session


@pytest.fixture
def as_process(monkeypatch):
    def become(rank, size):
        monkeypatch.setattr(session, "_rank", rank)
        monkeypatch.setattr(session, "_size", size)

    return become


def epoch(as_process, rank, size, images, batch_size, **more):
    as_process(rank, size)
    sampler = PositionSampler(range(images), images, batch_size * size, seed=4, serial=False, **more)
    sampler.set_epoch(2)
    return [[index for _, index in batch] for batch in sampler], [sampler.images_of(i)[0] for i in range(len(sampler))]


@pytest.mark.parametrize(("size", "batch_size", "images"), [(1, 3, 10), (2, 1, 9), (2, 2, 9), (3, 2, 13), (4, 1, 5)])
def test_ranks_together_read_all_images_once_in_the_order_of_one_process(size, batch_size, images, as_process):
    own = [epoch(as_process, rank, size, images, batch_size) for rank in range(size)]
    assert len({len(batches) for batches, _ in own}) == 1, "all take part in every step"
    seen = []
    for step in range(len(own[0][0])):
        for batches, counts in own:
            assert 1 <= len(batches[step]) <= batch_size
            seen += batches[step][: counts[step]]  # a process without an image gets one that is not counted
    assert seen == seeding.order(4, 2, images)


def test_a_resumed_epoch_skips_the_steps_made(as_process):
    as_process(1, 2)
    sampler = PositionSampler(range(10), 10, 4, seed=4, serial=True)
    whole = list(sampler)
    sampler.start = 1
    assert list(sampler) == whole[1:] == [[(0, 6), (0, 7)], [(0, 9)]]


def test_drop_last_drops_a_short_step_on_all_ranks(as_process):
    assert len(epoch(as_process, 0, 2, 9, 2, drop_last=True)[0]) == 2


def test_shares_of_the_ranks_differ_by_at_most_one_image(as_process):
    for size in (1, 2, 3, 7):
        for images in range(20):
            shares = []
            for rank in range(size):
                as_process(rank, size)
                shares.append(distributed.own_share(images))
            assert [first for first, _ in shares] == [sum(n for _, n in shares[:rank]) for rank in range(size)]
            numbers = [number for _, number in shares]
            assert sum(numbers) == images and max(numbers) - min(numbers) <= 1
