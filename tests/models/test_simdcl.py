"""SimDCL: the similarity loss, and the weight of the contrastive loss."""

import pytest
from small_models import build, train


def test_the_similarity_loss_works_with_maps_of_fewer_patches(tmp_path):
    losses = train(build(tmp_path, "--model", "simdcl", "--num_patches", "256"))  # the deep maps have 8 x 8
    assert losses["Sim"] > 0


def test_lambda_NCE_weights_the_contrastive_loss_of_simdcl(tmp_path):
    released, doubled = (train(build(tmp_path, "--model", "simdcl", *w), 1) for w in ((), ("--lambda_NCE", "2")))
    assert doubled["NCE1"] == pytest.approx(2 * released["NCE1"], rel=1e-5)
