"""Slices of batches, and the samples of a data set one by one."""

import torch

from util.run.batch_slices import batch_size, is_paired, samples, split_batch


def test_a_split_batch_keeps_values_that_are_not_per_image():
    data = {"A": torch.arange(3.0), "A_paths": ["a", "b", "c"], "note": "same for all"}
    parts = split_batch(data, 1)
    assert [part["A_paths"] for part in parts] == [["a"], ["b"], ["c"]]
    assert [part["note"] for part in parts] == ["same for all"] * 3
    assert [part["A"].tolist() for part in split_batch(data, 3, most=2)] == [[0.0, 1.0]]
    assert [part["A"].tolist() for part in split_batch(data, 2)] == [[0.0, 1.0], [2.0]]
    assert split_batch(data, 5, most=5)[0] is data
    assert batch_size(data) == 3


def test_samples_come_in_batches_or_one_by_one_up_to_a_number():
    batches = [{"A": torch.arange(2.0)}, {"A": torch.arange(2.0, 4)}]
    assert [batch["A"].tolist() for batch in samples(batches, 3)] == [[0, 1], [2]]
    assert [batch["A"].tolist() for batch in samples(batches, 3, one_by_one=True)] == [[0], [1], [2]]
    assert [batch["A"].tolist() for batch in samples(batches, float("inf"))] == [[0, 1], [2, 3]]


def test_a_batch_is_paired_by_declaration_or_by_equal_files():
    sides = {"A": torch.zeros(1), "B": torch.zeros(1), "A_paths": ["x"]}
    assert is_paired({**sides, "B_paths": ["x"]}) and not is_paired({**sides, "B_paths": ["y"]})
    assert is_paired({**sides, "B_paths": ["y"], "paired": torch.tensor([True])})
    assert not is_paired({"A": torch.zeros(1), "A_paths": ["x"]})
