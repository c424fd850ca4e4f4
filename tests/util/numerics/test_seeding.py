"""Random numbers by position: different on each rank for samples, equal on all ranks for a step."""

import torch

from util.numerics import seeding


def draws(rank, part=0, images_seen=7):
    seeding.seed_step(3, images_seen, rank)
    if part:
        seeding.seed_part(part)
    return torch.rand(3).tolist(), torch.rand(3, generator=seeding.shared("cpu")).tolist()


def test_ranks_draw_different_numbers_for_images_and_the_same_for_the_step():
    own, shared = draws(0)
    other, other_shared = draws(1)
    assert own != other and shared == other_shared != own


def test_micro_batches_draw_different_numbers_for_images_and_the_same_for_the_step():
    own, shared = draws(0)
    other, other_shared = draws(0, part=1)
    assert own != other and shared == other_shared
    assert draws(0, part=1) == (other, other_shared)


def test_without_accelerators_the_generators_of_gpus_are_not_seeded(monkeypatch):
    seeds = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    seeding.seed_step(3, 7)
    assert len(seeds) == 1
    seeding.seed_part(1, accelerators=False)
    own = torch.rand(3).tolist()
    assert len(seeds) == 1
    seeding.seed_part(1)
    assert len(seeds) == 2
    assert torch.rand(3).tolist() == own


def test_shared_random_numbers_differ_within_a_step_and_between_steps():
    _, first = draws(0)
    assert torch.rand(3, generator=seeding.shared("cpu")).tolist() != first
    assert draws(0)[1] == first != draws(0, images_seen=8)[1]
