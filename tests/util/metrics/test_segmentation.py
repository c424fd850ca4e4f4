"""Scores of label images, compared with values computed by hand."""

import numpy as np
import pytest
from PIL import Image

from util.errors import InputError
from util.metrics.segmentation import NAMES, compare, pooled, read_labels, scores, tally

TRUE = np.array([[0, 0, 0, 0], [1, 1, 2, 255]])
PREDICTED = np.array([[0, 0, 0, 1], [1, 2, 2, 0]])


def test_metrics_equal_values_computed_by_hand():
    found = scores(tally(PREDICTED, TRUE))
    assert found["pixel_accuracy"] == pytest.approx(5 / 7)
    assert found["class_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)
    assert found["mean_iou"] == pytest.approx((3 / 4 + 1 / 3 + 1 / 2) / 3)


def test_perfect_predictions_and_absent_classes():
    labels = np.array([[0, 7]])
    assert scores(tally(labels, labels)) == dict.fromkeys(NAMES, 1.0)
    wrong = scores(tally(np.array([[0, 3]]), labels))  # class 3 has no label: it affects only the IoU
    assert wrong["class_accuracy"] == 0.5 and wrong["mean_iou"] == pytest.approx(1 / 3)


def test_a_prediction_of_the_ignored_label_is_wrong():
    found = scores(tally(np.array([[0, 255]]), np.array([[0, 0]])))
    assert found == {"pixel_accuracy": 0.5, "class_accuracy": 0.5, "mean_iou": 0.5}


def test_pixels_of_all_images_are_counted_together():
    first, second = tally(np.array([[0, 0, 0]]), np.array([[0, 0, 1]])), tally(np.array([[2]]), np.array([[2]]))
    assert pooled([first, second]).shape == (2, 3, 3)
    found = compare([first, second], list(NAMES), 200, 0, 255)
    assert found["pixel_accuracy"]["value"] == 3 / 4
    assert found["class_accuracy"]["value"] == pytest.approx(2 / 3)
    low, high = found["pixel_accuracy"]["interval"]
    assert (low, high) == (2 / 3, 1)


def test_images_with_only_ignored_pixels_are_refused():
    with pytest.raises(InputError, match="every pixel"):
        compare([tally(np.array([[0]]), np.array([[255]]))], ["mean_iou"], 10, 0, 255)


def test_palette_and_gray_images_hold_indices_and_rgb_is_refused(tmp_path):
    image = Image.fromarray(TRUE.astype(np.uint8))
    image.save(tmp_path / "gray.png")
    palette = Image.fromarray(TRUE.astype(np.uint8), mode="L").convert("P")
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255] + [0] * 759)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(TRUE.astype(np.uint16) * 200).save(tmp_path / "deep.png")
    assert (read_labels(tmp_path / "gray.png") == TRUE).all()
    assert (read_labels(tmp_path / "palette.png") == TRUE).all()
    assert (read_labels(tmp_path / "deep.png") == TRUE * 200).all()
    image.convert("RGB").save(tmp_path / "colour.png")
    with pytest.raises(InputError, match=r"colour.png.*RGB"):
        read_labels(tmp_path / "colour.png")
    (tmp_path / "broken.png").write_bytes(b"no")
    with pytest.raises(InputError, match=r"broken.png"):
        read_labels(tmp_path / "broken.png")
