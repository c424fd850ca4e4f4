"""A pool whose images lie in slots of one tensor, for --capture: the same answers and content as a list of images."""

import random

import pytest
import torch

from util.image_pool import ImagePool
from util.numerics import capturing


def pools(size):
    listed, slotted = ImagePool(size), ImagePool(size)
    slotted.in_slots = True
    return listed, slotted


def ask_both(listed, slotted, images, seed):
    answers = []
    for pool in (listed, slotted):
        random.seed(seed)
        answers.append(pool.query(images))
        answers.append(torch.tensor(random.random()))  # as many draws
    torch.testing.assert_close(answers[0], answers[2], rtol=0, atol=0)
    assert answers[0].stride() == answers[2].stride()
    assert answers[1] == answers[3]
    for one, other in zip(listed.images, slotted.images, strict=True):
        assert one.shape == other.shape
        assert torch.equal(one, other)


@pytest.mark.parametrize("size", [1, 2, 5, 50])
@pytest.mark.parametrize("batches", [[1], [4], [3, 1, 8, 2]])
def test_answers_and_content_equal_those_of_a_list(size, batches):
    listed, slotted = pools(size)
    for step in range(60):
        images = torch.full((batches[step % len(batches)], 1, 2, 2), float(step)) + torch.arange(0, 1, 0.25).view(2, 2)
        images = images + 1000 * torch.arange(len(images)).view(-1, 1, 1, 1)
        ask_both(listed, slotted, images, seed=step)
    assert slotted.slots is not None


def test_a_state_goes_from_a_list_to_slots_and_back():
    """Also one that was made before there were slots, and one of a larger pool."""
    listed, slotted = pools(3)
    for step in range(8):
        listed.query(torch.full((2, 1, 2, 2), float(step)))
    slotted.load_state_dict(listed.state_dict())
    for step in range(8, 20):
        ask_both(listed, slotted, torch.full((2, 1, 2, 2), float(step)), seed=step)
    again, smaller = ImagePool(3), ImagePool(2)
    for pool in (again, smaller):
        pool.load_state_dict(slotted.state_dict())
        assert all(torch.equal(a, b) for a, b in zip(pool.images, listed.images, strict=pool is again))
    stored = slotted.state_dict()["images"][0].clone()
    slotted.query(torch.full((8, 1, 2, 2), 99.0))
    assert torch.equal(stored, again.images[0])  # not a view of the slots, which change


def test_images_of_many_sizes_leave_the_slots():
    listed, slotted = pools(2)
    for step, side in enumerate([4, 4, 4, 5, 6, 6, 4, 7, *[8] * 12]):
        ask_both(listed, slotted, torch.full((1, 1, side, side), float(step)), seed=step)
    assert slotted.slots.shape == (3, 1, 8, 8)  # once all images have one size


def test_the_layout_in_memory_is_the_same():
    listed, slotted = pools(2)
    for step in range(12):
        images = torch.rand(3, 4, 2, 3).contiguous(memory_format=torch.channels_last)
        ask_both(listed, slotted, images, seed=step)


def test_draws_come_from_the_tape_in_its_order():
    listed, slotted = pools(2)
    tape = capturing.Tape()
    random.seed(1)
    with tape.recording():
        slotted.query(torch.zeros(1, 1, 2, 2))
    assert len(tape.draws) == 1
    images = [torch.full((1, 1, 2, 2), float(step)) for step in range(20)]
    answers = []
    for step in images:
        tape.refill()
        with tape.reading():
            answers.append(slotted.query(step))
    random.seed(1)
    listed.query(torch.zeros(1, 1, 2, 2))
    assert [answer.mean() for answer in answers] == [listed.query(step).mean() for step in images]
