"""ImagePool, against recorded results of the original."""

import json
import random
from pathlib import Path

import pytest
import torch

from util.image_pool import ImagePool

CASES = json.loads((Path(__file__).parents[1] / "parity" / "pool.json").read_text())["cases"]


def constant(values, shape=(1, 2, 2)):
    return torch.stack([torch.full(shape, value) for value in values])


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"size{case['pool_size']}_seed{case['python_random_seed']}")
def test_results_and_content_equal_those_of_the_original(case):
    if case["python_random_seed"] is not None:
        random.seed(case["python_random_seed"])
    pool = ImagePool(case["pool_size"])
    for query in case["queries"]:
        images = constant(query["in"], case["image_shape"])
        answer = pool.query(images)
        assert answer[:, 0, 0, 0].tolist() == query["out"]
        assert (answer is images) == query["same_object"]
        assert [image[0, 0, 0, 0].item() for image in pool.images] == query["stored_after"]


def test_results_have_no_gradient_and_the_shape_of_the_input():
    images = torch.ones(3, 2, 4, 5, requires_grad=True)
    answer = ImagePool(2).query(images * 2)
    assert answer.shape == images.shape
    assert not answer.requires_grad


def test_size_zero_keeps_the_gradient():
    assert ImagePool(0).query(torch.ones(1, 1, 2, 2, requires_grad=True)).requires_grad


def test_stored_images_are_copies():
    pool, images = ImagePool(1), constant([1.0])
    pool.query(images)
    images.fill_(9)
    assert pool.images[0].unique().tolist() == [1.0]


def test_a_negative_size_is_refused():
    with pytest.raises(ValueError, match="pool_size -1"):
        ImagePool(-1)


def test_single_images_of_many_sizes_are_exchanged():
    random.seed(0)
    pool = ImagePool(2)
    sizes = {pool.query(torch.zeros(1, 3, side, side + 1)).shape[2:] for side in range(4, 40)}
    assert len(sizes) > 5


def test_a_batch_gets_only_images_of_its_size():
    random.seed(0)
    pool = ImagePool(2)
    pool.query(torch.zeros(2, 3, 4, 4))
    for _ in range(20):
        assert pool.query(torch.zeros(2, 3, 8, 8)).shape == (2, 3, 8, 8)


def test_a_restored_pool_continues_like_the_original(tmp_path):
    first, second = ImagePool(3), ImagePool(3)
    first.query(constant([1.0, 2.0, 3.0]))
    torch.save(first.state_dict(), tmp_path / "pool.pth")
    second.load_state_dict(torch.load(tmp_path / "pool.pth", weights_only=True))
    answers = []
    for pool in (first, second):
        random.seed(3)
        answers.append(torch.cat([pool.query(constant([float(value)])) for value in range(10, 30)]))
    assert torch.equal(*answers)


def test_a_smaller_pool_restores_the_first_images():
    full, small = ImagePool(3), ImagePool(2)
    full.query(constant([1.0, 2.0, 3.0]))
    small.load_state_dict(full.state_dict())
    assert len(small.images) == 2
    small.query(constant([4.0, 5.0, 6.0]))
    assert len(small.images) == 2
