"""Model and dataset files of the original programs run unmodified: one small file in each style is trained."""

from pathlib import Path

import pytest
import torch

import data
import models
import test as test_program
import train as train_program
from util.errors import InputError

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def plugins_in_the_packages(monkeypatch):
    monkeypatch.setattr(models, "__path__", [*models.__path__, str(HERE / "models")])
    monkeypatch.setattr(data, "__path__", [*data.__path__, str(HERE / "data")])


def command(photos, tmp_path, *words):
    return [
        *("--dataroot", str(photos), "--checkpoints_dir", str(tmp_path / "runs"), "--name", "run", "--device", "cpu"),
        *("--load_size", "36", "--crop_size", "32", "--num_threads", "0", *words),
    ]


def train(photos, tmp_path, *words):
    small = ("--ngf", "4", "--ndf", "4", "--n_epochs", "1", "--n_epochs_decay", "1", "--display_id", "0")
    train_program.main(command(photos, tmp_path, *small, "--print_freq", "1", "--display_freq", "2", *words))
    return tmp_path / "runs" / "run"


@pytest.mark.parametrize(
    ("style", "networks"), [("k_style", "GD"), ("u_style", ["Tiny", "D"]), ("c_style", "GF"), ("cut_style", "GFD")]
)
def test_a_model_of_each_style_trains_and_tests(style, networks, photos, tmp_path):
    run = train(photos, tmp_path, "--model", style)
    for name in networks:
        assert (run / f"latest_net_{name}.pth").exists()
        assert (run / f"2_net_{name}.pth").exists()
    assert "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()
    test_program.main(command(photos, tmp_path, "--results_dir", str(tmp_path / "results"), "--load_size", "32"))
    images = sorted(p.name for p in (tmp_path / "results" / "run" / "test_latest" / "images").iterdir())
    assert "0_fake_B.png" in images
    assert len([name for name in images if name.endswith("fake_B.png")]) == 3


def test_a_dataset_in_the_old_style_trains_a_built_in_model(photos, tmp_path):
    run = train(photos, tmp_path, "--model", "cycle_gan", "--dataset_mode", "k_style", "--brightness", "0.5")
    assert "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()


def test_the_first_batch_precedes_setup_and_contrastive_defaults_apply(photos, tmp_path):
    from options.train_options import TrainOptions

    opt = TrainOptions(command(photos, tmp_path, "--model", "c_style", "--ngf", "4", "--C_mode", "fast")).parse()
    assert (opt.init_type, opt.no_antialias, opt.no_dropout, opt.n_epochs) == ("xavier", False, True, 200)
    assert opt.lr == 0.5  # the setter looked at the command line that was given
    model = models.create_model(opt)
    models.prepare(model, data.create_dataset(opt), opt)
    assert model.calls == ["first batch", "setup", "parallelize"]
    assert len(model.schedulers) == 2  # the optimizer made by the hook is scheduled too
    assert any(key.endswith("filt") for key in model.netG.state_dict())


def test_a_hand_made_network_keeps_its_own_initialisation(photos, tmp_path):
    from options.train_options import TrainOptions

    opt = TrainOptions(command(photos, tmp_path, "--model", "u_style", "--ndf", "4")).parse()
    model = models.create_model(opt)
    models.prepare(model, data.create_dataset(opt), opt)
    assert torch.all(model.netTiny.conv.weight == 0.25)


def test_a_flag_redefined_by_a_plug_in_has_the_plug_ins_default(photos, tmp_path):
    from options.train_options import TrainOptions

    assert TrainOptions(command(photos, tmp_path, "--model", "k_style")).parse().pool_size == 3


def test_an_ImportError_inside_a_plug_in_is_raised():
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        models.find_model_using_name("broken_import")


def test_the_error_for_a_missing_class_names_the_expected_class():
    with pytest.raises(InputError, match=r"wrong_class_model\.py has no class WrongClassModel"):
        models.find_model_using_name("wrong_class")


def test_the_error_for_an_unknown_name_lists_existing_names():
    with pytest.raises(InputError, match=r"k_stile_model\.py.*k_style.*did you mean 'k_style'"):
        models.find_model_using_name("k_stile")


def test_modules_that_plug_ins_import_exist():
    from data import CustomDatasetDataLoader, create_dataset, find_dataset_using_name  # noqa: F401
    from data.base_dataset import BaseDataset, get_params, get_transform  # noqa: F401
    from data.image_folder import IMG_EXTENSIONS, ImageFolder, default_loader, is_image_file, make_dataset  # noqa: F401
    from models import create_model, find_model_using_name, get_option_setter  # noqa: F401
    from options.base_options import BaseOptions  # noqa: F401
    from util.html import HTML  # noqa: F401
    from util.image_pool import ImagePool  # noqa: F401
    from util.util import mkdir, mkdirs, print_numpy, save_image, tensor2im  # noqa: F401
    from util.visualizer import Visualizer, save_images  # noqa: F401
    from models.patchnce import PatchNCELoss, PatchNCELoss2  # noqa: F401

    from models import networks

    for name in ("Identity get_norm_layer get_scheduler init_weights init_net define_G define_D GANLoss Downsample "
                 "cal_gradient_penalty ResnetGenerator ResnetBlock UnetGenerator UnetSkipConnectionBlock Upsample "
                 "NLayerDiscriminator PixelDiscriminator get_filter get_pad_layer define_F Normalize PatchSampleF "
                 "PoolingF ReshapeF StridedConvF MappingF").split():  # fmt: skip
        assert hasattr(networks, name), name


@pytest.mark.parametrize("style", ["k_style", "u_style", "c_style", "cut_style"])
def test_a_model_of_each_style_trains_in_bf16(style, photos, tmp_path, monkeypatch):
    dtypes = set()
    plain = torch.nn.functional.conv2d

    def conv2d(*args, **kwargs):
        result = plain(*args, **kwargs)
        dtypes.add(result.dtype)
        return result

    monkeypatch.setattr(torch.nn.functional, "conv2d", conv2d)
    run = train(photos, tmp_path, "--model", style, "--precision", "bf16")
    assert "(epoch: 2, iters: 3," in (run / "loss_log.txt").read_text()
    weights = torch.load(next(run.glob("latest_net_*.pth")), weights_only=True)
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}
    assert torch.bfloat16 in dtypes


@pytest.mark.parametrize("style", ["k_style", "cut_style"])
def test_a_plug_in_with_its_own_optimizer_step_is_refused_in_fp16(style, photos, tmp_path):
    with pytest.raises(InputError, match=f"--precision fp16: --model {style} does not update through.*bf16"):
        train(photos, tmp_path, "--model", style, "--precision", "fp16")


def test_a_plug_in_with_its_own_optimizer_step_refuses_accumulate(photos, tmp_path):
    with pytest.raises(InputError, match="--accumulate 2: --model k_style can't divide a batch"):
        train(photos, tmp_path, "--model", "k_style", "--accumulate", "2")
