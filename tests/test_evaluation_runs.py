"""--eval_metrics in training and --metrics in a test: the same numbers, without an effect on the training."""

import json
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from same import assert_same
from test_programs import CYCLE_GAN, PIX2PIX, SMALL, picture, train, where
from test_resume import stop_after

import test as test_program
from datasets import make_shapes
from scripts import evaluate, train_judge
from util.errors import InputError
from util.run import checkpoint

METRICS = "l1,psnr,edges,fid"
WORDS = (*PIX2PIX, "--seed", "3", "--ema", "0.9", "--n_epochs", "2", "--n_epochs_decay", "1", "--save_epoch_freq", "1")
EVALUATED = ("--eval_freq", "3", "--eval_metrics", METRICS, "--best_metric", "psnr")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Pairs, and a run with evaluations beside the same run without; both have dropout and batch norm."""
    folder = tmp_path_factory.mktemp("evaluated")
    for phase, images in (("train", 4), ("val", 3), ("test", 2)):
        for i in range(images):
            picture(folder / "pairs" / phase / f"{i}.png", width=80, seed=i + 10 * len(phase))
    train(folder / "pairs", folder, *WORDS, *EVALUATED, name="evaluated")
    train(folder / "pairs", folder, *WORDS, name="plain")
    return folder


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scored(place, *words, name="evaluated", data="pairs", tag="val_latest"):
    """The metrics.json of a test."""
    results = ("--results_dir", str(place / "results"))
    test_program.main([*where(place / data, place, name), *results, *words])
    return json.loads((place / "results" / name / tag / "metrics.json").read_text())


def values(scores):
    return {name: metric["value"] for name, metric in scores["metrics"].items()}


def test_metrics_jsonl_has_a_line_for_each_evaluation(place):
    found = lines(place / "runs/evaluated")
    assert [(line["images_seen"], line["epoch"]) for line in found] == [(3, 1), (6, 2), (9, 3), (12, 3)]
    assert all(set(line) == {"images_seen", "epoch", "x", "metrics"} for line in found)
    assert [line["x"] for line in found] == [0.75, 1.5, 2.25, 3.0]  # finished epochs, of 4 images each
    assert all(set(line["metrics"]) == {"l1", "psnr", "edges"} for line in found)  # fid has no weights here
    assert len({line["metrics"]["l1"] for line in found}) == 4


def test_evaluations_do_not_change_the_training(place):
    states = [checkpoint.read_state(place / "runs" / name / "latest_state.pth") for name in ("evaluated", "plain")]
    states[0].pop("evaluations")
    assert_same(*states)
    logs = [(place / "runs" / name / "loss_log.jsonl").read_text().splitlines() for name in ("evaluated", "plain")]
    assert [json.loads(line)["losses"] for line in logs[0]] == [json.loads(line)["losses"] for line in logs[1]]


def test_a_test_of_the_same_checkpoint_has_the_same_numbers(place):
    found = scored(place, "--phase", "val", "--metrics", METRICS)
    assert values(found) == lines(place / "runs/evaluated")[-1]["metrics"]
    newest = json.loads((place / "runs/evaluated/metrics.json").read_text())
    assert newest["metrics"] == found["metrics"] and newest["images_seen"] == 12
    assert sorted(found["images"]) == ["0", "1", "2"] and set(found["images"]["0"]) == {"l1", "psnr", "edges"}
    assert found["metrics"]["l1"]["provenance"]["samples"] == 3
    assert "download https://" in found["skipped"]["fid"]
    last_weights = scored(place, "--phase", "val", "--metrics", "l1", "--use_ema", "no")
    assert values(last_weights)["l1"] != values(found)["l1"]


def test_the_best_checkpoint_is_kept(place):
    found = lines(place / "runs/evaluated")
    best = max(line["metrics"]["psnr"] for line in found)
    assert (
        values(scored(place, "--phase", "val", "--metrics", "psnr", "--epoch", "best", tag="val_best"))["psnr"] == best
    )
    state = checkpoint.read_state(place / "runs/evaluated/best_state.pth")
    assert state["evaluations"]["best"] == best
    assert {"images_seen": state["progress"]["total_iters"]}.items() <= max(
        found, key=lambda x: x["metrics"]["psnr"]
    ).items()


def test_evaluate_py_on_the_results_gives_the_numbers_of_the_test(place):
    found = scored(place, "--metrics", "l1,edges", "--results_layout", "folders", tag="test_latest")
    folder = place / "results/evaluated/test_latest/images"
    words = ["--real", folder / "real_B", "--fake", folder / "fake_B", "--input", folder / "real_A", "--paired"]
    evaluate.main([*map(str, words), "--metrics", "l1,edges", "--output", str(place / "scores.json")])
    again = json.loads((place / "scores.json").read_text())
    assert again == found
    real, fake = (np.asarray(Image.open(folder / side / "0.png"), dtype=float) for side in ("real_B", "fake_B"))
    assert found["images"]["0"]["l1"] == pytest.approx(np.abs(real - fake).mean() / 255)


def test_a_resumed_run_has_the_same_evaluations(place, monkeypatch):
    with monkeypatch.context() as patched:
        stop_after(patched, 7)  # after the evaluation at 6 images, inside the second epoch
        broken = train(place / "pairs", place, *WORDS, *EVALUATED, name="broken")
    assert len(lines(broken)) == 2
    with open(broken / "metrics.jsonl", "a") as log:  # of a part of the run that is trained again
        log.write(json.dumps({"images_seen": 9, "epoch": 3, "metrics": {"l1": 9}}) + "\n")
    train(place / "pairs", place, "--continue_train", name="broken")
    straight = place / "runs/evaluated"
    assert lines(broken) == lines(straight)
    assert_same(*(checkpoint.read_state(run / "latest_state.pth") for run in (broken, straight)))
    assert_same(*(checkpoint.read_state(run / "best_state.pth") for run in (broken, straight)))


@pytest.fixture(scope="module")
def unpaired_run(place):
    """A CycleGAN on photos with different names in A and B, and a judge of the two domains."""
    for side, phase, first in (("A", "train", 0), ("B", "train", 50), ("A", "test", 20), ("B", "test", 70)):
        for i in range(first, first + 5):
            picture(place / "photos" / (phase + side) / f"{i}.png", seed=i)
    sides = ("--domain_a", str(place / "photos/trainA"), "--domain_b", str(place / "photos/trainB"))
    train_judge.main([*sides, "--output", str(place / "judge.pth"), "--steps", "2"])
    words = ("--eval_freq", "4", "--eval_metrics", "edges,judge_kid,judge", "--judge", str(place / "judge.pth"))
    return train(place / "photos", place, *CYCLE_GAN, *words, "--n_epochs_decay", "0", name="photos")


def test_unpaired_images_are_scored_as_sets(unpaired_run, place):
    judge = ("--judge", str(place / "judge.pth"))
    found = scored(place, "--metrics", "judge,edges,judge_kid", *judge, name="photos", data="photos", tag="test_latest")
    assert list(values(found)) == ["judge", "edges", "judge_kid"]
    assert found["metrics"]["judge_kid"]["provenance"]["samples"] == {"real": 5, "fake": 5}
    assert sorted(found["images"]) == ["20", "21", "22", "23", "24"]
    last = json.loads((unpaired_run / "metrics.json").read_text())  # after four of five images
    assert last["images_seen"] == 4 and set(last["metrics"]) == set(values(found))


def test_the_error_names_pairs_with_different_names(unpaired_run, place):
    with pytest.raises(InputError) as caught:
        scored(place, "--metrics", "l1", name="photos", data="photos", tag="test_latest")
    assert "20.png and" in str(caught.value) and "70.png" in str(caught.value)
    assert "--metrics l1" in str(caught.value) and "\n" not in str(caught.value)


def test_different_names_are_refused_before_training_starts(unpaired_run, place):
    with pytest.raises(InputError, match=r"--eval_metrics l1: .*20\.png and .*70\.png"):
        train(place / "photos", place, *CYCLE_GAN, "--eval_freq", "100", "--eval_metrics", "l1", name="never")
    assert not (place / "runs/never/loss_log.txt").exists()


def test_evaluation_and_test_of_every_model_give_the_same_numbers(unpaired_run, place):
    """Also CUT, whose training mirrors images, StarGAN, whose images have labels, and colorization."""
    make_shapes.make(place / "faces", "attributes", size=32, train=4, test=3)
    stargan = ("--model", "stargan", "--dataset_mode", "celeba", "--selected_attrs", "Striped", "--image_size", "32")
    stargan += (
        "--g_conv_dim",
        "4",
        "--d_conv_dim",
        "4",
        "--d_repeat_num",
        "3",
        "--n_iters",
        "2",
        "--n_iters_decay",
        "0",
    )
    cases = {
        "faces": (*stargan, "--batch_size", "2", "--display_id", "0", "--eval_freq", "4"),
        "photos": ("--model", "fastcut", "--netG", "resnet_6blocks", *SMALL, "--num_patches", "8", "--eval_freq", "5"),
        "pairs": ("--model", "colorization", "--netG", "resnet_4blocks", *SMALL, "--eval_freq", "8"),
    }
    for data, words in cases.items():
        run = train(place / data, place, *words, "--eval_metrics", "edges", name=f"of_{data}")
        phase = "val" if data == "pairs" else "test"
        found = scored(place, "--metrics", "edges", "--phase", phase, name=run.name, data=data, tag=f"{phase}_latest")
        assert values(found) == lines(run)[-1]["metrics"], data


def test_a_test_against_the_direction_is_scored_by_its_own_translations(unpaired_run, place):
    words = ("--direction", "BtoA", "--metrics", "edges")
    found = scored(place, *words, name="photos", data="photos", tag="test_latest")
    assert sorted(found["images"]) == ["70", "71", "72", "73", "74"]
    folder = place / "results/photos/test_latest/images"
    from util.metrics.pairs import edge_correlation

    made, given = (np.asarray(Image.open(folder / f"70_{label}.png")) for label in ("fake_A", "real_B"))
    assert found["images"]["70"]["edges"] == pytest.approx(edge_correlation(made, given))


def test_a_test_of_one_domain_has_no_true_images(unpaired_run, place):
    words = ("--model", "test", "--no_dropout", "--metrics", "psnr")
    with pytest.raises(InputError, match=r"--metrics psnr: .*real images"):
        scored(place, *words, name="photos", data="photos/testA", tag="test_latest")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--eval_freq", "2"), "--eval_metrics"),
        (("--eval_metrics", "l1"), "--eval_freq"),
        (("--eval_freq", "2", "--eval_metrics", "l2"), "--eval_metrics l2: no such metric"),
        (("--eval_freq", "2", "--eval_metrics", "mean_iou"), "label images"),
        (("--eval_freq", "2", "--eval_metrics", "l1", "--best_metric", "psnr"), "--best_metric psnr"),
        (("--eval_freq", "2", "--eval_metrics", "judge"), "--judge"),
        (("--eval_freq", "2", "--eval_metrics", "fid"), "download"),
        (("--eval_freq", "2", "--eval_metrics", "ms_ssim"), "176x176"),
        (("--eval_freq", "2", "--eval_metrics", "l1,fid", "--best_metric", "fid"), "download"),
        (("--lr_policy", "plateau"), "--eval_freq"),
    ],
)
def test_settings_that_can_not_be_evaluated_are_refused_before_training_starts(words, message, place):
    with pytest.raises(InputError) as caught:
        train(place / "pairs", place, *PIX2PIX, *words, name="refused")
    assert message in str(caught.value) and "\n" not in str(caught.value)
    assert not list((place / "runs/refused").glob("*.pth"))


def test_data_without_images_to_evaluate_with_is_refused(place):
    (place / "bare").mkdir()
    (place / "bare/train").symlink_to(place / "pairs/train")
    with pytest.raises(InputError, match="bare/test: there is no such folder"):
        train(place / "bare", place, *PIX2PIX, *EVALUATED, name="refused")


def curve(place, run, *words):
    output = place / "curves" / "curve.json"
    places = ["--run", str(run), "--metrics", "l1,psnr", "--output", str(output)]
    return evaluate.main([*places, *words]), json.loads(output.read_text()), output.with_suffix(".svg")


def test_the_curve_over_the_checkpoints_of_a_run(place, capsys):
    run = place / "runs/evaluated"
    (place / "curves").mkdir(exist_ok=True)
    code, found, drawing = curve(place, run)
    at = {line["images_seen"]: line["metrics"] for line in lines(run)}
    assert code == 0 and [(tag, each["images_seen"]) for tag, each in found["epochs"].items() if tag.isdigit()] == [
        *(("1", 4), ("2", 8), ("3", 12))
    ]
    assert "latest" not in found["epochs"]  # the same as epoch 3
    for tag, each in found["epochs"].items():
        if each["images_seen"] in at:
            assert values(each) == {name: at[each["images_seen"]][name] for name in ("l1", "psnr")}, tag
    for name, choose in (("l1", min), ("psnr", max)):
        best = choose(found["epochs"], key=lambda tag: values(found["epochs"][tag])[name])
        assert found["best"][name] == {"epoch": best, "value": values(found["epochs"][best])[name]}
    assert f"at epoch {found['best']['l1']['epoch']}" in capsys.readouterr().out
    root = ElementTree.fromstring(drawing.read_text())
    assert len(root.findall("{http://www.w3.org/2000/svg}polyline")) == 2


def test_a_damaged_checkpoint_is_left_out_of_the_curve(place, tmp_path, capsys):
    shutil.copytree(place / "runs/plain", tmp_path / "plain")
    (tmp_path / "plain/2_net_G_ema.pth").write_bytes(b"broken")
    (place / "curves").mkdir(exist_ok=True)
    code, found, _ = curve(place, tmp_path / "plain", "--epochs", "1,2", "--max_images", "2", "--phase", "test")
    assert code == 1 and list(found["epochs"]) == ["1"] and "2_net_G_ema.pth" in found["skipped"]["2"]
    assert found["epochs"]["1"]["metrics"]["l1"]["provenance"]["samples"] == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--run", "{}/nowhere"), "--run"),
        (("--run", "{}/runs/plain", "--epochs", "9"), "--epochs 9"),
        (("--run", "{}/runs/plain", "--paired"), "--paired"),
        (("--real", "{}/pairs/val"), "--fake"),
        (("--real", "{}/pairs/val", "--fake", "{}/pairs/val", "--epochs", "1"), "--epochs"),
    ],
)
def test_flags_of_a_run_and_of_folders_can_not_be_combined(words, message, place):
    with pytest.raises(InputError, match=message):
        evaluate.main([*(word.format(place) for word in words), "--metrics", "l1", "--output", str(place / "x.json")])
    assert not (place / "x.json").exists()
